"""The theorems on the model of one network: at its own K, d, class counts and decays."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import ufm
from ufm import Problem, Status, Verdict
from ufm.models import Model
from ufm.results import Result, Shown, Table
from ufm.results.plain import READ
from ufm.theorems.verification import Verdicts

from .compare import Comparison
from .on_spheres import OnSpheres

STARTS = 2
VARIABLES = 500_000  # of the largest model that is descended over with all its features; a larger one has fewer


@dataclass(frozen=True)
class Checked(Shown, Result):
    """The verdicts on one problem or model, and how it was checked: as `ufm.verify` was asked."""

    problem: Problem | Model[Any] = field(metadata={READ: ufm.models.of_plain})
    seed: int
    starts: int
    rigorous: bool
    atlas: bool
    verdicts: list[Verdict]

    def as_table(self) -> Table:
        """A row a claim."""
        return Verdicts(self.verdicts).as_table()


def theorems(comparison: Comparison | OnSpheres, track: Callable[[Iterable], Iterable] = iter) -> Checked:
    """Every theorem, those proved in ball arithmetic among them, checked on the model that a network is compared with.

    A model of more than half a million variables gives way to the `equivalent` one of about that size. track wraps the
    theorems, to show progress.
    """
    if not isinstance(comparison.model, Problem):
        return check(comparison.model, starts=STARTS, track=track)
    problem = comparison.model
    room = VARIABLES // problem.dim - problem.num_classes
    if problem.num_samples > room:
        problem = equivalent(problem, max(room, 2 * problem.num_classes))
    return check(problem, starts=STARTS, rigorous=True, track=track)


def check(
    problem: Problem | Model[Any],
    seed: int = 0,
    starts: int = 4,
    *,
    rigorous: bool = False,
    atlas: bool = False,
    track: Callable[[Iterable], Iterable] = iter,
) -> Checked:
    """`ufm.verify`, with what was asked beside the verdicts."""
    verdicts = ufm.verify(problem, seed, starts, track, rigorous, atlas)
    return Checked(problem, seed, starts, rigorous, atlas, list(verdicts))


def equivalent(problem: Problem, num_samples: int) -> Problem:
    """The problem with about so many samples whose collapsed points have the same values of f.

    At a collapsed point f depends on n_k/N and N lambda_h alone. Class counts keep their proportions up to a sample,
    and exactly where they are equal.
    """
    share = num_samples / problem.num_samples
    counts = tuple(max(1, round(n * share)) for n in problem.class_counts)
    decays = {"lambda_w": problem.lambda_w, "lambda_h": problem.lambda_h * problem.num_samples / sum(counts)}
    return Problem(counts, problem.dim, **decays, lambda_b=problem.lambda_b, bias=problem.bias, loss=problem.loss)


def counted(verdicts: Iterable[str]) -> dict[str, int]:
    """How many of these statuses there are, by status, in the order of `Status`."""
    found = Counter(verdicts)
    return {status: found[status] for status in dict.fromkeys((*map(str, Status), *found))}
