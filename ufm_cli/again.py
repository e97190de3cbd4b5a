"""The command lines that make a run and its report again in a fresh clone, from what their files say was asked."""

import dataclasses
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from validate.runs.provenance import flags, provenance

if TYPE_CHECKING:
    from validate import Run

RUNS = Path("runs")  # of the clone; git leaves it alone
DATA = "data"  # where torchvision's sets are downloaded to
PINNED = ("torch", "numpy", "scipy")


def commands(run: "Run", verdicts: Path | None) -> list[str]:
    """Lines for a shell in a clone of this project: revision, environment, then train, verify, validate and report.

    The training runs at its own revision, all else at the one that makes this report. What the files do not tell is
    left out; comments say what a line cannot.
    """
    trained, reported = run.config.get("git"), provenance()["git"]
    made = RUNS / run.name
    file = RUNS / verdicts.name if verdicts else None
    verify = _verify(verdicts, file) if verdicts and file else []
    report = ["report", str(made), *(["--verdicts", str(file)] if verify else [])]
    return [
        *_checkout(trained, "the training"),
        *_environment(run.config),
        *_train(run, whole=reported != trained),
        *([] if reported == trained else _checkout(reported, "this report")),
        *_ufm(verify, ["validate", str(made), *_theorems(run), *_layers(run)], report),
    ]


def _ufm(*commands: list[str]) -> list[str]:
    return [shlex.join(["ufm", *words]) for words in commands if words]


def _checkout(git: str | None, what: str) -> list[str]:
    """A `git checkout` of the revision that made something, with a comment where it does not tell all."""
    if not git:
        return [f"# the revision that made {what} is not known"]
    revision, _, changes = git.partition("+")
    comment = [f"# {what} was made with changes that this revision does not have"] if changes else []
    return [*comment, shlex.join(["git", "checkout", revision])]


def _environment(config: dict[str, Any]) -> list[str]:
    """A virtual environment with the versions that the training had."""
    versions = config.get("versions", {})
    pins = [f"{name}=={versions[name].split('+')[0]}" for name in PINNED if versions.get(name, "not")[0].isdigit()]
    package = ".[tensorboard]" if config.get("recipe", {}).get("tensorboard") else "."
    python = f"  # Python {versions['python']}" if "python" in versions else ""
    return [
        f"python3 -m venv .venv{python}",
        ". .venv/bin/activate",
        shlex.join(["python", "-m", "pip", "install", "--editable", package, *pins]),
    ]


def _train(run: "Run", whole: bool) -> list[str]:
    """The training, by the settings that are not today's defaults, or (whole) by all that config.json has."""
    from networks import Recipe
    from networks.recipe import idle

    recipe, defaults = run.recipe, dataclasses.asdict(Recipe())
    if not recipe or set(recipe) - set(defaults):
        return []
    settings = run.config["recipe"] if whole else recipe
    changed = {name: value for name, value in settings.items() if _plain(value) != _plain(defaults[name])}
    # What is a switch, None or empty has no flag that says so.
    given = {name: value for name, value in settings.items() if not isinstance(value, bool) and value not in (None, [])}
    comment, images = _images(recipe)
    left_out = {"data_dir", *idle(recipe)}  # what does nothing is refused
    asked = {name: value for name, value in (given | changed if whole else changed).items() if name not in left_out}
    return [*comment, *_ufm(["train", "--name", run.name, "--runs", str(RUNS), *flags(asked | images)])]


def _images(recipe: dict[str, Any]) -> tuple[list[str], dict[str, str]]:
    """(a comment on where the images come from, the setting that says so)."""
    data, place = recipe.get("data", "digits"), recipe.get("data_dir", "DATA_DIR")
    if data == "digits":
        return [], {}
    if data == "folder":
        return [f"# the images are those of {place}/train/CLASS/FILE and {place}/test/CLASS/FILE"], {"data_dir": place}
    return [f"# {data} is downloaded into {DATA} if it is not there"], {"data_dir": DATA}


def _theorems(run: "Run") -> list[str]:
    """The flag that has the theorems checked, where they were."""
    from ufm.storage.files import read_json

    found = read_json(run.analysis) if run.analysis.is_file() else {}
    return ["--theorems"] if isinstance(found, dict) and found.get("theorems") else []


def _layers(run: "Run") -> list[str]:
    """The flags that have every layer measured, where they were."""
    from validate.layerwise.layer import LayersOfRun

    if not run.layers.is_file():
        return []
    found = LayersOfRun.load(run.layers)
    asked = {"names": found.names, "pool": found.pool, "most": found.most}
    return ["--layers", *flags({name: value for name, value in asked.items() if value})]


def _verify(verdicts: Path, file: Path) -> list[str]:
    """What made a file of verdicts, for another file; empty where it does not say."""
    from ufm.storage.files import read_json

    found = read_json(verdicts)
    problem = found.get("problem") if isinstance(found, dict) else None
    if not problem or problem.get("loss") != "cross-entropy":
        return []
    counts = problem["per_class"]
    sizes = {"class_counts": counts} if isinstance(counts, list) else {"K": problem["num_classes"], "n": counts}
    decays = {name: problem[name] for name in ("lambda_w", "lambda_h", *(["lambda_b"] if problem["bias"] else []))}
    asked = {name: found[name] for name in ("seed", "starts", "rigorous", "atlas") if name in found}
    given = sizes | {"d": problem["dim"]} | decays | {"bias": problem["bias"]} | asked
    usual = {"bias": True, "rigorous": False, "atlas": False}
    return ["verify", *flags({k: v for k, v in given.items() if usual.get(k) != v}), "--json", str(file)]


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
