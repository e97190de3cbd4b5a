"""ufm train: going on with a run by what it says of itself, and settings that have no effect."""

import dataclasses
import itertools
import shlex

import pytest

import networks
from networks import Recipe, recipe_of, unused
from networks.models.build import model_of
from networks.optim.optimizers import build_optimizer
from networks.recipe import USERS, idle_decays
from tests.networks.runs.records import files_of, rows_of
from ufm_cli.main import main
from validate import Run

ODD = [
    *("--width", "16", "--depth", "0", "--feature-dim", "12", "--head", "etf", "--no-bias", "--random-labels"),
    *("--schedule", "milestones", "--milestones", "1", "2", "--seed", "3", "--keep", "3", "--device", "cpu"),
]


@pytest.fixture
def cut(tmp_path, monkeypatch):
    """runs/cut in the current folder: one epoch by settings of which none is a default."""
    monkeypatch.chdir(tmp_path)
    assert main(["train", *ODD, "--epochs", "1", "--name", "cut"]) == 0
    return Run.open(tmp_path / "runs" / "cut")


WAYS = {
    "a name": ["--resume", "cut"],
    "a path": ["--resume", "runs/cut"],
    "a path of another form": ["--resume", "./runs/../runs/cut/"],
    "a name elsewhere": ["--runs", "runs/.", "--resume", "cut"],
    "--name": ["--resume", "--name", "cut"],
    "the same flags": [*ODD, "--resume", "--name", "cut"],
    "some of them": ["--no-bias", "--milestones", "1", "2", "--resume", "cut", "--random-labels", "--seed=3"],
    "the flag last": ["--name", "cut", "--seed", "3", "--resume", "--head", "etf", "--feature-dim", "12"],
}


@pytest.mark.parametrize("flags", WAYS.values(), ids=WAYS)
def test_a_run_goes_on_by_its_own_settings(flags, cut):
    before = recipe_of(cut)
    assert main(["train", *flags, "--epochs", "3"]) == 0
    assert recipe_of(cut) == dataclasses.replace(before, epochs=3)
    assert main(["train", *ODD, "--epochs", "3", "--name", "whole"]) == 0
    assert rows_of(cut) == rows_of(Run.open("runs/whole"))


def test_without_more_epochs_nothing_changes(cut):
    before = files_of(cut)
    assert main(["train", "--resume", "cut"]) == 0
    assert files_of(cut) == before


def test_in_its_own_folder_a_run_is_a_dot(cut, monkeypatch):
    monkeypatch.chdir(cut.path)
    assert main(["train", "--resume", ".", "--epochs", "2"]) == 0
    assert len(cut.epochs) == 2


REFUSED = {
    "another width": (
        ["--resume", "cut", "--width", "8"],
        "was made with --width = 16, not 8; resume with the same recipe",
    ),
    "a default": (["--resume", "cut", "--head", "linear"], "was made with --head = etf, not linear"),
    "a frame": (["--resume", "cut", "--frame", "rotated"], "was made with --frame = None, not rotated"),
    "a bias": (["--resume", "cut", "--bias"], "was made with --bias = False, not True"),
    "its labels": (["--resume", "cut", "--no-random-labels"], "was made with --random-labels = True, not False"),
    "a preset": (["--resume", "cut", "--preset", "paper-sgd"], "was made with --random-labels = True, not False"),
    "two names": (["--resume", "cut", "--name", "cut"], "--name would do nothing here: the run is cut"),
    "a path and its folder": (["--resume", "runs/cut", "--runs", "runs"], "--runs would do nothing here: runs/cut is"),
    "no --resume": (["cut"], "--name names a new run; to go on with cut add --resume"),
    "--force": (["cut", "--force"], "to go on with cut add --resume"),
    "both": (["--resume", "cut", "--force"], "--force replaces a run and --resume goes on with it"),
    "no such run": (["--resume", "cat"], "no run at runs/cat"),
    "no such path": (["--resume", "./cat"], "no run at cat"),
}


@pytest.mark.parametrize(("flags", "message"), REFUSED.values(), ids=REFUSED)
def test_what_would_make_it_another_run_is_refused(flags, message, cut, capsys):
    before, _ = files_of(cut), capsys.readouterr()
    assert main(["train", *flags, "--epochs", "2"]) == 2
    errors = capsys.readouterr().err
    assert errors.count("\n") == 1
    assert message in errors
    assert files_of(cut) == before
    assert [path.name for path in cut.path.parent.iterdir()] == ["cut"]


CHANGED = {
    **{"temperature": 0.2, "smoothing": 0.3, "focusing": 1.0, "patience": 1, "gamma": 0.5, "milestones": (1,)},
    **{"decay_head": 0.5, "own_weight": 3.0, "own_target": 2.0},
    **{"momentum": 0.5, "history_size": 1, "max_iter": 2, "tau": 0.5, "class_weights": (1.0,) * 9 + (5.0,)},
}
STARTED = {"milestones": (2,)}  # for settings whose default is nothing


@pytest.mark.parametrize("name", USERS)
def test_settings_without_effect_are_named_and_have_none(name, small_recipe, tmp_path):
    """And where they are not named they have one: two epochs on few digits tell."""
    setting, choices = USERS[name]
    few = dataclasses.replace(small_recipe, epochs=2, per_class=20, patience=1, milestones=(1,), batch_size=100)
    few = dataclasses.replace(few, imbalance="exp:0.5" if name == "tau" else None)
    few = dataclasses.replace(few, **{"head": "etf", "bias": False} if name == "own_target" else {})
    others = {"optimizer": ["adam"], "schedule": ["constant"], "head": ["linear", "etf"]}
    others["loss"] = ["cross-entropy", "balanced-softmax"]
    idle = next(choice for choice in others[setting] if choice not in choices)
    seen = {}
    for choice in (idle, *choices):
        start = dataclasses.replace(few, **{setting: choice, name: STARTED.get(name, getattr(Recipe(), name))})
        other = dataclasses.replace(start, **{name: CHANGED[name]})
        pair = [networks.train(one, tmp_path / f"{choice}-{i}") for i, one in enumerate((start, other))]
        seen[choice] = (name in unused(other), rows_of(pair[0]) == rows_of(pair[1]))
    assert seen == {idle: (True, True)} | dict.fromkeys(choices, (False, False))


SMALL = ["--width", "8", "--depth", "0", "--feature-dim", "10", "--epochs", "1", "--device", "cpu"]
IDLE = {
    "milestones of steps": (
        ["--milestones", "5"],
        "--milestones would do nothing here: it is of --schedule milestones",
    ),
    "steps of a cosine": (["--schedule", "cosine", "--patience", "5"], "--patience would do nothing here"),
    "momentum of adam": (["--optimizer", "adam", "--momentum", "0.5"], "it is of --optimizer sgd; leave it out"),
    "smoothing": (["--smoothing", "0.1"], "--smoothing would do nothing here: it is of --loss label-smoothing"),
    "temperature": (["--temperature=0.2"], "--temperature would do nothing here: it is of --head normalized"),
    "a history": (["--history-size", "5"], "it is of --optimizer lbfgs"),
    "against a preset": (["--preset", "sota", "--gamma", "0.5"], "it is of --schedule step and milestones"),
    "a folder of digits": (
        ["--data-dir", "."],
        "--data-dir would do nothing here: the digits are those of scikit-learn",
    ),
    "a decay of all that no group is left for": (
        ["--head", "etf", "--decay-backbone", "0", "--decay-biases", "0", "--weight-decay", "0.1"],
        "--weight-decay would do nothing here: all parameters that are trained have another decay, or none",
    ),
    "a decay of biases without any": (
        ["--feature-decay", "0.1", "--no-bias", "--decay-biases", "0.1"],
        "--decay-biases would do nothing here",
    ),
    "out of order": (
        ["--schedule", "milestones", "--milestones", "5", "3"],
        "--milestones must be epochs in ascending",
    ),
}


DECAYS = ("weight_decay", "decay_backbone", "decay_biases", "decay_head")
CASES = [  # of a head, a feature decay and a bias, and those of DECAYS that are given
    (head, feature_decay, bias, given)
    for head in ("linear", "etf", "projected")
    for feature_decay in (0.0, 0.01)
    for bias in (True, False)
    for size in range(1, 5)
    for given in itertools.combinations(DECAYS, size)
    if not (feature_decay and "decay_backbone" in given)  # refused as a recipe
]


def test_a_decay_is_refused_where_the_optimiser_holds_the_same_without_it():
    """For every set of decays: none is idle of which another value makes another group of torch's optimiser."""
    seen = set()
    for head, feature_decay, bias, given in CASES:
        recipe = Recipe(
            width=4, depth=0, head=head, feature_dim=10, feature_decay=feature_decay, bias=bias, optimizer="adam"
        )
        recipe = dataclasses.replace(recipe, **{name: 0.1 + i / 10 for i, name in enumerate(given)})
        model = model_of(recipe, 10, (1, 8, 8))
        held = decays_held(recipe, model)
        acting = {name for name in given if decays_held(dataclasses.replace(recipe, **{name: 0.9}), model) != held}
        assert idle_decays(recipe) & set(given) == set(given) - acting, (head, feature_decay, bias, given)
        seen |= idle_decays(recipe) & set(given)
    assert seen == {"weight_decay", "decay_biases", "decay_head"}


def decays_held(recipe, model):
    """The decay of each parameter in torch's optimiser."""
    groups = build_optimizer(recipe, model).param_groups
    return {id(parameter): group["weight_decay"] for group in groups for parameter in group["params"]}


@pytest.mark.parametrize(("flags", "message"), IDLE.values(), ids=IDLE)
def test_flags_without_effect_are_refused(flags, message, tmp_path, capsys):
    assert main(["train", *SMALL, *flags, "--runs", str(tmp_path)]) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_settings_of_a_preset_without_effect_are_said(tmp_path, capsys):
    flags = ["--preset", "paper-sgd", "--schedule", "cosine", *SMALL]
    assert main(["train", *flags, "--runs", str(tmp_path)]) == 0
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("not used")]
    assert said == ["not used: --patience 40 (it is of --schedule step)"]


def test_a_setting_of_a_run_that_cannot_change_is_said_as_a_flag(cut, capsys):
    assert main(["train", "--resume", "cut", "--lr", "0.5"]) == 2
    assert "was made with --lr = 0.02, not 0.5" in capsys.readouterr().err


def interrupted(monkeypatch, epoch: int) -> None:
    """Ctrl-C while that epoch is trained."""
    train_epoch = networks.train.__globals__["_one_epoch"]

    def stop(*given):
        if given[-1] == epoch:
            raise KeyboardInterrupt
        return train_epoch(*given)

    monkeypatch.setitem(networks.train.__globals__, "_one_epoch", stop)


@pytest.mark.parametrize("epoch", [1, 2])
def test_what_was_interrupted_says_how_to_go_on(epoch, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    asked = ["train", "--width", "16", "--depth", "0", "--epochs", "3", "--device", "cpu", "--name", "my run"]
    with monkeypatch.context() as patch:
        interrupted(patch, epoch)
        assert main(asked) == 130
    said = capsys.readouterr().err
    assert said == "ufm: interrupted; go on with ufm train --resume 'runs/my run'\n"
    assert main(shlex.split(said.partition("go on with ufm ")[2])) == 0
    assert len(Run.open("runs/my run").epochs) == 3


def test_what_was_interrupted_before_it_began_says_no_more(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setitem(networks.train.__globals__, "load", stop)
    assert main(["train", "--epochs", "3", "--device", "cpu"]) == 130
    assert capsys.readouterr().err == "ufm: interrupted\n"


def test_the_range_of_an_imbalance_is_in_the_help(capsys):
    assert main(["train", "--help"]) == 0
    assert "R in (0, 1]" in " ".join(capsys.readouterr().out.replace("│", " ").split())
