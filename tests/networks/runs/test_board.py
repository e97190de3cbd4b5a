"""TensorBoard: every number of the record, once, in the library's own files."""

import dataclasses
import sys

import pytest

import networks
from ufm import InputError


def scalars(run):
    """What TensorBoard itself reads of a run: {(name, epoch): value}, once each."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run.path / "tensorboard"), size_guidance={"scalars": 0})
    events.Reload()
    found = [((name, event.step), event.value) for name in events.Tags()["scalars"] for event in events.Scalars(name)]
    assert len(found) == len(dict(found))
    return dict(found)


def numbers(rows):
    return {(name, int(row["epoch"])): value for row in rows for name, value in row.items() if name != "epoch"}


def test_tensorboard_has_every_number_once(small_recipe, tmp_path, monkeypatch):
    """Of epochs without a board, of one whose process died before it wrote to it, and of those after."""
    recipe = dataclasses.replace(small_recipe, tensorboard=True)
    networks.train(dataclasses.replace(small_recipe, epochs=1), tmp_path / "run")
    run = networks.train(dataclasses.replace(recipe, epochs=2), tmp_path / "run", resume=True)
    assert scalars(run) == pytest.approx(numbers(run.epochs), rel=1e-6, nan_ok=True)

    def die(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("torch.utils.tensorboard.SummaryWriter.flush", die)
    with pytest.raises(KeyboardInterrupt):
        networks.train(dataclasses.replace(recipe, epochs=3), tmp_path / "run", resume=True)
    monkeypatch.undo()
    networks.train(dataclasses.replace(recipe, epochs=4), tmp_path / "run", resume=True)
    assert len(run.epochs) == 4
    assert scalars(run) == pytest.approx(numbers(run.epochs), rel=1e-6, nan_ok=True)


def test_without_tensorboard_one_line_says_what_to_install(small_recipe, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(InputError, match="pip install tensorboard"):
        networks.train(dataclasses.replace(small_recipe, tensorboard=True), tmp_path / "run")
    assert not (tmp_path / "run").exists()
