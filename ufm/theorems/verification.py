"""ufm.verify: every theorem of the registry, checked on one problem or one model."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from ..errors import Setting, require
from ..losses import CrossEntropy
from ..models import Model
from ..problem import Problem
from ..results import Result, Shown, Status, Table
from .evidence import Evidence, Undecided
from .model_evidence import ModelEvidence
from .registry import ATLAS, LINE, MODELS, OTHER_ATLAS, OTHER_LOSSES, RIGOROUS, THEOREMS
from .theorem import Asked, Material, Theorem


@dataclass(frozen=True)
class Verdict(Result):
    """What a check found.

    status  a `Status`: holds, fails, inconclusive or not covered
    worst and tolerance are None in the last two cases; `note` then says why, or what is needed.
    """

    claim: str
    statement: str
    source: str
    status: Status
    worst: float | None
    tolerance: float | None
    note: str


class Verdicts(Shown, list[Verdict]):
    """Verdicts in the order of the registry."""

    def as_table(self) -> Table:
        """A row a claim; below, what fails."""
        counts = Counter(str(one.status) for one in self)
        title = ", ".join(f"{counts[status]} {status}" for status in map(str, Status) if counts[status])
        columns = ("claim", "status", "worst", "tolerance", "statement", "source", "note")
        rows = [(v.claim, v.status, v.worst, v.tolerance, v.statement, v.source, v.note) for v in self]
        failing = [f"{v.claim} fails: {v.note}" for v in self if v.status == Status.FAILS]
        return Table(title or "no claims", columns, rows, notes=failing)


def judge(theorem: Theorem[Asked, Material], asked: Asked, evidence: Material) -> Verdict:
    """The verdict of one theorem on one problem or model."""
    claim = theorem.name, theorem.statement, theorem.source
    missing = theorem.missing(asked)
    if missing:
        return Verdict(*claim, Status.NOT_COVERED, None, None, f"needs {', '.join(missing)}")
    try:
        finding = theorem.check(asked, evidence)
    except Undecided as reason:
        return Verdict(*claim, Status.INCONCLUSIVE, None, None, str(reason))
    # A NaN compares false, so it fails.
    status = Status.HOLDS if finding.worst <= finding.tolerance else Status.FAILS
    return Verdict(*claim, status, finding.worst, finding.tolerance, finding.note)


def verify(
    problem: Problem | Model[Any],
    seed: int = 0,
    starts: int = 4,
    track: Callable[[Iterable[Theorem]], Iterable[Theorem]] = iter,
    rigorous: bool = False,
    atlas: bool = False,
) -> Verdicts:
    """Check every theorem of the registry on the problem, from `starts` random full-size descents.

    Claims about other losses alone are listed where the loss is not cross-entropy. For a model of `ufm.models` the
    claims are that model's own, checked from `starts` of its descents.

    `track` wraps the sequence of theorems, to show progress. `rigorous` adds what `ufm.prove` proves in ball
    arithmetic of the points at hand (K <= 10), `atlas` what is claimed of all critical points (K <= 6). A claim
    whose hypotheses the problem does not meet is "not covered", one that the evidence does not decide "inconclusive".
    Raises InputError where sqrt(lW lH) or lb (if not 0) is below 1e-12, the smallest decay for verdicts in float64, and
    for `rigorous` or `atlas` with a model that has neither.

    >>> import ufm
    >>> problem = ufm.Problem.balanced(num_classes=3, per_class=2, dim=2, lambda_w=5e-3, lambda_h=5e-3)
    >>> verdicts = ufm.verify(problem)
    >>> sorted({str(verdict.status) for verdict in verdicts})
    ['holds', 'not covered']
    >>> [verdict.claim for verdict in verdicts if verdict.status == "not covered"]  # d = 2 is not above K = 3
    ['landscape, d > K']
    """
    if not isinstance(problem, Problem):
        for name, asked in (("rigorous", rigorous), ("atlas", atlas)):
            reason = (f"the model {problem.name!r} has no proofs and no atlas; leave ", Setting(name), " out")
            require(not asked, reason)
        material = ModelEvidence(problem, seed, starts)
        return Verdicts(judge(theorem, problem, material) for theorem in track(MODELS[problem.name]))
    evidence = Evidence(problem, seed=seed, starts=starts)
    of_all = (*ATLAS, *(LINE if problem.dim == 1 else ())) if atlas else ()
    theorems = (*THEOREMS, *(RIGOROUS if rigorous else ()), *of_all)
    if not isinstance(problem.loss, CrossEntropy):
        theorems += (*OTHER_LOSSES, *(OTHER_ATLAS if atlas else ()))
    return Verdicts(judge(theorem, problem, evidence) for theorem in track(theorems))
