"""ufm.prove_complete: a computer-assisted proof that the atlas is the whole critical set, up to symmetry."""

import itertools
import time
from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..atlas import Atlas, CriticalPoint, explore
from ..errors import InputError, Setting, require
from ..losses import CrossEntropy
from ..problem import Problem
from ..results import Result, Shown
from ..spread import in_order, spread
from ..storage.files import read_json, require_writable, write_json
from ..storage.locks import held
from .intervals import Interval
from .ranges import work as ranges
from .refused import NotProved
from .region import Region
from .search import POINTS, Piece, Task, single
from .system import Jet, System

FORMAT = "ufm completeness 1"
WIDEST = 0.1  # the half side, relative to t and of u, of the first box tried around a point
EVERY = 20.0  # seconds between two writings of the file
MOST = 3_000_000  # boxes in one piece
PRECISION = "float64 intervals, every operation rounded outward"


@dataclass(frozen=True, eq=False)
class Completeness(Shown, Result):
    """What is proved of a list of critical points.

    proved     the problem has these critical points up to O(d) and permutations of the classes, and no others
    statement  the theorem in one line; "not proved: " and the reason otherwise
    reason     why it is not proved; empty for a proof
    missing    a critical point was met that the list does not have (found numerically): the list is wrong
    points     the atlas's            boxes     how many boxes the search looked at, of which
    leaves     decided, by how: "no point", "a point", "out of order", "mirrored"
    seconds    of wall time, all sittings added up       precision  of the arithmetic
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
    on_piece: Callable[[int, int, int], None] | None = None,
) -> Completeness:
    """Prove that the atlas has every critical point of a problem up to O(d) and permutations of the classes.

    Cross-entropy, balanced classes, K <= 3 with any d or d = 1 with any K (its cost grows fast beyond K = 4), with or
    without a bias; K = 4 with any d without a bias. Anything else is a refusal: proved is False, and `reason` says why.

    jobs      how many pieces are searched side by side, in processes of one thread each. Inside
              `joblib.parallel_config(backend="dask")` they go to the workers of a Dask cluster (`ufm.cluster`)
    seed      of the atlas, where none is given           atlas   the list to prove complete (`ufm.explore`)
    file      the certificate (JSON), which `ufm check` verifies; it is written as pieces are done, and gone on with
    force     begin anew, whatever the file holds
    on_piece  called with (pieces done, pieces, boxes) as pieces are done

    Ranks 0 and K - 1 have one orbit each by theorem. For the others a region is cut into boxes, of (t, u) in
    docs/theory, section 16.2, or from K = 4 on and without a bias of u in section 16.6. Each is shown to hold no
    critical point, or to lie in a box with exactly one, which the atlas lists.
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
    with nullcontext() if file is None else held(file):
        kind = ranges.Work if ranges.covers(problem) else Work
        work = kind(problem, atlas, None if file is None else Path(file), force)
        try:
            work.begin()
            work.search(jobs, on_piece)
            reason, missing = "", False
        except NotProved as failure:
            reason, missing = str(failure), failure.missing
        statement = f"not proved: {reason}" if reason else work.statement
        return Completeness(not reason, statement, reason, atlas.points, work.boxes, work.leaves, work.seconds, missing)


def out_of_scope(problem: Problem) -> str:
    """Why no proof is tried; empty where one is."""
    K, d = problem.num_classes, problem.dim
    if not isinstance(problem.loss, CrossEntropy):
        return f"the loss is {problem.loss.name!r}; only cross-entropy's list can be proved complete"
    if not problem.is_balanced:
        return "the classes are not balanced; only lists of balanced problems can be proved complete"
    if K > 4 and d > 1:
        free = [r * (K - 1 - r) for r in range(2, min(d, K - 2) + 1)]
        return f"points of rank 2 and more would need searches in {', '.join(map(str, free))} dimensions; take d = 1"
    if K == 4 and d > 1 and problem.bias:
        return "points of rank 2 at K = 4 are searched for without a bias only; take bias=False or d = 1"
    return ""


class Work:
    """The proof as it goes: what the file holds."""

    def __init__(self, problem: Problem, atlas: Atlas, file: Path | None, force: bool):
        self.problem, self.atlas, self.file, self.force = problem, atlas, file, force
        lb = problem.lambda_b if problem.bias else None
        self.system = System(problem.num_classes, problem.per_class, problem.lambda_w, problem.lambda_h, lb)
        self.region = Region(self.system)
        self.by_rank = Counter(p.rank for p in atlas.points)
        self.pieces: list[Piece | None] = []
        self.points: list[dict[str, list[float]]] = []
        self.seconds, self.started = 0.0, time.monotonic()

    @property
    def searched(self) -> bool:
        """Whether there can be points of rank 1 that are not of rank K - 1."""
        return self.problem.num_classes > 2

    @property
    def statement(self) -> str:
        ranks = ", ".join(f"{number} of rank {rank}" for rank, number in sorted(self.by_rank.items()))
        return (
            f"up to O({self.problem.dim}) and permutations of the classes the problem has exactly "
            f"{len(self.atlas.points)} critical points: {ranks}"
        )

    @property
    def leaves(self) -> dict[str, int]:
        counted = Counter("".join(piece.codes for piece in self.pieces if piece))
        kinds = {"no point": "x", "a point": POINTS, "out of order": "o", "mirrored": "m"}
        return {kind: sum(counted[c] for c in letters) for kind, letters in kinds.items()}

    @property
    def boxes(self) -> int:
        return sum(len(piece.codes) for piece in self.pieces if piece)

    def begin(self) -> None:
        """What theorems say of ranks 0 and K - 1, and the boxes about the listed points of rank 1."""
        K, problem = self.problem.num_classes, self.problem
        scale = self.system.kappa * float(K)  # (K s)^2
        if scale.lo <= 1 <= scale.hi:
            raise NotProved("the decay is at the collapse threshold, K^2 n lW lH = 1, where the origin is degenerate")
        expected = {0: 1, K - 1: int(bool(scale.hi < 1) and problem.dim >= K - 1)}
        for rank, number in expected.items():
            if (count := self.by_rank[rank]) != number:
                raise NotProved(f"the atlas lists {count} points of rank {rank}, and there are {number}", True)
        if not self.searched:
            return
        listed = [self._canonical(p) for p in self.atlas.points if p.rank == 1]
        if len(listed) > len(POINTS):
            raise NotProved(f"the atlas lists {len(listed)} points of rank 1; at most {len(POINTS)} are taken on")
        self.points = self._isolated(listed)
        self.pieces = [None] * len(self.region.pieces())
        if self.file is not None and self.file.is_file() and not self.force:
            self._restore(read_json(self.file))

    def _canonical(self, point: CriticalPoint) -> tuple[np.ndarray, np.ndarray]:
        """(t, u_2 ..) and the inner unknowns of a point of rank 1, about."""
        problem, K = self.problem, self.problem.num_classes
        axis = np.linalg.svd(point.point.W.numpy())[2][0]
        w, b = point.point.W.numpy() @ axis, point.point.b.numpy() if problem.bias else np.zeros(K)
        h = point.point.H.numpy() @ axis
        ways = []
        for sign in (1, -1):
            order = np.argsort(-sign * w, kind="stable")
            v, r = sign * w[order], float(w.max() - w.min())
            u = (v - v[-1]) / r
            ways.append((u[1] + u[-2], u, sign * h[order] * r, b[order] - b[order[-1]], r))
        _, u, zeta, beta, r = min(ways, key=lambda way: way[0])
        t = r**2 / (problem.num_samples * problem.lambda_h)
        return np.array([t, *u[1:-1]]), np.concatenate([zeta, beta[:-1]] if problem.bias else [zeta])

    def _isolated(self, listed: list[tuple[np.ndarray, np.ndarray]]) -> list[dict[str, list[float]]]:
        widths = [WIDEST] * len(listed)
        while True:
            found: list[tuple[np.ndarray, np.ndarray]] = []
            for i, (p, y) in enumerate(listed):
                box = single(self.region, p, y, widths[i])
                if box is None:
                    raise NotProved(
                        f"the atlas's point at t = {p[0]:.6g}, u = {p[1:].tolist()} is not proved isolated: it is "
                        "degenerate, or nearly"
                    )
                found.append(box)
            same = [(i, j) for i, j in itertools.combinations(range(len(found)), 2) if meet(found[i], found[j])]
            if not same:
                return [{"lo": lo.tolist(), "hi": hi.tolist()} for lo, hi in found]
            if min(widths) < 1e-6:
                i, j = same[0]
                raise NotProved(f"two of the atlas's points, {i} and {j} of rank 1, are not proved to differ")
            for i in {i for pair in same for i in pair}:
                widths[i] /= 2

    def search(self, jobs: int, on_piece: Callable[[int, int, int], None] | None) -> None:
        """Every piece that is not done yet; NotProved where one cannot be decided."""
        known = tuple(np.array([q[end] for q in self.points]).reshape(-1, self.system.outer) for end in ("lo", "hi"))
        cells = self.region.pieces() if self.searched else []
        todo = [i for i, piece in enumerate(self.pieces) if piece is None]
        tasks = [Task(self.region, *cells[i], known, MOST) for i in todo]  # type: ignore[arg-type]
        written = time.monotonic()
        before, self.started = self.seconds, time.monotonic()
        with spread(tasks, max(1, min(jobs, len(tasks)))) as results:
            for place, piece in in_order(results):
                self.seconds = before + time.monotonic() - self.started
                if piece.stuck:
                    raise self._lost(np.array(piece.stuck), known)
                self.pieces[todo[place]] = piece
                if self.file is not None and time.monotonic() - written > EVERY:
                    write_json(self.file, self.plain())
                    written = time.monotonic()
                if on_piece:
                    on_piece(sum(piece is not None for piece in self.pieces), len(self.pieces), self.boxes)
        if self.file is not None:
            write_json(self.file, self.plain())

    def _lost(self, place: np.ndarray, known: Any) -> NotProved:
        """Why a box was left: a critical point that the list does not have, or nothing that can be told."""
        z, m = place.copy(), self.system.outer
        for _ in range(30):
            jet = Jet(self.system, z[:m, None], z[m:, None])
            z = z - np.linalg.lstsq(jet.jacobian[..., 0], jet.value[:, 0], rcond=None)[0]
        where = f"t = {place[0]:.6g}, u = {np.round(place[1:m], 6).tolist()}"
        left = np.abs(Jet(self.system, z[:m, None], z[m:, None]).value).max()
        near = bool((np.abs(z - place) < 1e-4 * (1 + np.abs(place))).all() and left < 1e-12)
        listed = any(bool((z[:m] >= lo).all() and (z[:m] <= hi).all()) for lo, hi in zip(*known, strict=True))
        if near and not listed:
            return NotProved(f"the atlas misses a critical point of rank 1, at {where}", True)
        return NotProved(f"a box at {where} is not decided: it is too near a degenerate point, or too many are needed")

    def plain(self) -> dict[str, Any]:
        """The certificate, or what there is of it: pieces that are not done are null."""
        done = all(piece is not None for piece in self.pieces)
        return {
            "format": FORMAT,
            "problem": self.problem.settings(),
            "statement": self.statement if done else "not proved: pieces are left",
            "ranks": dict(sorted(self.by_rank.items())),
            "precision": PRECISION,
            "seconds": round(self.seconds, 1),
            "edges": self.region.edges if self.searched else [],
            "points": self.points,
            "pieces": [piece and {"codes": piece.codes, "cuts": list(piece.cuts)} for piece in self.pieces],
        }

    def _restore(self, stored: Any) -> None:
        """Go on from what `plain` gave; InputError names the file when it is about something else or damaged."""
        try:
            asked = self.plain()
            same = all(stored[name] == asked[name] for name in ("format", "problem", "edges", "points"))
            require(same, f"{self.file} is about another problem or list; name another file or remove it")
            pieces = [p and Piece(str(p["codes"]), tuple(map(float, p["cuts"]))) for p in stored["pieces"]]
            require(len(pieces) == len(self.pieces), f"{self.file} is damaged; remove it")
            self.pieces, self.seconds = pieces, float(stored["seconds"])
        except InputError:
            raise
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise InputError(f"{self.file} is damaged ({error!r}); remove it") from error


def meet(one: tuple[np.ndarray, np.ndarray], other: tuple[np.ndarray, np.ndarray]) -> bool:
    """Whether points of two boxes may have one t and, sorted or mirrored and sorted, one u."""
    (lo, hi), (low, high) = one, other
    if hi[0] < low[0] or high[0] < lo[0]:
        return False
    mirrored = Interval(1.0, 1.0) - Interval(low[1:], high[1:])
    ways = [(np.sort(low[1:]), np.sort(high[1:])), (np.sort(mirrored.lo), np.sort(mirrored.hi))]
    return any(bool((np.sort(lo[1:]) <= b).all() and (a <= np.sort(hi[1:])).all()) for a, b in ways)
