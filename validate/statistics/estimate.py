"""A number that was sampled says so: a float with its standard error."""

import math

import torch


class Estimate(float):
    """A float with `error`, its standard error, or inf where the value is only a lower bound.

    Whatever takes a float takes it; as text it shows its error.
    """

    error: float

    def __new__(cls, value: float, error: float = math.nan) -> "Estimate":
        estimate = super().__new__(cls, value)
        estimate.error = error
        return estimate

    def __repr__(self) -> str:
        return f"{float(self):.6g} or more" if math.isinf(self.error) else f"{float(self):.6g} ± {self.error:.1g}"

    __str__ = __repr__


def mean_of_rows(rows: torch.Tensor, population: int) -> float:
    """The mean of `rows` (R,) drawn without replacement out of `population`: exact when all are there, else estimated.

    Source of the error: Cochran, "Sampling Techniques", 1977, theorem 2.2 (finite population correction).
    """
    value = float(rows.mean())
    if len(rows) == population:
        return value
    return Estimate(value, float(rows.std()) * math.sqrt((1 - len(rows) / population) / len(rows)))


def root(value: float) -> float:
    """The square root of a mean, its error by the delta method."""
    result = math.sqrt(value)
    return Estimate(result, value.error / (2 * result)) if isinstance(value, Estimate) and result else result
