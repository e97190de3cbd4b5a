"""How often the file of a large grid is written; that of a small one is in tests/ufm/traps/test_grid.py."""

import itertools
from dataclasses import dataclass

import pytest

from ufm import grids
from ufm.results import Result
from ufm.storage.files import read_json


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
class Numbers:
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


def test_an_interruption_loses_nothing(tmp_path, writings):
    def stopped(problems):
        yield from problems[:222]
        raise KeyboardInterrupt

    file = tmp_path / "n.json"
    with pytest.raises(KeyboardInterrupt):
        grids.explore(Numbers(450), file, track=stopped)
    assert len(read_json(file)["cells"]) == 222
    assert grids.explore(Numbers(450), file)[449].square == 449**2
