"""The proof as it goes: the listed points of each rank, the regions of rank 1, their pieces, and the file of it all."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
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
from .listed import Listed, isolated, place
from .ranks import at_origin
from .region import Region, orders
from .search import POINTS, Piece, Task
from .system import Jet, System

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

    @cached_property
    def cells(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """(lo, hi) of each piece."""
        return self.region.pieces()

    @property
    def known(self) -> tuple[np.ndarray, np.ndarray]:
        """(lo, hi) (P, outer) of the points."""
        m = self.region.system.outer
        lo, hi = ([box[end] for box in self.points] for end in (0, 1))
        return np.array(lo).reshape(-1, m), np.array(hi).reshape(-1, m)

    @property
    def about(self) -> dict[str, Any]:
        """Which region it is."""
        return {"counts": list(self.region.system.counts)}

    def volume(self, piece: int) -> float:
        """Of a piece, in log(1 + t) and u."""
        lo, hi = self.cells[piece]
        return float((np.log1p(hi[0]) - np.log1p(lo[0])) * np.prod(hi[1:] - lo[1:]))

    def task(self, piece: int) -> Task:
        return Task(self.region, *self.cells[piece], self.known, MOST)

    def lost(self, where: np.ndarray) -> NotProved:
        """Why a box was left: a critical point that the list does not have, or nothing that can be told."""
        system = self.region.system
        said = f"t = {where[0]:.6g}, u = {np.round(where[1 : system.outer], 6).tolist()}{self.order}"
        z = self._settled(where)
        off = np.abs(self._jet(z).value).max()
        return self._told(where, z, bool(off < 1e-12), f"rank 1, at {said}")

    @property
    def order(self) -> str:
        """Of the classes, in words, where it matters."""
        counts = self.region.system.counts
        return f", class counts {', '.join(map(str, counts))} by falling u" if len(set(counts)) > 1 else ""

    def _jet(self, z: np.ndarray) -> Any:
        m = self.region.system.outer
        return Jet(self.region.system, z[:m, None], z[m:, None])

    def _settled(self, where: np.ndarray) -> np.ndarray:
        """Where Newton's method leads from there."""
        z = where.copy()
        for _ in range(30):
            jet = self._jet(z)
            z = z - np.linalg.lstsq(jet.jacobian[..., 0], jet.value[:, 0], rcond=None)[0]
        return z

    def _told(self, where: np.ndarray, z: np.ndarray, zero: bool, said: str) -> NotProved:
        """zero: whether z is a critical point, which then is new if it is near and not listed."""
        m, near = self.region.system.outer, bool((np.abs(z - where) < 1e-4 * (1 + np.abs(where))).all())
        if zero and near and not any((z[:m] >= lo).all() and (z[:m] <= hi).all() for lo, hi in self.points):
            return NotProved(f"the atlas misses a critical point of {said}", True)
        return NotProved(f"a box of {said} is not decided: it is too near a degenerate point, or too many are needed")

    def plain(self) -> dict[str, Any]:
        return {
            **self.about,
            "edges": self.region.edges,
            "points": [{"lo": lo.tolist(), "hi": hi.tolist()} for lo, hi in self.points],
            "pieces": [piece and {"codes": piece.codes, "cuts": list(piece.cuts)} for piece in self.pieces],
        }

    def restore(self, stored: Any) -> bool:
        """Take the pieces that `plain` gave; whether they were of this region and these points."""
        pieces = [p and Piece(str(p["codes"]), tuple(map(float, p["cuts"]))) for p in stored["pieces"]]
        same = all(stored[name] == value for name, value in self.plain().items() if name != "pieces")
        if same and len(pieces) == len(self.pieces):
            self.pieces = pieces
        return same and len(pieces) == len(self.pieces)


class Work:
    """The proof as it goes: what the file holds."""

    format, parts = "ufm completeness 2", "orders"  # of the certificate; what its regions are

    def __init__(self, problem: Problem, atlas: Atlas, file: Path | None, force: bool):
        self.problem, self.atlas, self.file, self.force = problem, atlas, file, force
        self.by_rank = Counter(p.rank for p in atlas.points)
        self.sought = self.regions()

    def regions(self) -> Sequence[Sought]:
        """What there is to search."""
        return [Sought(Region(system)) for system in systems(self.problem)]

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
        """The boxes about the listed points, and what theorems say of ranks 0 and K - 1."""
        K = self.problem.num_classes
        origin = at_origin(systems(self.problem)[0])
        if origin is None:
            raise NotProved("the decay is at the collapse threshold, or too near it, where the origin is degenerate")
        self.expect(0, 1)
        if K == 2:
            self.expect(1, int(not origin))
            return
        places = self.places()
        boxes = isolated(places)
        if isinstance(boxes, str):
            raise NotProved(boxes)
        for at, box in zip(places, boxes, strict=True):
            self.sought[at.order].points.append(box)
        if (most := max((len(sought.points) for sought in self.sought), default=0)) > len(POINTS):
            raise NotProved(f"the atlas lists {most} points in one region; at most {len(POINTS)} are taken on")
        self.expect(K - 1, self._of_top_rank(origin, places))
        for sought in self.sought:
            sought.pieces = [None] * len(sought.cells)
        if self.file is not None and self.file.is_file() and not self.force:
            self._restore(read_json(self.file))

    def places(self) -> Sequence[Listed]:
        """The listed points that are searched for."""
        regions = [sought.region for sought in self.sought]
        return [place(self.problem, p, regions) for p in self.atlas.points if p.rank == 1]

    def expect(self, rank: int, number: int) -> None:
        if (count := self.by_rank[rank]) != number:
            raise NotProved(f"the atlas lists {count} points of rank {rank}, and there are {number}", True)

    def _of_top_rank(self, origin: bool, places: Sequence[Listed]) -> int:
        """How many points of rank K - 1 there are: none where d is smaller, or a point of lower rank is global."""
        if self.problem.dim < self.problem.num_classes - 1 or origin:
            return 0
        for at in places:
            lower = at.is_global()
            if lower is None:
                raise NotProved(f"whether the point of {at.said} is a global minimiser is not decided")
            if lower:
                return 0
        return 1

    def search(self, jobs: int, on_piece: Callable[[int, int, int, float], None] | None) -> None:
        """Every piece that is not done yet; NotProved where one cannot be decided."""
        pieces = [(sought, i) for sought in self.sought for i in range(len(sought.pieces))]
        todo = [(sought, i) for sought, i in pieces if sought.pieces[i] is None]
        whole, left = (sum(sought.volume(i) for sought, i in some) for some in (pieces, todo))
        written = time.monotonic()
        try:
            with spread([sought.task(i) for sought, i in todo], max(1, min(jobs, len(todo)))) as results:
                for at, piece in in_order(results):
                    sought, i = todo[at]
                    if piece.stuck:
                        raise sought.lost(np.array(piece.stuck))
                    sought.pieces[i] = piece
                    left -= sought.volume(i)
                    if time.monotonic() - written > EVERY:
                        self._write()
                        written = time.monotonic()
                    if on_piece:
                        done = len(pieces) - len(todo) + at + 1
                        on_piece(done, len(pieces), self.boxes, 1 - max(0.0, left) / whole)
        finally:
            self._write()

    def _write(self) -> None:
        if self.file is not None:
            write_json(self.file, self.plain())

    def plain(self) -> dict[str, Any]:
        """The certificate, or what there is of it: pieces that are not done are null."""
        done = all(piece is not None for piece in self.pieces)
        return {
            "format": self.format,
            "problem": self.problem.settings(),
            "statement": self.statement if done else "not proved: pieces are left",
            "ranks": dict(sorted(self.by_rank.items())),
            "precision": PRECISION,
            self.parts: [sought.plain() for sought in self.sought if sought.pieces],
        }

    def _restore(self, stored: Any) -> None:
        """Go on from what `plain` gave; InputError names the file when it is about something else or damaged."""
        try:
            asked, parts = self.plain(), stored.get(self.parts, [])
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
