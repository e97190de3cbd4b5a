"""The proof over ranges as it goes, and what its file holds."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ...atlas import Atlas
from ...errors import InputError, require
from ...problem import Problem
from ...spread import in_order, spread
from ...storage.files import read_json, write_json
from ..refused import NotProved
from ..search import POINTS, Piece
from .listed import Sides, boxes, coordinates
from .region import Region
from .search import Task
from .system import Jet, System

FORMAT = "ufm completeness over ranges 1"
EVERY = 20.0  # seconds between two writings of the file
MOST = 3_000_000  # boxes in one piece
PRECISION = "float64 intervals, every operation rounded outward"


def covers(problem: Problem) -> bool:
    """Whether all ranks but 0 and K - 1 are 1 or K - 2, for K >= 4 balanced classes without a bias."""
    K = problem.num_classes
    return K >= 4 and not problem.bias and (problem.dim == 1 or K == 4)


@dataclass(eq=False)
class Search:
    """The points of one rank: the boxes of those that are listed, and the pieces of the region."""

    system: System
    listed: list[np.ndarray]
    points: list[Sides] = field(default_factory=list)
    pieces: list[Piece | None] = field(default_factory=list)

    def begin(self) -> None:
        rank, number = self.system.rank, len(self.listed)
        if number > len(POINTS):
            raise NotProved(f"the atlas lists {number} points of rank {rank}; at most {len(POINTS)} are taken on")
        self.points = boxes(self.system, self.listed)
        self.pieces = [None] * len(Region(self.system).pieces())

    def task(self, piece: int) -> Task:
        region = Region(self.system)
        known = tuple(np.array([p[end] for p in self.points]).reshape(-1, self.system.outer) for end in (0, 1))
        return Task(region, *region.pieces()[piece], known, MOST)  # type: ignore[arg-type]

    def lost(self, place: np.ndarray) -> NotProved:
        """Why a box was left: a critical point that the list does not have, or nothing that can be told."""
        z, m, rank = place.copy(), self.system.outer, self.system.rank
        for _ in range(30):
            jet = Jet(self.system, z[:m, None], z[m:, None])
            z = z - np.linalg.lstsq(jet.jacobian[..., 0], jet.value[:, 0], rcond=None)[0]
        where = f"u = {np.round(place[:m], 6).tolist()}"
        left = np.abs(Jet(self.system, z[:m, None], z[m:, None]).value).max()
        near = bool((np.abs(z - place) < 1e-4 * (1 + np.abs(place))).all() and left < 1e-11 * np.abs(z).max())
        if near and not any((z[:m] >= lo).all() and (z[:m] <= hi).all() for lo, hi in self.points):
            return NotProved(f"the atlas misses a critical point of rank {rank}, at {where}", True)
        return NotProved(
            f"a box of rank {rank} at {where} is not decided: it is too near a degenerate point, or too many are needed"
        )

    def plain(self) -> dict[str, Any]:
        return {
            "rank": self.system.rank,
            "edges": Region(self.system).edges,
            "points": [{"lo": lo.tolist(), "hi": hi.tolist()} for lo, hi in self.points],
            "pieces": [piece and {"codes": piece.codes, "cuts": list(piece.cuts)} for piece in self.pieces],
        }


class Work:
    """The proof of a problem that `covers` takes: a search for each rank from 1 to min(d, K - 2)."""

    def __init__(self, problem: Problem, atlas: Atlas, file: Path | None, force: bool):
        self.problem, self.atlas, self.file, self.force = problem, atlas, file, force
        K, decays = problem.num_classes, (problem.lambda_w, problem.lambda_h)
        self.scale = float(K) * System(K, problem.per_class, 1, *decays).kappa  # (K s)^2
        ranks = range(1, min(problem.dim, K - 2) + 1) if self.scale.hi < 1 else ()
        self.searches = [
            Search(
                System(K, problem.per_class, rank, *decays),
                [coordinates(p, rank) for p in atlas.points if p.rank == rank],
            )
            for rank in ranks
        ]
        self.by_rank = Counter(p.rank for p in atlas.points)
        self.seconds = 0.0

    @property
    def statement(self) -> str:
        ranks = ", ".join(f"{number} of rank {rank}" for rank, number in sorted(self.by_rank.items()))
        whole = f"up to O({self.problem.dim}) and permutations of the classes the problem has exactly"
        return f"{whole} {len(self.atlas.points)} critical points: {ranks}"

    @property
    def done(self) -> list[Piece]:
        return [piece for search in self.searches for piece in search.pieces if piece]

    @property
    def boxes(self) -> int:
        return sum(len(piece.codes) for piece in self.done)

    @property
    def leaves(self) -> dict[str, int]:
        counted = Counter("".join(piece.codes for piece in self.done))
        kinds = {"no point": "x", "a point": POINTS, "out of order": "o", "mirrored": "m"}
        return {kind: sum(counted[c] for c in letters) for kind, letters in kinds.items()}

    def begin(self) -> None:
        """What theorems say of the ranks that are not searched, and the boxes about the listed points of the others."""
        K, d = self.problem.num_classes, self.problem.dim
        if self.scale.lo <= 1 <= self.scale.hi:
            raise NotProved("the decay is at the collapse threshold, K^2 n lW lH = 1, where the origin is degenerate")
        below = bool(self.scale.hi < 1)
        expected = {0: 1, K - 1: int(below and d >= K - 1)} | ({} if below else dict.fromkeys(range(1, K - 1), 0))
        for rank, number in expected.items():
            if (count := self.by_rank[rank]) != number:
                raise NotProved(f"the atlas lists {count} points of rank {rank}, and there are {number}", True)
        for search in self.searches:
            search.begin()
        if self.file is not None and self.file.is_file() and not self.force:
            self._restore(read_json(self.file))

    def search(self, jobs: int, on_piece: Callable[[int, int, int], None] | None) -> None:
        """Every piece that is not done yet; NotProved where one cannot be decided."""
        places = [(search, i) for search in self.searches for i in range(len(search.pieces))]
        todo = [(search, i) for search, i in places if search.pieces[i] is None]
        before, started = self.seconds, time.monotonic()
        written = started
        with spread([search.task(i) for search, i in todo], max(1, min(jobs, len(todo)))) as results:
            for place, piece in in_order(results):
                self.seconds = before + time.monotonic() - started
                search, i = todo[place]
                if piece.stuck:
                    raise search.lost(np.array(piece.stuck))
                search.pieces[i] = piece
                if self.file is not None and time.monotonic() - written > EVERY:
                    write_json(self.file, self.plain())
                    written = time.monotonic()
                if on_piece:
                    on_piece(len(self.done), len(places), self.boxes)
        if self.file is not None:
            write_json(self.file, self.plain())

    def plain(self) -> dict[str, Any]:
        """The certificate, or what there is of it: pieces that are not done are null."""
        left = any(piece is None for search in self.searches for piece in search.pieces)
        return {
            "format": FORMAT,
            "problem": self.problem.settings(),
            "statement": "not proved: pieces are left" if left else self.statement,
            "ranks": dict(sorted(self.by_rank.items())),
            "precision": PRECISION,
            "seconds": round(self.seconds, 1),
            "searches": [search.plain() for search in self.searches],
        }

    def _restore(self, stored: Any) -> None:
        """Go on from what `plain` gave; InputError names the file when it is about something else or damaged."""
        try:
            same = _about(stored) == _about(self.plain())
            require(same, f"{self.file} is about another problem or list; name another file or remove it")
            for search, part in zip(self.searches, stored["searches"], strict=True):
                pieces = [p and Piece(str(p["codes"]), tuple(map(float, p["cuts"]))) for p in part["pieces"]]
                require(len(pieces) == len(search.pieces), f"{self.file} is damaged; remove it")
                search.pieces = pieces
            self.seconds = float(stored["seconds"])
        except InputError:
            raise
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise InputError(f"{self.file} is damaged ({error!r}); remove it") from error


def _about(data: dict[str, Any]) -> tuple[Any, ...]:
    """What a certificate is about: all but what was found."""
    return data["format"], data["problem"], [{**search, "pieces": None} for search in data["searches"]]
