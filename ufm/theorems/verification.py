"""ufm.verify: every theorem of the registry, checked on one problem."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ..problem import Problem
from .atlas_theorems import ATLAS
from .evidence import Evidence
from .registry import THEOREMS, Theorem
from .rigorous_theorems import RIGOROUS


@dataclass(frozen=True)
class Verdict:
    """What a check found: status "holds" | "fails" | "not covered".

    worst and tolerance are None where the claim is not covered; `note` then says what it needs.
    """

    claim: str
    statement: str
    source: str
    status: str
    worst: float | None
    tolerance: float | None
    note: str


def judge(theorem: Theorem, problem: Problem, evidence: Evidence) -> Verdict:
    """The verdict of one theorem on one problem."""
    missing = theorem.missing(problem)
    if missing:
        note = f"needs {', '.join(missing)}"
        return Verdict(theorem.name, theorem.statement, theorem.source, "not covered", None, None, note)
    finding = theorem.check(problem, evidence)
    # A NaN compares false, so it fails.
    status = "holds" if finding.worst <= finding.tolerance else "fails"
    return Verdict(
        theorem.name, theorem.statement, theorem.source, status, finding.worst, finding.tolerance, finding.note
    )


def verify(
    problem: Problem,
    seed: int = 0,
    starts: int = 4,
    track: Callable[[Iterable[Theorem]], Iterable[Theorem]] = iter,
    rigorous: bool = False,
    atlas: bool = False,
) -> list[Verdict]:
    """Check every theorem of the registry on the problem, from `starts` random full-size descents.

    `track` wraps the sequence of theorems, to show progress. `rigorous` adds what `ufm.prove` proves in ball
    arithmetic of the points at hand (K <= 10), `atlas` what is claimed of all critical points (K <= 6). A claim
    whose hypotheses the problem does not meet is "not covered".
    """
    evidence = Evidence(problem, seed=seed, starts=starts)
    theorems = (*THEOREMS, *(RIGOROUS if rigorous else ()), *(ATLAS if atlas else ()))
    return [judge(theorem, problem, evidence) for theorem in track(theorems)]
