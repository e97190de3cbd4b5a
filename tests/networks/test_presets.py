"""Presets: what they set, printed in full, and any flag overrides."""

import dataclasses

import pytest

import networks
from networks import PRESETS, Recipe
from ufm import InputError
from ufm_cli.main import main
from validate import Run


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_sets_what_it_says_and_nothing_else(name):
    recipe, settings = dataclasses.asdict(networks.preset(name)), PRESETS[name].settings
    default = dataclasses.asdict(Recipe())
    assert {key: recipe[key] for key in settings} == settings
    assert all(recipe[key] == default[key] for key in recipe if key not in settings)


@pytest.mark.parametrize("name", PRESETS)
def test_no_switch_is_set(name):
    """A flag can turn a switch on, not off: with one in a preset, a flag could not override it."""
    assert not [key for key, value in PRESETS[name].settings.items() if isinstance(value, bool)]


def test_what_the_paper_trained_with():
    sgd, adam, lbfgs = (networks.preset(f"paper-{name}") for name in ("sgd", "adam", "lbfgs"))
    assert (sgd.optimizer, sgd.lr, sgd.momentum) == ("sgd", 0.05, 0.9)
    assert (adam.optimizer, adam.lr, adam.batch_size) == ("adam", 1e-3, 64)
    assert (lbfgs.optimizer, lbfgs.lr, lbfgs.history_size) == ("lbfgs", 0.1, 10)
    for recipe in (sgd, adam, lbfgs):
        assert (recipe.weight_decay, recipe.epochs, recipe.augment) == (5e-4, 200, "none")


def test_a_preset_over_a_recipe_of_ones_own():
    recipe = networks.preset("sota", Recipe(width=17, lr=1.0))
    assert (recipe.width, recipe.lr, recipe.augment) == (17, 0.05, "crop-flip")


TINY = ["--width", "16", "--depth", "0", "--epochs", "1"]


def test_flags_override_and_all_is_printed(capsys, tmp_path):
    # lr 0.02 is the default of no preset: given explicitly, it counts all the same.
    flags = ["--preset", "paper-adam", "--lr", "0.02", *TINY, "--runs", str(tmp_path)]
    assert main(["train", *flags]) == 0
    recipe = networks.recipe_of(Run.open(tmp_path / "digits"))
    expected = dataclasses.replace(networks.preset("paper-adam"), lr=0.02, width=16, depth=0, epochs=1)
    assert recipe == expected
    lines = {line.split()[0]: line.split()[-2:] for line in capsys.readouterr().out.splitlines() if line.strip()}
    assert lines["preset"]
    for field in dataclasses.fields(recipe):
        assert field.name in lines
    assert lines["optimizer"] == ["adam", "preset"]
    assert lines["lr"] == ["0.02", "flag"]
    assert lines["seed"] == ["0", "default"]


def test_no_preset_prints_none(capsys, tmp_path):
    assert main(["train", *TINY, "--runs", str(tmp_path)]) == 0
    assert "set by" not in capsys.readouterr().out


def test_unknown_preset_lists_the_known(capsys):
    with pytest.raises(InputError, match="unknown preset 'best'; choose one of: paper-sgd, paper-adam"):
        networks.preset("best")
    assert main(["train", "--preset", "best"]) == 2
    assert "unknown preset 'best'" in capsys.readouterr().err


def test_sota_is_a_small_stem_and_a_model_without_one_overrides_it(capsys, tmp_path):
    """What --SOTA means in the code of arXiv 2105.02375, for the model that it has unless told."""
    sota = networks.preset("sota")
    assert (sota.model, sota.stem, sota.augment) == ("resnet18", "cifar", "crop-flip")
    assert networks.build_model(sota.model, 10, stem=sota.stem, width=8).backbone.conv1.kernel_size == (3, 3)
    flags = ["--preset", "sota", "--model", "mlp", *TINY, "--runs", str(tmp_path)]
    assert main(["train", *flags]) == 2
    assert "mlp has no --stem to set; leave it out (over a preset: None)" in capsys.readouterr().err
    assert main(["train", *flags, "--stem", "None"]) == 0
    recipe = networks.recipe_of(Run.open(tmp_path / "digits"))
    assert (recipe.model, recipe.stem, recipe.augment) == ("mlp", None, "crop-flip")
