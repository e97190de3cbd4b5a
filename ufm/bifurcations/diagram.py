"""The bifurcation diagram of a path: every branch of critical points up to symmetry, and every event, to 1e-6 in t."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise
from math import factorial
from pathlib import Path as FilePath
from typing import Any

import torch

from ..atlas.symmetry import same_point
from ..errors import InputError, Setting, require
from ..grids import explore
from ..problem import Problem
from ..results import Result, Shown, Table
from ..storage.files import read_json, write_json
from ..storage.locks import held
from .branches import CROSSING, FOLD, LOSS, PITCHFORK, Piece, curve_through, pieces, symmetries
from .branches import Event as Seen
from .curve import Place
from .looks import Look, Looks
from .path import Path

SAME = 1e-6  # events this near in t, relative to it, are one where f is the same as well
LEVEL = 1e-8
NARROW = 1e-4  # part of the path: between events nearer than this no sum is made


@dataclass(frozen=True)
class Branch(Result):
    """Critical points along which t grows and neither index nor symmetry changes, one up to symmetry at each t.

    partition   the classes in blocks of equal ones     copies  how many class-permuted versions differ up to sign
    index       of the Hessian                          found_from  the t of the atlas whose point leads to it
    t           ascending                               level, norm  f and |W| there
    kurtosis    m4/m2^2 of the entries of W about their mean, which tells shapes apart; 0 at the origin
    events      the places in `Diagram.events` where it begins and ends; None at an end of the path
    """

    partition: tuple[tuple[int, ...], ...]
    copies: int
    index: int
    found_from: float
    t: tuple[float, ...]
    level: tuple[float, ...]
    norm: tuple[float, ...]
    kurtosis: tuple[float, ...]
    events: tuple[int | None, int | None]

    derived = ("shape",)

    @property
    def shape(self) -> str:
        """The sizes of the partition's blocks: "3+1+1"."""
        return "+".join(str(len(block)) for block in self.partition)

    def covers(self, t: float) -> bool:
        return self.t[0] <= t <= self.t[-1]


@dataclass(frozen=True)
class Event(Result):
    """Where branches meet, split or turn.

    t      to 1e-6        kind  "fold", "pitchfork" or "crossing" (transcritical)
    level  f there        norm, kurtosis  as of branches
    zeros  how many eigenvalues pass 0 on the branch with the most symmetries (on the branch itself, at a fold)
    partition  the classes that are equal there, in blocks
    """

    t: float
    kind: str
    level: float
    norm: float
    kurtosis: float
    zeros: int
    partition: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Count(Result):
    """Between two events, or an event and an end of the path: t in the middle; the critical points, with copies and
    both signs, and their Euler sum, 1 where none is missing.
    """

    t: float
    points: int
    euler: int


@dataclass(frozen=True)
class Diagram(Shown, Result):
    """Branches by where they begin, events and counts by t.

    looks    where atlases were made
    missing  of their points, those through which no branch could be followed: (t, level)
    """

    path: Path
    branches: tuple[Branch, ...]
    events: tuple[Event, ...]
    counts: tuple[Count, ...]
    looks: tuple[float, ...]
    missing: tuple[tuple[float, float], ...]

    def at(self, t: float) -> list[Branch]:
        """The branches that there are at t (one end of each event's at the event itself)."""
        return [branch for branch in self.branches if branch.covers(t)]

    def as_table(self) -> Table:
        """A row a branch; below, the events."""
        rows = [(b.t[0], b.t[-1], b.shape, b.copies, b.index, b.level[0], b.level[-1]) for b in self.branches]
        columns = (f"{self.path.along} from", "to", "classes", "copies", "index", "f at the first", "f at the last")
        title = f"branches of critical points at d = 1: {len(self.branches)}, with {len(self.events)} events"
        return Table(title, columns, rows, notes=self.complaints)

    @property
    def complaints(self) -> list[str]:
        """What shows that the diagram is not complete, a line each."""
        wrong = [f"the Euler sum at {self.path.along} = {c.t:.6g} is {c.euler}" for c in self.counts if c.euler != 1]
        lost = [f"no branch was followed through f = {level:.8f} at {t:.6g}" for t, level in self.missing]
        return wrong + lost


def diagram(
    path: Path,
    *,
    looks: int = 3,
    seed: int = 0,
    until_quiet: int = 300,
    on_look: Callable[[float, int], None] | None = None,
    atlases: Callable[[Looks], Iterable[Look]] = lambda grid: map(grid.survey, grid.problems),
) -> Diagram:
    """The bifurcation diagram of a path of problems at d = 1.

    looks        at how many t, evenly from end to end, an atlas is made (`ufm.atlas.explore`, with seed and
                 until_quiet); through each of its points that lies on no branch so far a curve is followed both ways
    on_look      called with each such t and the number of branches so far
    atlases      makes them, in order

    A branch that no look meets, from an event to an event between two of them, is missed; then the Euler sums between
    the events tell, unless misses cancel. Raises InputError for settings out of range.
    """
    grid, search = Looks(path, looks, seed, until_quiet), _Search(path)
    for t, look in zip(grid.places, atlases(grid), strict=True):
        for x in look.points:
            search.through(x, t)
        search.looks.append(t)
        if on_look:
            on_look(t, len(search.found))
    return search.diagram()


def kept_diagram(
    path: Path,
    file: FilePath | str,
    *,
    looks: int = 3,
    seed: int = 0,
    jobs: int = 1,
    force: bool = False,
    made_by: dict[str, Any] | None = None,
    on_look: Callable[[float, int], None] | None = None,
    track: Callable[[Iterable[Problem]], Iterable[Problem]] = iter,
) -> Diagram:
    """The diagram that a JSON file has of this path, looks and seed; else it is made, and written there in one move.

    Each finished atlas is kept in looks.json beside the file, so a search that was stopped, however it was, goes on.
    jobs, track  as for `ufm.grids.explore`: how many atlases are made side by side; shows their progress
    force        make it anew, whatever the files hold      made_by  goes into the files as well

    Raises InputError for files of another question, or damaged ones, and where another process writes them.
    """
    with held(file):
        if FilePath(file).is_file() and not force:
            return _read(file, path, looks, seed)
        kept: dict[str, Any] = {"jobs": jobs, "force": force, "made_by": made_by, "track": track}
        beside = FilePath(file).with_name("looks.json")
        found = diagram(path, looks=looks, seed=seed, on_look=on_look, atlases=lambda g: explore(g, beside, **kept))
        write_json(file, {"command": "bifurcations", "seed": seed} | found.plain() | (made_by or {}))
    return found


def _read(file: FilePath | str, path: Path, looks: int, seed: int) -> Diagram:
    anew = ("choose another name, or begin anew with ", Setting("force", True))
    stored = read_json(file)
    try:
        found = Diagram.from_plain({name: stored[name] for name in Diagram.__dataclass_fields__})
        same = found.path == path and len(found.looks) == looks and stored["seed"] == seed
    except (InputError, KeyError, TypeError) as error:
        raise InputError(f"{file} is damaged, or no diagram of bifurcations", anew) from error
    require(same, f"{file} is about another path, seed or number of looks", anew)
    return found


@dataclass(frozen=True, eq=False)
class _Track:
    """A piece whose places are sorted by t."""

    piece: Piece
    found_from: float

    @property
    def ends(self) -> tuple[float, float]:
        return self.piece.places[0].t, self.piece.places[-1].t

    @property
    def middle(self) -> Place:
        """A place within: at an event an eigenvalue is 0, and its sign is rounding."""
        places = self.piece.places
        if len(places) > 2:
            return places[len(places) // 2]
        if None in (self.piece.first, self.piece.last):
            return places[0] if self.piece.first is None else places[1]
        one, two = places
        return one.curve.start((one.x + two.x) / 2, (one.t + two.t) / 2, True) or two


class _Search:
    """What was followed so far."""

    def __init__(self, path: Path):
        self.path = path
        self.found: list[_Track] = []
        self.looks: list[float] = []
        self.missing: list[tuple[float, float]] = []

    def through(self, x: torch.Tensor, t: float) -> None:
        """Follow the curve of the critical point x at t both ways, unless it is on a track."""
        path = self.path
        if any(self._meets(track, x, t) for track in self.found):
            return
        starts = [curve_through(path, x, t).start(x, t, forward) for forward in (True, False)]
        if not all(starts):
            self.missing.append((t, path.local(x, t).value))
        halves = [list(pieces(start)) for start in starts if start and self._leads_inside(start)]
        if len(halves) == 2:
            (first, *later), (back, *earlier) = halves
            joined = Piece([*reversed(back.places), *first.places[1:]], back.last, first.last)
            halves = [[joined, *later, *earlier]]
        self.found += [_Track(_ascending(piece), t) for half in halves for piece in half if len(piece.places) > 1]

    def _leads_inside(self, start: Place) -> bool:
        return start.t < self.path.end if start.turn > 0 else start.t > self.path.begin

    def _meets(self, track: _Track, x: torch.Tensor, t: float) -> bool:
        """Whether a track goes through the critical point x at t, up to symmetry."""
        places, (low, high) = track.piece.places, track.ends
        if not low - 1e-9 <= t <= high + 1e-9:
            return False
        near = min(places, key=lambda place: abs(place.t - t))
        i = next((i for i in range(1, len(places)) if places[i].t >= t), len(places) - 1)
        one, two = places[i - 1], places[i]
        part = (t - one.t) / (two.t - one.t) if two.t > one.t else 0.0
        there = near.curve.start(one.x + part * (two.x - one.x), t, True)
        if there is None:
            return False
        one_logits, other_logits = (self.path.logits(y, t).numpy() for y in (there.x, x))
        return same_point(one_logits, other_logits, (1,) * self.path.num_classes)

    def diagram(self) -> Diagram:
        groups = self._groups()
        place_of = {id(event): i for i, group in enumerate(groups) for event in group}
        branches = [self._branch(track, place_of) for track in self.found]
        events = [self._event(group) for group in groups]
        counts = [self._count(branches, t) for t in self._between([event.t for event in events])]
        order = sorted(branches, key=lambda branch: (branch.t[0], branch.level[0]))
        return Diagram(self.path, tuple(order), tuple(events), tuple(counts), tuple(self.looks), tuple(self.missing))

    def _groups(self) -> list[list[Seen]]:
        """The events of all tracks by t, those that are one together."""
        seen = {id(e): e for track in self.found for e in (track.piece.first, track.piece.last) if e}
        groups: list[list[Seen]] = []
        for event in sorted(seen.values(), key=lambda e: e.place.t):
            for group in groups:
                first = group[0].place
                near = abs(first.t - event.place.t) <= SAME * (1 + abs(first.t))
                if near and abs(first.level - event.place.level) <= LEVEL:
                    group.append(event)
                    break
            else:
                groups.append([event])
        return groups

    def _event(self, group: list[Seen]) -> Event:
        kinds = {event.kind for event in group}
        most = max(group, key=lambda event: (symmetries(event.place), event.kind == LOSS))
        place = most.place
        kind = next((k for k in (CROSSING, PITCHFORK, FOLD) if k in kinds), PITCHFORK)
        norm = float(place.x[: self.path.num_classes].norm())
        rows = self.path.family(place.t).partition(place.x)
        shape = _kurtosis(place.x[: self.path.num_classes])
        return Event(place.t, kind, place.level, norm, shape, most.zeros, rows)

    def _branch(self, track: _Track, place_of: dict[int, int]) -> Branch:
        places, middle = track.piece.places, track.middle
        K = self.path.num_classes
        first, last = track.piece.first, track.piece.last
        return Branch(
            partition=self.path.family(middle.t).partition(middle.x),
            copies=factorial(K) // symmetries(middle),
            index=middle.index,
            found_from=track.found_from,
            t=tuple(place.t for place in places),
            level=tuple(place.level for place in places),
            norm=tuple(float(place.x[:K].norm()) for place in places),
            kurtosis=tuple(_kurtosis(place.x[:K]) for place in places),
            events=(place_of[id(first)] if first else None, place_of[id(last)] if last else None),
        )

    def _between(self, events: list[float]) -> list[float]:
        marks = [self.path.begin, *events, self.path.end]
        least = NARROW * (self.path.end - self.path.begin)
        return [(a + b) / 2 for a, b in pairwise(marks) if b - a > least]

    @staticmethod
    def _count(branches: list[Branch], t: float) -> Count:
        there = [branch for branch in branches if branch.covers(t)]
        both = [(1 if len(branch.partition) == 1 else 2 * branch.copies, branch.index) for branch in there]
        return Count(t, sum(n for n, _ in both), sum((-1) ** index * n for n, index in both))


def _kurtosis(w: torch.Tensor) -> float:
    about = w - w.mean()
    square = float(about.square().mean())
    return float(about.pow(4).mean()) / square**2 if square > 0 else 0.0


def _ascending(piece: Piece) -> Piece:
    if piece.places[0].t <= piece.places[-1].t:
        return piece
    return Piece(piece.places[::-1], piece.last, piece.first)
