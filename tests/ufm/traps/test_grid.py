"""A map that was stopped, however it was, goes on to the same file; what does not fit is refused in one line."""

import json
import os
import signal
import time

import pytest
import torch

from tests.forked import forked
from ufm import InputError
from ufm.traps import survey
from ufm.traps.grid import Grid, SpheresGrid, explore

GRID = Grid(classes=(3, 6), dims=(1, 2), lambdas=(2e-4, 2e-3), starts=2)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The file of an uninterrupted search; tests must not change it."""
    file = tmp_path_factory.mktemp("map") / "map.json"
    explore(GRID, file)
    return file


def stop_after(count: int):
    """A `track` that stands for Ctrl-C once `count` cells are done."""

    def track(items):
        for i, item in enumerate(items):
            if i == count:
                raise KeyboardInterrupt
            yield item

    return track


def surveyed(monkeypatch) -> list:
    """The problems surveyed from now on."""
    seen = []
    monkeypatch.setattr("ufm.traps.grid.survey", lambda problem, *rest: seen.append(problem) or survey(problem, *rest))
    return seen


def test_cells_come_in_the_order_of_the_grid(whole):
    found = json.loads(whole.read_text())
    assert found["asked"] == GRID.settings()
    assert [cell["problem"] for cell in found["cells"]] == [problem.settings() for problem in GRID.problems]
    assert len(GRID.problems) == 8


@pytest.mark.parametrize("done", [0, 1, 5])
def test_a_stopped_search_goes_on_to_the_same_file(done, whole, tmp_path, monkeypatch):
    file = tmp_path / "map.json"
    with pytest.raises(KeyboardInterrupt):
        explore(GRID, file, track=stop_after(done))
    assert len(json.loads(file.read_text())["cells"]) == done
    seen = surveyed(monkeypatch)
    cells = explore(GRID, file)
    assert seen == list(GRID.problems[done:])
    assert [cell.problem for cell in cells] == list(GRID.problems)
    assert file.read_bytes() == whole.read_bytes()


def test_a_finished_search_surveys_nothing(whole, monkeypatch):
    seen = surveyed(monkeypatch)
    assert [cell.problem for cell in explore(GRID, whole)] == list(GRID.problems)
    assert seen == []


def test_processes_side_by_side_write_the_same_file(whole, tmp_path):
    explore(GRID, tmp_path / "map.json", jobs=2)
    assert (tmp_path / "map.json").read_bytes() == whole.read_bytes()


def stuck(file):
    def track(items):
        for i, item in enumerate(items):
            if i == 3:
                time.sleep(600)
            yield item

    explore(GRID, file, track=track)


def test_nothing_is_lost_to_kill_9(whole, tmp_path, monkeypatch):
    file = tmp_path / "map.json"
    with forked(stuck, file) as process:
        while not file.is_file() or len(json.loads(file.read_text())["cells"]) < 3:
            assert process.is_alive()
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
        process.join()
    seen = surveyed(monkeypatch)
    explore(GRID, file)
    assert seen == list(GRID.problems[3:])
    assert file.read_bytes() == whole.read_bytes()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"starts": 3}, r"was made with starts = 2, not 3; ask the same to go on"),
        ({"classes": (3, 6, 7)}, r"was made with classes = \[3, 6\], not \[3, 6, 7\]"),
        ({"lambda_b": 0.0}, r"was made with lambda_b = 0.001, not 0.0"),
    ],
)
def test_another_question_is_refused(change, message, whole):
    before = whole.read_bytes()
    with pytest.raises(InputError, match=message):
        explore(Grid(**GRID.__dict__ | change), whole)
    assert whole.read_bytes() == before


def test_one_torch_thread_a_survey_and_the_callers_afterwards(tmp_path, monkeypatch):
    before, seen = torch.get_num_threads(), []
    monkeypatch.setattr("ufm.traps.grid.survey", lambda *ask: seen.append(torch.get_num_threads()) or survey(*ask))
    try:
        torch.set_num_threads(2)
        explore(Grid(classes=(3,), dims=(2,), lambdas=(2e-3,), starts=1), tmp_path / "map.json")
        assert (seen, torch.get_num_threads()) == ([1], 2)
    finally:
        torch.set_num_threads(before)


def test_force_begins_anew(whole, tmp_path, monkeypatch):
    file = tmp_path / "map.json"
    file.write_text("{ not this")
    seen = surveyed(monkeypatch)
    explore(GRID, file, force=True)
    assert len(seen) == 8
    assert file.read_bytes() == whole.read_bytes()


def spoil(path, value):
    """A damage: the entry at `path` of the file's data becomes `value`; None removes it."""

    def damage(found):
        *above, last = path
        for key in above:
            found = found[key]
        if value is None:
            del found[last]
        else:
            found[last] = value

    return damage


DAMAGE = {
    "cells are a number": spoil(["cells"], 3),
    "no cells": spoil(["cells"], None),
    "asked is a list": spoil(["asked"], []),
    "a cell is a list": spoil(["cells", 1], []),
    "a problem is a list": spoil(["cells", 1, "problem"], []),
    "a cell not asked for": spoil(["cells", 1, "problem", "dim"], 9),
    "other starts": spoil(["cells", 1, "seed"], 9),
    "ends do not add up": spoil(["cells", 1, "ends", "best"], 1),
    "no ends": spoil(["cells", 1, "ends"], None),
    "no point": spoil(["cells", 1, "best", "point"], None),
    "a cut point": spoil(["cells", 1, "best", "point", "W"], [[1.0]]),
    "no value": spoil(["cells", 1, "best", "certificate", "value"], None),
    "a value in words": spoil(["cells", 1, "best", "certificate", "value"], "low"),
    "a trap that is not counted": spoil(["cells", 1, "worst"], {"seed": 1}),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_damaged_files_are_named(damage, whole, tmp_path):
    file = tmp_path / "map.json"
    found = json.loads(whole.read_text())
    damage(found)
    file.write_text(json.dumps(found))
    with pytest.raises(InputError, match=r"map.json is (damaged|no map).*begin anew with force=True"):
        explore(GRID, file)


BAD = {
    "no classes": ({"classes": ()}, "classes must list at least one value"),
    "a repeated d": ({"dims": (2, 2)}, r"dims must not repeat a value, got \[2, 2\]"),
    "K = 1": ({"classes": (1,)}, "K >= 2 classes"),
    "d = 0": ({"dims": (0,)}, "dimension d must be a whole number >= 1"),
    "a negative decay": ({"lambdas": (-1.0,)}, "lambda_w must be a finite number > 0"),
    "no starts": ({"starts": 0}, "starts must be >= 1, got 0"),
    "a negative seed": ({"seed": -1}, "seed must be >= 0, got -1"),
}


@pytest.mark.parametrize(("change", "message"), BAD.values(), ids=BAD)
def test_grids_that_are_refused(change, message):
    with pytest.raises(InputError, match=message):
        Grid(**GRID.__dict__ | change)


@pytest.mark.parametrize("jobs", [0, -2])
def test_refuses_no_jobs(jobs, tmp_path):
    with pytest.raises(InputError, match="jobs must be >= 1, or -1"):
        explore(GRID, tmp_path / "map.json", jobs=jobs)
    assert not (tmp_path / "map.json").exists()


SPHERES = SpheresGrid(classes=(3, 4), dims=(2, 3), scale=(2.0,), starts=2)


def test_a_stopped_map_of_spheres_goes_on_to_the_same_file(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        explore(SPHERES, tmp_path / "stopped.json", track=stop_after(2))
    for name in ("stopped", "whole"):
        cells = explore(SPHERES, tmp_path / f"{name}.json")
        assert [cell.problem for cell in cells] == list(SPHERES.problems)
    assert (tmp_path / "stopped.json").read_bytes() == (tmp_path / "whole.json").read_bytes()
    with pytest.raises(InputError, match="was made with lambdas = None"):
        explore(Grid((3, 4), (2, 3), (2e-3,), starts=2), tmp_path / "whole.json")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"dims": (1, 2)}, "dim must be >= 2"),
        ({"scale": ()}, "scale must list at least one value"),
        ({"scale": (1.0, 1.0)}, "scale must not repeat a value"),
        ({"scale": (1e4,)}, "scale must lie in"),
        ({"starts": 0}, "starts must be >= 1"),
    ],
)
def test_a_map_of_spheres_refuses_what_it_cannot_be(settings, words):
    with pytest.raises(InputError, match=words):
        SpheresGrid(**{"classes": (3,), "dims": (2,), "scale": (1.0,)} | settings)
