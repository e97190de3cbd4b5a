"""The search for every critical point: its parts, and its state, which can be stopped and gone on with.

It goes rank by rank, since a rank-r point of the problem with d = r is one for every larger d:
  1. `partitions`: the subspaces of points whose classes are equal within the blocks of a partition (theory: the
     principle of symmetric criticality);
  2. `reflections`: those of one involution of the classes, paired with reflections of features: of K = 7 on they hold
     nearly all points, each in few coordinates;
  3. `at_random`: random starts, until so many in a row have found nothing new at every rank;
  4. `by_sums`: an Euler sum that is not 1 shows that a point is missing: its subspace is searched;
  5. `by_descents`: the gradient flow from every saddle; where it rests at an unknown point, that is entered too.
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from ..errors import InputError, require
from ..problem import Problem
from ..proofs import Followed
from ..results import Result
from ..solvers.critical import origin
from ..spread import in_order, spread
from ..storage.files import read_json, write_json
from .catalogue import Catalogue, Entry
from .connections import FlowLines
from .euler import EulerSum, Ledger
from .family import Family
from .involutions import Action, Element, actions, elements
from .search import CONVERGED, Round
from .subspaces import Blocks, Symmetry
from .symmetry import partitions

BATCH = 200  # random starts a round
MOST = 12  # Euler sums that are not 1 whose subspaces are searched at a time
COUNTS = ("hidden", "followed", "excluded", "tried")  # what the catalogue counts beside its entries
SLOW = 0.1  # seconds: a file that is written faster is written after every round
FLAT = 1e-6  # an eigenvalue below this, relative to the largest, makes a point flat


@dataclass(frozen=True)
class Descent(Result):
    """A flow line from point `start`, first along a direction of eigenvalue `eigenvalue`, to point `end`.

    end is None where the flow did not come to rest.
    """

    start: int
    eigenvalue: float
    end: int | None


@dataclass
class Exploration:
    """What was found so far and how far each part got; all of it is in `file` after every round, or after some where
    that takes long.

    starts, quiet  by rank: random starts that converged, and how many of the last ones in a row found nothing new
    barren         by rank: how many rounds of random starts in a row found nothing new
    rounds         by part of the search: how many rounds it had (each has its own random numbers)
    descents       from each point of the catalogue, by place, that has had its turn
    """

    problem: Problem
    seed: int = 0
    jobs: int = 1
    file: Path | None = None
    on_round: Callable[["Exploration", str], None] | None = None
    catalogue: Catalogue = field(init=False)
    rounds: dict[str, int] = field(default_factory=dict)
    starts: dict[int, int] = field(default_factory=dict)
    quiet: dict[int, int] = field(default_factory=dict)
    barren: dict[int, int] = field(default_factory=dict)
    descents: dict[int, list[Descent]] = field(default_factory=dict)
    _due: float = 0.0  # when the file may be written again

    def __post_init__(self) -> None:
        self.catalogue = Catalogue(self.problem)
        nothing, zero = Family(self.problem, 0), origin(self.problem)
        self.catalogue.add(nothing, nothing.landscape.pack(zero.W[:, :0], zero.H[:, :0], zero.b), "origin")
        self.starts, self.quiet, self.barren = (dict.fromkeys(self.ranks, 0) for _ in range(3))
        if self.file is not None and self.file.is_file():
            self._restore(read_json(self.file))

    @property
    def ranks(self) -> range:
        """1 .. min(d, the largest rank that a critical point has)"""
        return range(1, min(self.problem.dim, self.problem.largest_rank) + 1)

    @property
    def _fewer(self) -> int:
        """By how much the rank of a point is less, at least, than the number of its different classes."""
        return int(self.problem.shift is not None)

    def partitions(self) -> None:
        """Once: every kind of partition with fewer blocks than classes, coarse ones first, at every rank."""
        if "partitions" in self.rounds:
            return
        tasks: list[Round] = []
        for blocks in self._partitions():
            for rank in self.ranks:
                if rank <= len(blocks) - self._fewer and len(blocks) < self.problem.num_classes:
                    tasks.append(self._round_among(blocks, rank, 60, len(tasks)))
        self._work(tasks, "partitions of the classes", self._take)
        self._next_seed("partitions")

    def reflections(self) -> None:
        """Every kind of one involution, with every number of features that it leaves alone and that it turns round (at
        least one: else it is a partition), each until two rounds have found nothing new."""
        every = [pair for action in actions(self.problem.kinds, 1)[1:] for pair in self._reflected(action)]
        tasks = [self._round_of(*pair) for pair in every]
        while loud := [task for task in tasks if self.rounds.get(f"{task.part}, fruitless", 0) < 2]:
            had = [self.rounds.get(task.part, 0) + self.rounds.get(f"{task.part}, fruitless", 0) for task in loud]
            seeds = [self._seed(task.part, number + 1) for task, number in zip(loud, had, strict=True)]
            seeded = [replace(task, seed=seed) for task, seed in zip(loud, seeds, strict=True)]
            self._work(seeded, "involutions of the classes", self._take)

    def _reflected(self, action: Action) -> Iterator[tuple[Action, list[Element]]]:
        """The action with characters of the features: as many of a sign as can be independent."""
        alone, turned = elements(1)
        pairs = sum(len(stabiliser) == 1 for stabiliser, _ in action.orbits)
        for kept in range(len(action.orbits) - self._fewer + 1):
            for more in range(1, min(pairs, self.ranks.stop - 1 - kept) + 1):
                yield action, [alone] * kept + [turned] * more

    def _round_of(self, action: Action, characters: list[Element]) -> Round:
        """A round among the points that keep an involution, each feature having its character."""
        name, symmetry = f"symmetry {action.name}", Symmetry.of(action, characters)
        signs = "".join("+-"[c] for (c,) in characters)
        starts = 20 * self.problem.num_classes
        return Round(self.problem, len(characters), starts, (), name, symmetry, part=f"{name}: {signs}")

    def coarse_partitions(self, most: int, starts: int) -> None:
        """Every kind of partition into 2 to `most` blocks, at the rank that its blocks have in general position."""
        wanted = [blocks for blocks in self._partitions() if self._fewer < len(blocks) <= most]
        ranks = [min(len(blocks) - self._fewer, *self.ranks[-1:]) for blocks in wanted]
        tasks = [self._round_among(*pair, starts, i) for i, pair in enumerate(zip(wanted, ranks, strict=True))]
        self._work(tasks, "partitions of the classes", self._take)

    def _partitions(self) -> list[Blocks]:
        return sorted(partitions(self.problem.kinds), key=len)

    def _round_among(self, blocks: Blocks, rank: int, starts: int, number: int) -> Round:
        """A round among the points of that rank whose classes are equal within the blocks."""
        name = "partition " + "+".join(map(str, sorted(map(len, blocks), reverse=True)))
        symmetry = Symmetry.within(blocks, rank)
        return Round(self.problem, rank, starts, (self.seed, number), name, symmetry)

    def at_random(self, until_quiet: int) -> None:
        """Rounds of random starts at every rank where fewer than `until_quiet` in a row found nothing new.

        Where hardly any converge, rounds of four times as many starts are enough.
        """
        enough = 4 * math.ceil(until_quiet / BATCH)
        while loud := [r for r in self.ranks if self.quiet[r] < until_quiet and self.barren[r] < enough]:
            seeds = [self._next_seed(f"rank {rank}") for rank in loud]
            tasks = [
                Round(self.problem, rank, BATCH, seed, "random start") for rank, seed in zip(loud, seeds, strict=True)
            ]
            self._work(tasks, "random starts", self._take)

    def by_sums(self, until_quiet: int, patience: int) -> list[EulerSum]:
        """The Euler sums; where one is not 1, first up to `patience` fruitless turns in the subspaces concerned.

        The fewer there are, and the more were in vain, the more rounds each gets at a time.
        """
        ledger, fruitless = Ledger(self.catalogue), 0
        while True:
            sums = list(ledger.sums(self.ranks.stop - 1))
            failing = [s for s in sums if s.failing]
            if not failing or fruitless >= patience:
                return sums
            chosen = failing[:: 1 + len(failing) // MOST]
            rounds = MOST // len(chosen) * 2**fruitless
            tasks = self._rounds_about_flat_points()
            tasks += [self._round_in(failed) for failed in chosen for _ in range(rounds)]
            found = sum(self._work(tasks, f"{len(failing)} Euler sums are not 1", self._take))
            fruitless = 0 if found else fruitless + 1
            self.at_random(until_quiet)

    def _rounds_about_flat_points(self) -> list[Round]:
        """A round about each of the points, at most four, that have an eigenvalue below 1e-6 of the largest."""
        flat = sorted((flatness, i) for i, e in enumerate(self.catalogue.entries) if (flatness := e.flatness) < FLAT)
        entries = [self.catalogue.entries[i] for _, i in flat[:4]]
        return [
            Round(self.problem, e.family.rank, BATCH // 2, self._next_seed("flat"), "near a flat point", around=e.x)
            for e in entries
        ]

    def by_descents(self) -> int:
        """The flow lines from every point that has not had its turn; returns how many points were new."""
        new = 0
        while places := [i for i in range(len(self.catalogue.entries)) if i not in self.descents]:
            entries = [self.catalogue.entries[i] for i in places]
            tasks = [
                FlowLines(self.problem, e.family.rank, e.x, self.problem.dim, i)
                for i, e in zip(places, entries, strict=True)
            ]
            new += sum(self._work(tasks, "descents from saddles", self._take_lines))
        return new

    def _work(self, tasks: list[Any], doing: str, take: Callable[[Any, Any], int]) -> list[int]:
        """Run the tasks side by side, taking their results in order; returns how many points were new in each."""
        if not tasks:
            return []
        new = []
        with spread(tasks, min(self.jobs, len(tasks))) as results:
            for place, result in in_order(results):
                new.append(take(tasks[place], result))
                self._save(last=len(new) == len(tasks))
                if self.on_round:
                    self.on_round(self, doing)
        return new

    def _save(self, last: bool) -> None:
        """Write the state to the file; between the rounds of a part so seldom that it takes a fiftieth of the time."""
        if self.file is not None and (last or time.monotonic() >= self._due):
            begin = time.monotonic()
            write_json(self.file, self.plain())
            took = time.monotonic() - begin
            self._due = begin + took * (50 if took > SLOW else 0)

    def _take(self, task: Round, ends: torch.Tensor) -> int:
        new = self.catalogue.add_all(Family(self.problem, task.rank), ends, task.found_by)
        if task.at_random:
            self.starts[task.rank] += len(ends)
            self.quiet[task.rank] = len(ends) - 1 - new[-1] if new else self.quiet[task.rank] + len(ends)
            self.barren[task.rank] = 0 if new else self.barren[task.rank] + 1
        if task.part:
            self._next_seed(task.part if new else f"{task.part}, fruitless")
        return len(new)

    def _take_lines(self, task: FlowLines, found: tuple[Family, torch.Tensor, torch.Tensor]) -> int:
        (family, values, ends), before = found, len(self.catalogue.entries)
        places = [self.catalogue.enter(family, end, "descent") if bool(end.isfinite().all()) else None for end in ends]
        pairs = zip(values.tolist(), places, strict=True)
        self.descents[task.place] = [Descent(task.place, value, place) for value, place in pairs]
        return len(self.catalogue.entries) - before

    def _round_in(self, failed: EulerSum) -> Round:
        """A round in the subspace that a failed sum is about."""
        characters = [c for c, D in failed.coordinates.items() for _ in range(D)]
        symmetry = Symmetry.of(failed.action, characters) if failed.action.m else None
        seed, name = self._next_seed(f"sum {failed.name}"), f"symmetry {failed.action.name}"
        rank = min(len(characters), self.ranks.stop - 1)
        return Round(self.problem, rank, BATCH, seed, name, symmetry, passes=1 if symmetry is None else 2)

    def _next_seed(self, part: str) -> tuple[int, ...]:
        self.rounds[part] = self.rounds.get(part, 0) + 1
        return self._seed(part, self.rounds[part])

    def _seed(self, part: str, number: int) -> tuple[int, ...]:
        return (self.seed, *part.encode(), number)

    def plain(self) -> dict[str, Any]:
        """The whole state as plain data for JSON."""
        entries = self.catalogue.entries
        return {
            "problem": self.problem.settings(),
            "seed": self.seed,
            "rounds": self.rounds,
            "starts": self.starts,
            "quiet": self.quiet,
            "barren": self.barren,
            **{name: getattr(self.catalogue, name) for name in COUNTS},
            "points": [
                {"rank": e.family.rank, "found_by": e.found_by, "x": e.x, "proof": e.proof and e.proof.plain()}
                for e in entries
            ],
            "descents": {i: [[line.eigenvalue, line.end] for line in lines] for i, lines in self.descents.items()},
        }

    def _restore(self, stored: Any) -> None:
        """Go on from what `plain` gave; InputError names the file when it is another search's or damaged."""
        try:
            same = stored["problem"] == self.problem.settings() and stored["seed"] == self.seed
            require(same, f"{self.file} is about another problem or seed; name another file or remove it")
            self.catalogue.entries = [self._restored(point) for point in stored["points"]]
            for name in COUNTS:
                setattr(self.catalogue, name, int(stored.get(name, 0)))
            self.rounds = {part: int(n) for part, n in stored["rounds"].items()}
            for name in ("starts", "quiet", "barren"):
                setattr(self, name, {rank: int(stored[name][str(rank)]) for rank in self.ranks})
            places = range(len(self.catalogue.entries))
            for i, lines in stored["descents"].items():
                self.descents[places.index(int(i))] = [
                    Descent(int(i), float(value), None if end is None else places.index(end)) for value, end in lines
                ]
        except InputError:
            raise
        except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
            raise InputError(f"{self.file} is damaged ({error!r}); remove it") from error

    def _restored(self, point: dict[str, Any]) -> Entry:
        family = Family(self.problem, range(self.ranks.stop).index(point["rank"]))
        x = torch.tensor(point["x"], dtype=torch.float64, device="cpu")
        require(x.shape == (family.size,), f"{self.file} is damaged (a point of the wrong size); remove it")
        critical = float(family.expand(x[None]).gradient.norm()) <= 100 * CONVERGED
        require(critical, f"{self.file} is damaged (a point that is not critical); remove it")
        entry = self.catalogue.entry(family, x, point["found_by"])
        return replace(entry, proof=Followed.from_plain(point["proof"])) if point.get("proof") else entry
