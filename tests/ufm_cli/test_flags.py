"""Libraries speak Python, the command speaks flags: the same error both ways, and no flag below the command."""

import ast
import dataclasses
import importlib
import re
from pathlib import Path

import pytest

import networks
import ufm
from networks.distributed import device_of
from ufm.errors import Call, Setting
from ufm.traps.grid import Grid
from ufm_cli import flags
from ufm_cli.main import COMMANDS, main
from validate import Run

HOUSE = Path(__file__).parents[2]
BELOW = ["ufm", "validate", "networks", "figures", "ufm_paper"]
SHELL = {  # modules that write command lines down, with why
    "validate/runs/provenance.py": "flags() makes lines for a shell; git takes flags of its own",
    "ufm_paper/record.py": "the record has the line that makes each run again",
}
FLAG = re.compile(r"(?<![\w-])--[a-z]")
SUBCOMMAND = re.compile(rf"\bufm (?:{'|'.join(COMMANDS)})\b")


def kind(name: str) -> type:
    return importlib.import_module(f"ufm_cli.commands.{name}").Command


def spoken(source: str) -> list[str]:
    """The strings of a module that name a flag or a subcommand, docstrings left out."""
    tree = ast.parse(source)
    owners = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    bodies = [statement for node in ast.walk(tree) if isinstance(node, owners) for statement in node.body]
    docstrings = {id(one.value) for one in bodies if isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant)}
    texts = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings
    ]
    return [text for text in texts if FLAG.search(text) or SUBCOMMAND.search(text)]


@pytest.mark.parametrize("room", BELOW)
def test_no_message_below_the_command_names_a_flag(room):
    files = [file for file in (HOUSE / room).rglob("*.py") if str(file.relative_to(HOUSE)) not in SHELL]
    assert {str(file): found for file in files if (found := spoken(file.read_text()))} == {}


@pytest.mark.parametrize("file", SHELL)
def test_what_is_let_off_has_flags(file):
    assert spoken((HOUSE / file).read_text())


PLANTED = {
    "a flag": 'raise InputError("no CUDA device here; use --device cpu")',
    "a flag after other text": 'require(x, f"{file} is no map; begin anew (--force)")',
    "a subcommand": 'def f():\n    """ufm train makes one."""\n    raise InputError(f"{path}; ufm train makes one")',
    "a subcommand with a flag": 'MEND = f"go on with ufm train --resume {run}"',
    "a field's words": 'class A:\n    x: int = 0\n    """of --epochs"""\n    y = "ufm validate"',
}


@pytest.mark.parametrize("source", PLANTED.values(), ids=PLANTED)
def test_a_planted_flag_is_caught(source):
    assert len(spoken(source)) == 1


def test_words_of_another_kind_are_no_flags():
    source = '"""ufm train --force"""\nA = "a -- b, x--y, ufm.train(...), the ufm, a ufm trainer, ---"'
    assert spoken(source) == []


SAID = {
    "a name": ("train", Setting("lr"), "lr", "--lr"),
    "a value": ("train", Setting("epochs", 100), "epochs=100", "--epochs 100"),
    "a switch": ("train", Setting("force", True), "force=True", "--force"),
    "a switch that is off": ("verify", Setting("bias", False), "bias=False", "--no-bias"),
    "a switch of the other sense": ("reproduce", Setting("training", False), "training=False", "--no-training"),
    "a setting of a group": ("train", Setting("feature_dim", 10), "feature_dim=10", "--feature-dim 10"),
    "decay": ("solve", Setting("lambda_w"), "lambda_w", "--lambda-w"),
    "decays of a map": ("map", Setting("lambda_w"), "lambda_w", "--lambdas"),
    "a list": ("train", Setting("milestones", (60, 120)), "milestones=(60, 120)", "--milestones 60 120"),
    "counts": ("atlas", Setting("class_counts", (3, 2)), "class_counts=(3, 2)", "--class-counts 3 2"),
    "a place": ("validate", Setting("data_dir", "my sets"), "data_dir='my sets'", "--data-dir 'my sets'"),
    "K": ("verify", Setting("num_classes", 3), "num_classes=3", "-K 3"),
    "n": ("map", Setting("per_class", 3), "per_class=3", "-n 3"),
    "n of a training": ("train", Setting("per_class", 3), "per_class=3", "--per-class 3"),
    "d": ("solve", Setting("dim"), "dim", "-d"),
    "a setting of no flag": ("derive", Setting("max_iterations", 5), "max_iterations=5", "max_iterations=5"),
    "a call": ("report", Call("networks.train"), "networks.train", "ufm train"),
    "a call with settings": (
        "validate",
        Call("networks.train", Setting("resume", True)),
        "networks.train(..., resume=True)",
        "ufm train --resume",
    ),
    "a call of no command": ("solve", Call("ufm.certify"), "ufm.certify", "ufm.certify"),
}


@pytest.mark.parametrize(("command", "word", "python", "flag"), SAID.values(), ids=SAID)
def test_a_word_both_ways(command, word, python, flag):
    error = ufm.InputError("this is wrong", ("mend it by ", word, ", say"))
    assert str(error) == f"this is wrong; mend it by {python}, say"
    assert flags.as_flags(error, kind(command)) == f"this is wrong; mend it by {flag}, say"


def test_what_stands_for_python_names_is_there():
    known = {name for command in COMMANDS for name in flags.names(kind(command))}
    assert {flag for others in flags.NAMES.values() for flag in others} <= known
    for function, (command, *words) in flags.COMMANDS.items():
        module, name = function.rsplit(".", 1)
        assert hasattr(importlib.import_module(module), name)
        taken = {word.lstrip("-").replace("-", "_") for word in words if word.startswith("-")}
        assert taken <= flags.names(kind(command))


def damaged_map(tmp_path):
    (tmp_path / "map").mkdir()
    (tmp_path / "map" / "map.json").write_text("[]")
    return ["map", "--classes", "3", "--dims", "2", "--runs", str(tmp_path)]


def existing_run(tmp_path):
    Run.create(tmp_path / "digits", {"recipe": dataclasses.asdict(networks.Recipe())})
    return ["train", "--epochs", "1", "--device", "cpu", "--width", "8", "--depth", "0", "--runs", str(tmp_path)]


REAL = {  # a command line, its words; what does the same in Python, and its words
    "a rate": (
        lambda _: ["train", "--lr", "-1"],
        "--lr must be a finite number > 0, got -1.0",
        lambda _: networks.Recipe(lr=-1.0),
        "lr must be a finite number > 0, got -1.0",
    ),
    "milestones": (
        lambda _: ["train", "--schedule", "milestones"],
        "pass --milestones 60 120 160, say",
        lambda _: networks.Recipe(schedule="milestones"),
        "pass milestones=(60, 120, 160), say",
    ),
    "a decay": (
        lambda _: ["solve", "--lambda-w", "0"],
        "as W and H scale against each other; give --lambda-w and --lambda-h",
        lambda _: ufm.Problem((3, 3), 6, 0.0, 1e-3, 1e-2),
        "as W and H scale against each other; give lambda_w and lambda_h",
    ),
    "no decay at all": (
        lambda _: ["solve", "--lambda-w", "0", "--lambda-h", "0"],
        "f falls to 0 at infinity; take the limit, ufm verify --model ridgeless",
        lambda _: ufm.Problem((3, 3), 6, 0.0, 0.0, 1e-2),
        "f falls to 0 at infinity; take the limit, ufm.models.Ridgeless",
    ),
    "a damaged map": (
        damaged_map,
        "is no map; choose another place, or begin anew with --force",
        lambda folder: ufm.traps.grid.explore(Grid((3,), (2,), (1e-3,)), folder / "map" / "map.json"),
        "is no map; choose another place, or begin anew with force=True",
    ),
    "a run that exists": (
        existing_run,
        "exists; resume it with --resume, replace it with --force, or rename",
        lambda folder: Run.create(folder / "digits", {}),
        "exists; resume it with resume=True, replace it with force=True, or rename",
    ),
    "no run": (
        lambda folder: ["report", str(folder / "none")],
        "(it has no config.json); make one with ufm train",
        lambda folder: Run.open(folder / "none"),
        "(it has no config.json); make one with networks.train",
    ),
    "a frame that does not fit": (
        lambda folder: ["train", "--head", "etf", "--feature-dim", "3", "--device", "cpu", "--runs", str(folder)],
        "10 classes have no simplex frame in 3 dimensions; give --feature-dim >= 9",
        lambda _: networks.simplex_frame(10, 3),
        "10 classes have no simplex frame in 3 dimensions; give feature_dim >= 9",
    ),
}


@pytest.mark.parametrize(("line", "flags", "call", "words"), REAL.values(), ids=REAL)
def test_real_errors_both_ways(line, flags, call, words, tmp_path, capsys):
    assert main(line(tmp_path)) == 2
    errors = capsys.readouterr().err
    assert errors.startswith("ufm: ")
    assert errors.count("\n") == 1
    assert errors.endswith(f"{flags}\n")
    with pytest.raises(ufm.InputError) as caught:
        call(tmp_path)
    assert str(caught.value).endswith(words)
    assert not FLAG.search(str(caught.value))


def test_a_device_that_is_not_there(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(ufm.InputError, match=r"^no CUDA device here; use device='cpu'$"):
        device_of("cuda")
    assert main(["train", "--device", "cuda", "--runs", str(tmp_path)]) == 2
    assert capsys.readouterr().err == "ufm: no CUDA device here; use --device cpu\n"
