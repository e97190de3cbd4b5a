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


class PairSums:
    """Sums over the ordered pairs of R classes that are drawn, without replacement, out of a population.

    With f_jk = m + a_j + a_k + e_jk, of variances A and E, the mean over the pairs of the R classes is off that over
    the population by 4 A (1/R - 1/K) + 2 E (1/R(R-1) - 1/K(K-1)) in square. A and E follow from the spread of the rows'
    means and that of all pairs. Source: Hoeffding 1948 (Annals of Mathematical Statistics 19), U-statistics.
    """

    def __init__(self, population: int, drawn: int):
        self.population, self.drawn = population, drawn
        self.rows: list[torch.Tensor] = []
        self.squares = 0.0

    def add(self, values: torch.Tensor) -> None:
        """Add rows (m, R) of the table of pairs, with 0 for the pair of a class with itself."""
        self.rows.append(values.sum(1))
        if self.drawn < self.population:
            self.squares += float(values.square().sum())

    def mean(self, unit: float = 1.0) -> float:
        """The mean times unit: exact where all are there, else an `Estimate`; below five classes E counts as 0."""
        R, K = self.drawn, self.population
        means = torch.cat(self.rows) / (R - 1)
        value = float(means.mean())
        if R == K:
            return value * unit
        spread, share = self.squares / (R * (R - 1)) - value**2, (R - 2) / (R - 1)
        A = max(0.0, spread / 2)
        if R >= 5:
            A = max(0.0, (float(means.var()) - share / (R - 1) * spread) / (share * (R - 4) / (R - 1)))
        E = max(0.0, spread - 2 * A)
        variance = 4 * A * (1 / R - 1 / K) + 2 * E * (1 / (R * (R - 1)) - 1 / (K * (K - 1)))
        return Estimate(value * unit, math.sqrt(variance) * unit)


def root(value: float) -> float:
    """The square root of a mean, its error by the delta method."""
    result = math.sqrt(value)
    return Estimate(result, value.error / (2 * result)) if isinstance(value, Estimate) and result else result
