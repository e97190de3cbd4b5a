"""A number that was sampled says so: a float with its standard error."""

import math


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
