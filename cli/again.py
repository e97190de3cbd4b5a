"""The command lines that make a run and its report again, from what their files say was asked."""

import dataclasses
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from validate.provenance import flags

if TYPE_CHECKING:
    from validate import Run


def commands(run: "Run", verdicts: Path | None) -> list[str]:
    """ufm verify, train, validate and report, in this order; without what the files do not tell."""
    found = [_verify(verdicts), _train(run), ["validate", str(run.path)]]
    report = ["report", str(run.path), *(["--verdicts", str(verdicts)] if verdicts else [])]
    return [shlex.join(["ufm", *words]) for words in [*found, report] if words]


def _train(run: "Run") -> list[str] | None:
    """Every setting of the recipe that is not the default, or was not known when the run was made."""
    from networks import Recipe

    recipe, defaults = run.config.get("recipe"), dataclasses.asdict(Recipe())
    if not recipe or set(recipe) - set(defaults):
        return None
    changed = {name: value for name, value in recipe.items() if _plain(value) != _plain(defaults[name])}
    return ["train", "--name", run.name, "--runs", str(run.path.parent), *flags(changed)]


def _verify(file: Path | None) -> list[str] | None:
    from ufm.files import read_json

    found = read_json(file) if file else {}
    problem = found.get("problem") if isinstance(found, dict) else None
    if not problem or problem.get("loss") != "cross-entropy":
        return None
    counts = problem["per_class"]
    sizes = {"class_counts": counts} if isinstance(counts, list) else {"K": problem["num_classes"], "n": counts}
    decays = {name: problem[name] for name in ("lambda_w", "lambda_h", *(["lambda_b"] if problem["bias"] else []))}
    asked = {name: found[name] for name in ("seed", "starts", "rigorous", "atlas") if name in found}
    given = sizes | {"d": problem["dim"]} | decays | {"bias": problem["bias"]} | asked
    usual = {"bias": True, "rigorous": False, "atlas": False}
    return ["verify", *flags({k: v for k, v in given.items() if usual.get(k) != v}), "--json", str(file)]


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
