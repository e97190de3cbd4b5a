"""Means of what was sampled, with their standard errors."""

import math

import torch

from ufm.results import Estimate


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
