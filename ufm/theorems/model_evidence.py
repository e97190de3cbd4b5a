"""What the theorems of a model are checked on: its descents and what they end in, each made once when asked for."""

from collections.abc import Callable
from functools import cached_property
from typing import Any, TypeVar

from ..errors import Setting, require
from ..models import Judgement, Minimum, Model
from ..results import PointVerdict
from .evidence import Undecided

T = TypeVar("T")

LARGEST_SEED = 2**63 - 1  # that a generator takes


class ModelEvidence:
    """Points of one model, computed on first use and shared by all checks.

    starts  how many random starts are descended from.
    Every attribute can be replaced by assignment, which is how the tests plant errors. What cannot be made (no descent
    converged, none is certified) raises Undecided.
    """

    def __init__(self, model: Model[Any], seed: int = 0, starts: int = 4):
        require(starts >= 1, (Setting("starts"), f" must be >= 1, got {starts}"))
        most = LARGEST_SEED - 3 * starts
        require(0 <= seed <= most, (Setting("seed"), f" must lie in 0 .. {most}, got {seed}"))
        model.require_decidable()
        self.model, self.seed, self.starts = model, seed, starts

    @cached_property
    def solutions(self) -> list[Minimum[Any]]:
        """Descents from random starts."""
        return [self.model.minimize(seed, 1e-10) for seed in range(self.seed, self.seed + self.starts)]

    @cached_property
    def ends(self) -> list[Minimum[Any]]:
        """The descents that converged."""
        found = [solution for solution in self.solutions if solution.converged]
        if not found:
            raise Undecided(f"none of {len(self.solutions)} descents converged")
        return found

    @cached_property
    def judged(self) -> list[Judgement]:
        """What each of the ends is, in their order."""
        return [self.model.certify(end.point) for end in self.ends]

    @cached_property
    def minimizers(self) -> list[Any]:
        """The points of the ends that are certified global."""
        pairs = zip(self.ends, self.judged, strict=True)
        found = [end.point for end, judged in pairs if judged.verdict == PointVerdict.GLOBAL_MINIMIZER]
        if not found:
            raise Undecided(f"no end of {len(self.ends)} descents is certified global")
        return found

    @property
    def level(self) -> float:
        """The least value of the ends."""
        return min(end.value for end in self.ends)

    @cached_property
    def closed_form(self) -> Any:
        return self.model.closed_form()

    @cached_property
    def random_points(self) -> list[Any]:
        """Points that are not critical, at three scales."""
        scales = [0.1, 1.0, 5.0] * self.starts
        return [self.model.random_point(self.seed + i, scale) for i, scale in enumerate(scales)]

    def once(self, name: str, make: Callable[[], T]) -> T:
        """What make() gives, made once and kept as the attribute `name`: material of one model's claims."""
        if name not in vars(self):
            setattr(self, name, make())
        return getattr(self, name)

    @property
    def looked_at(self) -> str:
        """How many descents converged, and how many of their ends are certified global, in words."""
        certified = sum(judged.verdict == PointVerdict.GLOBAL_MINIMIZER for judged in self.judged)
        return f"{len(self.ends)} of {len(self.solutions)} descents converged, {certified} to a certified minimiser"
