"""Which of two models predicts a network's last layer better, quantity by quantity."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from ufm.errors import require
from ufm.results import Result, Shown, Table

from .compare import Comparison

SAME = 1e-6  # a shift of the features that no logit sees moves rounding alone
ZERO = 1e-6  # of the network's value: a prediction below it is 0
LEVELS = ("objective", "lower_bound", "gap")  # of f, which is another function in each model


@dataclass(frozen=True)
class Deviation(Result):
    """How far each prediction is from the network: |network/theory - 1|, or |network| where theory has 0."""

    name: str
    meaning: str
    first: float
    second: float

    @property
    def nearer(self) -> int:
        """1 or 2, the model that is nearer; 0 where they are equally near to a tenth, or one is not defined."""
        if not (math.isfinite(self.first) and math.isfinite(self.second)):
            return 0
        if abs(self.first - self.second) <= 0.1 * max(self.first, self.second):
            return 0
        return 1 if self.first < self.second else 2


class Deviations(Shown, list[Deviation]):
    """The deviations, in the order of the comparison's quantities."""

    def __init__(self, deviations: Iterable[Deviation] = ()):
        super().__init__(deviations)

    def as_table(self) -> Table:
        """A row a quantity."""
        rows = [(d.name, d.first, d.second, ("-", "first", "second")[d.nearer], d.meaning) for d in self]
        counts = [sum(d.nearer == which for d in self) for which in (1, 2)]
        title = f"nearer: the first model in {counts[0]}, the second in {counts[1]} of {len(self)} quantities"
        return Table(title, ("quantity", "first", "second", "nearer", "meaning"), rows)


def nearer(first: Comparison, second: Comparison) -> Deviations:
    """The deviations of one network from two models, for what both have, is not arranged, and is no level of f.

    Raises InputError where the comparisons are of different last layers.
    """
    of_second = {row.name: row for row in second.rows if not row.implied and row.name not in LEVELS}
    pairs = [(row, of_second[row.name]) for row in first.rows if row.name in of_second and not row.implied]
    for one, other in pairs:
        same = math.isclose(one.network, other.network, rel_tol=SAME, abs_tol=SAME) or math.isnan(one.network)
        require(same, f"the comparisons are of different last layers: {one.name} {one.network:g}, {other.network:g}")
    return Deviations(
        Deviation(one.name, one.meaning, _deviation(one.theory, one.network), _deviation(other.theory, other.network))
        for one, other in pairs
    )


def _deviation(theory: float, network: float) -> float:
    return abs(network / theory - 1) if abs(theory) > ZERO * abs(network) else abs(network)
