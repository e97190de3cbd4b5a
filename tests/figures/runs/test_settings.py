"""Labels say what tells runs apart and nothing else."""

import pytest

from figures.runs.settings import differing, label, settings
from validate import Run

BASE = {"data": "digits", "optimizer": "sgd", "lr": 0.05, "width": None, "bias": True, "milestones": [], "seed": 0}


@pytest.fixture
def runs(tmp_path):
    """Make runs from the settings in which each differs from BASE."""

    def make(*changes):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        configs = ({"recipe": BASE | change, "versions": {"torch": str(i)}} for i, change in enumerate(changes))
        return [Run.create(folder / f"run-{i}", config) for i, config in enumerate(configs)]

    return make


def test_one_setting_that_tells_all_apart_is_enough(runs):
    labels = label(runs({}, {"optimizer": "adam", "lr": 0.001}, {"optimizer": "lbfgs", "lr": 0.1}))
    assert labels.title == "optimizer"
    assert labels.texts == ("sgd", "adam", "lbfgs")
    assert labels.along == ("lr",)
    assert labels.sentence == " Also differing (in the order of the legend): lr 0.05 | 0.001 | 0.1."


def test_what_matters_most_is_named_though_less_would_do(runs):
    labels = label(runs({"epochs": 100}, {"optimizer": "adam", "epochs": 200}, {"epochs": 300, "lr": 0.1}))
    assert (labels.title, labels.texts) == ("optimizer, lr", ("sgd, 0.05", "adam, 0.05", "sgd, 0.1"))
    assert labels.along == ("epochs",)


def test_a_setting_that_a_run_is_too_old_for_is_no_difference(runs):
    old, new = runs({}, {"test_per_class": None, "frame": None, "smoothing": 0.1, "lr": 0.1})
    assert differing([settings(old), settings(new)]) == ["lr"]
    newer = runs({}, {"smoothing": 0.1}, {"smoothing": 0.2})
    assert label(newer).texts == ("-", "0.1", "0.2")


def test_where_images_are_is_no_difference_and_is_not_told(runs):
    labels = label(runs({"data_dir": "/home/one"}, {"data_dir": "/home/another", "lr": 0.1}))
    assert (labels.texts, labels.along) == (("0.05", "0.1"), ())
    assert not any("/home" in text for fact in labels.facts for text in fact.values())


def test_settings_without_effect_are_no_difference(runs):
    pair = runs({"schedule": "constant", "patience": 40}, {"schedule": "constant", "patience": 300, "lr": 0.1})
    assert differing([settings(run) for run in pair]) == ["lr"]
    pair = runs({"schedule": "step", "patience": 40}, {"schedule": "step", "patience": 300})
    assert differing([settings(run) for run in pair]) == ["patience"]


def test_each_setting_that_tells_more_runs_apart_is_taken(runs):
    labels = label(runs({}, {"seed": 1}, {"lr": 0.1}, {"lr": 0.1, "seed": 1}, {"lr": 0.2, "seed": 7}))
    assert labels.title == "lr, seed"
    assert labels.texts == ("0.05, 0", "0.05, 1", "0.1, 0", "0.1, 1", "0.2, 7")
    assert labels.along == ()


def test_what_the_figure_is_about_is_always_said(runs):
    labels = label(runs({}, {"optimizer": "adam", "lr": 0.1}), about=("lr", "width"))
    assert (labels.title, labels.texts, labels.along) == ("lr", ("0.05", "0.1"), ("optimizer",))


def test_what_an_axis_shows_is_not_said_again(runs):
    labels = label(runs({"width": 4}, {"width": 8}, {"width": 4, "lr": 0.1}), axis=("width", "seed"))
    assert (labels.title, labels.texts) == ("lr", ("0.05", "0.05", "0.1"))


def test_runs_alike_are_told_apart_by_name(runs):
    labels = label(runs({}, {}))
    assert (labels.title, labels.texts) == ("run", ("run-0", "run-1"))


def test_runs_of_one_name_are_told_apart_by_path(tmp_path):
    pair = [Run.create(tmp_path / folder / "x", {"recipe": BASE}) for folder in "ab"]
    assert label(pair).texts == (str(tmp_path / "a" / "x"), str(tmp_path / "b" / "x"))


def test_values_are_words(runs):
    (run,) = runs({})
    asked = settings(run)
    assert [asked[name] for name in ("width", "bias", "milestones", "lr")] == ["default", "yes", "none", "0.05"]
    assert "versions" not in asked


def test_every_difference_is_found_and_nothing_else(runs):
    pair = [settings(run) for run in runs({"width": 3}, {"milestones": [2, 3], "bias": False})]
    assert set(differing(pair)) == {"width", "milestones", "bias"}
