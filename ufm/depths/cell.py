"""One cell of the diagram of depth: the best point of a deep linear model, and the simplex ETF beside it."""

from dataclasses import dataclass

from ..errors import InputError
from ..models import DeepLinear, Factors
from ..models.codes import pairs_beat_simplex
from ..results import PointVerdict, Result

TOL = 1e-10
SAME = 1e-9  # of f: values nearer to each other than that are one


@dataclass(frozen=True)
class Frame(Result):
    """The best simplex ETF that is a critical point: f there, its verdict, and the index of its Hessian."""

    value: float
    verdict: PointVerdict
    index: int


@dataclass(frozen=True)
class Cell(Result):
    """The best point found for one model.

    value, rank      f there, and the rank of its factors (0: the origin)
    verdict, index, nullity   of its exact Hessian; the orbit of its symmetries has the dimension `orbit`
    lower_bound      a number below f everywhere
    reached, starts  how many of so many descents ended at that value
    etf              None where no simplex ETF but the origin is critical, or the loss has none
    """

    problem: DeepLinear
    value: float
    rank: int
    verdict: PointVerdict
    index: int
    nullity: int
    orbit: int
    lower_bound: float
    reached: int
    starts: int
    etf: Frame | None

    derived = ("excess", "predicted", "contradicts")

    @property
    def excess(self) -> float | None:
        """f at the ETF over the best f, less 1; 0 where the ETF is the best point, None without one."""
        if self.etf is None:
            return None
        excess = self.etf.value / self.value - 1
        return excess if excess > SAME else 0.0

    @property
    def predicted(self) -> bool | None:
        """Whether theory has a point below the ETF; None where it says nothing (docs/theory, section 12.4)."""
        if self.etf is None:
            return None
        if pairs_beat_simplex(self.problem.free.num_classes, self.problem.depth):
            return True
        return False if self.problem.depth == 2 else None

    @property
    def contradicts(self) -> bool:
        """Whether the best point is not what theory says of the ETF, or lies below the lower bound."""
        wrong = self.predicted is not None and self.predicted != (self.excess != 0)
        return wrong or self.value < self.lower_bound * (1 - SAME)


def survey(model: DeepLinear, seed: int = 0, rounds: int = 1) -> Cell:
    """The cell of one model: the best of the origin, the ETF and rounds of descents, each from starts of every rank."""
    starts = rounds * min(model.dim, model.free.num_classes, model.free.num_types)
    ends = [model.minimize(start, TOL) for start in range(seed * starts, (seed + 1) * starts)]
    etf, found = _etf(model), [end.point for end in ends if end.converged]
    points = [model.origin(), *([] if etf is None else [etf]), *found]
    best = min(points, key=lambda point: float(model.objective(point)))
    judged, inner, levels = model.certify(best), model.inner(best), model.spectrum(best)
    return Cell(
        problem=model,
        value=judged.value,
        rank=inner.rank,
        verdict=judged.verdict,
        index=levels.inertia.index,
        nullity=levels.inertia.nullity,
        orbit=model.orbit_dimension(inner.rank),
        lower_bound=judged.lower_bound,
        reached=sum(end.value <= judged.value * (1 + SAME) for end in ends),
        starts=starts,
        etf=None if etf is None else _frame(model, etf),
    )


def _etf(model: DeepLinear) -> Factors | None:
    try:
        return model.etf()
    except InputError:  # another loss
        return None


def _frame(model: DeepLinear, etf: Factors) -> Frame:
    judged = model.certify(etf)
    return Frame(judged.value, judged.verdict, model.spectrum(etf).inertia.index)
