"""How often the file of a large grid is written; cells that go together. A small one: tests/ufm/traps/test_grid.py."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from ufm import grids
from ufm.results import Result
from ufm.storage.files import read_json, write_json


@dataclass(frozen=True)
class Number:
    number: int

    def to_plain(self) -> dict[str, int]:
        return {"number": self.number}


@dataclass(frozen=True)
class Square(Result):
    problem: dict[str, int]
    square: int


@dataclass(frozen=True)
class Numbers(grids.Grid[Number, Square]):
    count: int

    @property
    def problems(self) -> tuple[Number, ...]:
        return tuple(map(Number, range(self.count)))

    def settings(self) -> dict[str, int]:
        return {"count": self.count}

    def survey(self, problem: Number) -> Square:
        return Square(problem.to_plain(), problem.number**2)

    def cell(self, data: dict) -> Square:
        return Square(**data)


@dataclass(frozen=True)
class InBatches(Numbers):
    """Numbers by tens; how many are surveyed together is seen in their squares."""

    @property
    def batches(self) -> tuple[tuple[Number, ...], ...]:
        return tuple(self.problems[i : i + 10] for i in range(0, self.count, 10))

    def survey_batch(self, batch: Sequence[Number]) -> list[Square]:
        return [replace(cell, square=cell.square + 1000 * len(batch)) for cell in super().survey_batch(batch)]


@pytest.fixture
def writings(monkeypatch):
    """The number of cells at each writing."""
    seen, write = [], grids.write_json
    monkeypatch.setattr(grids, "write_json", lambda file, data: seen.append(len(data["cells"])) or write(file, data))
    return seen


def test_a_large_file_is_written_when_a_hundredth_of_it_is_new(tmp_path, writings):
    cells = grids.explore(Numbers(450), tmp_path / "n.json")
    assert [cell.square for cell in cells] == [i**2 for i in range(450)]
    assert writings[:100] == list(range(100))
    steps = [b - a for a, b in itertools.pairwise(writings)]
    assert max(step - b // 100 for step, b in zip(steps, writings[1:], strict=True)) == 1
    assert writings[-1] == 450
    assert len(writings) < 300


def stop_after(count: int) -> Callable[[list[Number]], Iterator[Number]]:
    """A `track` that stands for Ctrl-C once `count` cells are done."""

    def track(problems: list[Number]) -> Iterator[Number]:
        yield from problems[:count]
        raise KeyboardInterrupt

    return track


def test_an_interruption_loses_nothing(tmp_path, writings):
    file = tmp_path / "n.json"
    with pytest.raises(KeyboardInterrupt):
        grids.explore(Numbers(450), file, track=stop_after(222))
    assert len(read_json(file)["cells"]) == 222
    assert grids.explore(Numbers(450), file)[449].square == 449**2


def noting(seen: list[Number]) -> Callable[[list[Number]], list[Number]]:
    """A `track` that keeps what it is given."""
    return lambda problems: seen.extend(problems) or problems


@pytest.fixture
def whole(tmp_path) -> Path:
    """The file of three batches of ten cells and one of five."""
    file = tmp_path / "whole.json"
    grids.explore(InBatches(35), file)
    return file


def test_cells_that_go_together_are_written_together(tmp_path, writings):
    counted: list[Number] = []
    cells = grids.explore(InBatches(35), tmp_path / "n.json", track=noting(counted))
    assert [cell.square for cell in cells] == [i**2 + 1000 * (10 if i < 30 else 5) for i in range(35)]
    assert writings == [0, 10, 20, 30, 35]
    assert counted == list(InBatches(35).problems)


def test_an_interruption_inside_a_batch_repeats_it(whole, tmp_path):
    file = tmp_path / "n.json"
    with pytest.raises(KeyboardInterrupt):
        grids.explore(InBatches(35), file, track=stop_after(19))
    assert len(read_json(file)["cells"]) == 10
    grids.explore(InBatches(35), file)
    assert file.read_bytes() == whole.read_bytes()


def test_a_batch_that_lacks_a_cell_is_surveyed_again(whole, tmp_path):
    """As a file may have it that cells were written to one by one."""
    found, counted = read_json(whole), list[Number]()
    found["cells"][10]["square"] = 100
    write_json(tmp_path / "n.json", found | {"cells": found["cells"][:12] + found["cells"][20:]})
    grids.explore(InBatches(35), tmp_path / "n.json", track=noting(counted))
    assert counted == list(InBatches(35).problems[10:20])
    assert (tmp_path / "n.json").read_bytes() == whole.read_bytes()
