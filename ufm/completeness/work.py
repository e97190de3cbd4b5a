"""The proof as it goes: the listed points of each rank, the regions of rank 1, their pieces, and the file of it all."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..atlas import Atlas
from ..errors import InputError, require
from ..losses import LabelSmoothing
from ..problem import Problem
from ..results.words import counted
from ..spread import in_order, spread
from ..storage.files import read_json, write_json
from .listed import NARROW, Place, isolated, place
from .ranks import at_origin, at_point
from .region import Region, orders
from .search import POINTS, Piece, Task
from .system import Jet, System

FORMAT = "ufm completeness 2"
EVERY = 20.0  # seconds between two writings of the file
MOST = 3_000_000  # boxes in one piece
PRECISION = "float64 intervals, every operation rounded outward"


class NotProved(Exception):
    """A step that did not go through; missing: the list lacks a point."""

    def __init__(self, reason: str, missing: bool = False):
        super().__init__(reason)
        self.missing = missing


def systems(problem: Problem) -> list[System]:
    """The system of rank 1, of each order of the class counts."""
    decays = problem.lambda_w, problem.lambda_h, problem.lambda_b if problem.bias else None
    smoothing = problem.loss.smoothing if isinstance(problem.loss, LabelSmoothing) else 0.0
    return [System(order, *decays, smoothing) for order in orders(problem.class_counts)]


@dataclass(eq=False)
class Sought:
    """What there is of one region: the boxes [lo, hi] of the listed points in it, and its pieces (None: to be done)."""

    region: Region
    points: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)
    pieces: list[Piece | None] = field(default_factory=list)

    @property
    def known(self) -> tuple[np.ndarray, np.ndarray]:
        """(lo, hi) (P, outer) of the points."""
        m = self.region.system.outer
        lo, hi = ([box[end] for box in self.points] for end in (0, 1))
        return np.array(lo).reshape(-1, m), np.array(hi).reshape(-1, m)

    def plain(self) -> dict[str, Any]:
        return {
            "counts": list(self.region.system.counts),
            "edges": self.region.edges,
            "points": [{"lo": lo.tolist(), "hi": hi.tolist()} for lo, hi in self.points],
            "pieces": [piece and {"codes": piece.codes, "cuts": list(piece.cuts)} for piece in self.pieces],
        }

    def restore(self, stored: Any) -> bool:
        """Take the pieces that `plain` gave; whether they were of this region and these points."""
        asked = self.plain()
        pieces = [p and Piece(str(p["codes"]), tuple(map(float, p["cuts"]))) for p in stored["pieces"]]
        same = all(stored[name] == asked[name] for name in ("counts", "edges", "points"))
        if same and len(pieces) == len(self.pieces):
            self.pieces = pieces
        return same and len(pieces) == len(self.pieces)


class Work:
    """The proof as it goes: what the file holds."""

    def __init__(self, problem: Problem, atlas: Atlas, file: Path | None, force: bool):
        self.problem, self.atlas, self.file, self.force = problem, atlas, file, force
        self.sought = [Sought(Region(system)) for system in systems(problem)]
        self.by_rank = Counter(p.rank for p in atlas.points)

    @property
    def pieces(self) -> list[Piece | None]:
        return [piece for sought in self.sought for piece in sought.pieces]

    @property
    def statement(self) -> str:
        ranks = ", ".join(f"{number} of rank {rank}" for rank, number in sorted(self.by_rank.items()))
        whole = f"up to {symmetries(self.problem)} the problem has exactly"
        return f"{whole} {counted(len(self.atlas.points), 'critical point')}: {ranks}"

    @property
    def leaves(self) -> dict[str, int]:
        found = Counter("".join(piece.codes for piece in self.pieces if piece))
        kinds = {"no point": "x", "a point": POINTS, "out of order": "o", "mirrored": "m"}
        return {kind: sum(found[c] for c in letters) for kind, letters in kinds.items()}

    @property
    def boxes(self) -> int:
        return sum(len(piece.codes) for piece in self.pieces if piece)

    def begin(self) -> None:
        """The boxes about the listed points of rank 1, and what theorems say of ranks 0 and K - 1."""
        K, problem = self.problem.num_classes, self.problem
        system = self.sought[0].region.system
        origin = at_origin(system)
        if origin is None:
            raise NotProved("the decay is at the collapse threshold, or too near it, where the origin is degenerate")
        self._expect(0, 1)
        if K == 2:
            self._expect(1, int(not origin))
            return
        regions = [sought.region for sought in self.sought]
        places = [place(problem, p, regions) for p in self.atlas.points if p.rank == 1]
        boxes = isolated(places)
        if isinstance(boxes, str):
            raise NotProved(boxes)
        for at, box in zip(places, boxes, strict=True):
            self.sought[at.order].points.append(box)
        if (most := max(len(sought.points) for sought in self.sought)) > len(POINTS):
            raise NotProved(f"the atlas lists {most} points of rank 1 in one order; at most {len(POINTS)} are taken on")
        for sought in self.sought:
            sought.pieces = [None] * len(sought.region.pieces())
        self._expect(K - 1, self._of_top_rank(origin, places))
        if self.file is not None and self.file.is_file() and not self.force:
            self._restore(read_json(self.file))

    def _expect(self, rank: int, number: int) -> None:
        if (count := self.by_rank[rank]) != number:
            raise NotProved(f"the atlas lists {count} points of rank {rank}, and there are {number}", True)

    def _of_top_rank(self, origin: bool, places: list[Place]) -> int:
        """How many points of rank K - 1 there are: none where d is smaller, or a point of lower rank is global."""
        if self.problem.dim < self.problem.num_classes - 1 or origin:
            return 0
        for at in places:
            box = at.box(NARROW)
            lower = None if box is None else at_point(at.region.system, box, at.y)
            if lower is None:
                raise NotProved(
                    f"whether the point at t = {at.p[0]:.6g}, u = {at.p[1:].tolist()} is global is not decided"
                )
            if lower:
                return 0
        return 1

    def search(self, jobs: int, on_piece: Callable[[int, int, int, float], None] | None) -> None:
        """Every piece that is not done yet; NotProved where one cannot be decided."""
        cells = [(sought, i, cell) for sought in self.sought for i, cell in enumerate(sought.region.pieces())]
        todo = [(sought, i, cell) for sought, i, cell in cells if sought.pieces and sought.pieces[i] is None]
        tasks = [Task(sought.region, *cell, sought.known, MOST) for sought, _, cell in todo]
        whole, left = (sum(volume(*cell) for _, _, cell in some) for some in (cells, todo))
        written = time.monotonic()
        try:
            with spread(tasks, max(1, min(jobs, len(tasks)))) as results:
                for at, piece in in_order(results):
                    sought, i, cell = todo[at]
                    if piece.stuck:
                        raise self._lost(np.array(piece.stuck), sought)
                    sought.pieces[i] = piece
                    left -= volume(*cell)
                    if time.monotonic() - written > EVERY:
                        self._write()
                        written = time.monotonic()
                    if on_piece:
                        done = len(cells) - len(todo) + at + 1
                        on_piece(done, len(cells), self.boxes, 1 - max(0.0, left) / whole)
        finally:
            self._write()

    def _write(self) -> None:
        if self.file is not None:
            write_json(self.file, self.plain())

    def _lost(self, where: np.ndarray, sought: "Sought") -> NotProved:
        """Why a box was left: a critical point that the list does not have, or nothing that can be told."""
        system = sought.region.system
        z, m = where.copy(), system.outer
        for _ in range(30):
            jet = Jet(system, z[:m, None], z[m:, None])
            z = z - np.linalg.lstsq(jet.jacobian[..., 0], jet.value[:, 0], rcond=None)[0]
        said = f"t = {where[0]:.6g}, u = {np.round(where[1:m], 6).tolist()}"
        if not self.problem.is_balanced:
            said += f", class counts {', '.join(map(str, system.counts))} by falling u"
        off = np.abs(Jet(system, z[:m, None], z[m:, None]).value).max()
        near = bool((np.abs(z - where) < 1e-4 * (1 + np.abs(where))).all() and off < 1e-12)
        listed = any(bool((z[:m] >= lo).all() and (z[:m] <= hi).all()) for lo, hi in sought.points)
        if near and not listed:
            return NotProved(f"the atlas misses a critical point of rank 1, at {said}", True)
        return NotProved(f"a box at {said} is not decided: it is too near a degenerate point, or too many are needed")

    def plain(self) -> dict[str, Any]:
        """The certificate, or what there is of it: pieces that are not done are null."""
        done = all(piece is not None for piece in self.pieces)
        return {
            "format": FORMAT,
            "problem": self.problem.settings(),
            "statement": self.statement if done else "not proved: pieces are left",
            "ranks": dict(sorted(self.by_rank.items())),
            "precision": PRECISION,
            "orders": [sought.plain() for sought in self.sought] if self.problem.num_classes > 2 else [],
        }

    def _restore(self, stored: Any) -> None:
        """Go on from what `plain` gave; InputError names the file when it is about something else or damaged."""
        try:
            asked, parts = self.plain(), stored.get("orders", [])
            same = all(stored[name] == asked[name] for name in ("format", "problem")) and len(parts) == len(self.sought)
            same = same and all(sought.restore(part) for sought, part in zip(self.sought, parts, strict=True))
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise InputError(f"{self.file} is damaged ({error!r}); remove it") from error
        require(same, f"{self.file} is about another problem or list, or damaged; name another file or remove it")


def symmetries(problem: Problem) -> str:
    """What orbits are taken of, in words."""
    if problem.is_balanced:
        return f"O({problem.dim}) and permutations of the classes"
    alike = len(set(problem.class_counts)) < problem.num_classes
    return f"O({problem.dim})" + (" and permutations of classes of equal counts" if alike else "")


def volume(lo: np.ndarray, hi: np.ndarray) -> float:
    """Of a box, in log(1 + t) and u."""
    return float((np.log1p(hi[0]) - np.log1p(lo[0])) * np.prod(hi[1:] - lo[1:]))
