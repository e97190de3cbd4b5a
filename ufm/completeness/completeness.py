"""ufm.prove_complete: a computer-assisted proof that the atlas is the whole critical set, up to symmetry."""

import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from ..atlas import Atlas, CriticalPoint, explore
from ..errors import Setting, require
from ..losses import CrossEntropy, LabelSmoothing
from ..problem import Problem
from ..results import Result, Shown
from ..storage.files import require_writable
from ..storage.locks import held
from .ranges import work as ranges
from .work import PRECISION, NotProved, Work


@dataclass(frozen=True, eq=False)
class Completeness(Shown, Result):
    """What is proved of a list of critical points.

    proved     the problem has these critical points up to O(d) and permutations of the classes, and no others
    statement  the theorem in one line; "not proved: " and the reason otherwise
    reason     why it is not proved; empty for a proof
    missing    a critical point was met that the list does not have (found numerically): the list is wrong
    points     the atlas's            boxes     how many boxes the search looked at, of which
    leaves     decided, by how: "no point", "a point", "out of order", "mirrored"
    seconds    of wall time, of this sitting             precision  of the arithmetic
    """

    proved: bool
    statement: str
    reason: str
    points: tuple[CriticalPoint, ...] = field(repr=False)
    boxes: int = 0
    leaves: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    missing: bool = False
    precision: str = PRECISION


def prove_complete(
    problem: Problem,
    jobs: int = 1,
    *,
    seed: int = 0,
    atlas: Atlas | None = None,
    file: Path | str | None = None,
    force: bool = False,
    on_piece: Callable[[int, int, int, float], None] | None = None,
) -> Completeness:
    """Prove that the atlas has every critical point of a problem up to O(d) and permutations of the classes.

    Cross-entropy, with label smoothing or without, any class counts, with or without a bias, K <= 4 with any d or d = 1
    with any K (its cost grows fast beyond K = 4). Anything else is a refusal: proved is False, `reason` says why.

    jobs      how many pieces are searched side by side, in processes of one thread each. Inside
              `joblib.parallel_config(backend="dask")` they go to the workers of a Dask cluster (`ufm.cluster`)
    seed      of the atlas, where none is given           atlas   the list to prove complete (`ufm.explore`)
    file      the certificate (JSON), which `ufm check` verifies; it is written as pieces are done, and gone on with.
              However it was stopped, what it becomes is the same to the byte
    force     begin anew, whatever the file holds
    on_piece  called with (pieces done, pieces, boxes, share of the region's volume decided) as pieces are done; the
              volume is that in log(1 + t) and u, or in u alone

    Ranks 0 and K - 1 have one orbit at most, by theorem. For the others regions are cut into boxes: of (t, u) in
    docs/theory, section 16.2, or of u in section 16.6 for K = 4 (and for K >= 4 and d = 1 with equal class counts, no
    smoothing and no bias). Each is shown to hold no critical point, or to lie in a box with exactly one that is listed.
    Raises InputError for settings out of range and for a file of another problem or that another process writes.

    >>> import ufm
    >>> found = ufm.prove_complete(ufm.Problem.balanced(2, 1, 1, lambda_w=2e-2, lambda_h=2e-2, bias=False))
    >>> found.proved, [point.rank for point in found.points]
    (True, [1, 0])
    """
    require(jobs >= 1, (Setting("jobs"), f" must be >= 1, got {jobs}"))
    if file is not None:
        require_writable(file)
    if reason := out_of_scope(problem):
        return Completeness(False, f"not proved: {reason}", reason, ())
    atlas = explore(problem, seed, jobs=jobs) if atlas is None else atlas
    require(atlas.problem.settings() == problem.settings(), "the atlas is of another problem; make one of this problem")
    begun = time.monotonic()
    with nullcontext() if file is None else held(file):
        kind = ranges.Work if ranges.covers(problem) else Work
        work = kind(problem, atlas, None if file is None else Path(file), force)
        try:
            work.begin()
            work.search(jobs, on_piece)
            reason, missing = "", False
        except NotProved as failure:
            reason, missing = str(failure), failure.missing
        statement, seconds = f"not proved: {reason}" if reason else work.statement, time.monotonic() - begun
        return Completeness(not reason, statement, reason, atlas.points, work.boxes, work.leaves, seconds, missing)


def out_of_scope(problem: Problem) -> str:
    """Why no proof is tried; empty where one is."""
    K, d, loss = problem.num_classes, problem.dim, problem.loss
    if not isinstance(loss, CrossEntropy | LabelSmoothing):
        return f"the loss is {loss.name!r}; only lists of cross-entropy and label smoothing can be proved complete"
    if K > 3 and d > 1 and not ranges.covers(problem):
        free = ", ".join(str(r * (K - 1 - r)) for r in range(2, min(d, K - 2) + 1))
        return f"points of rank 2 and more would need searches in {free} dimensions; take d = 1"
    return ""
