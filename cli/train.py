"""ufm train: train a network into its terminal phase, with every metric every epoch."""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from networks import Recipe

from .console import say, show, track
from .options import JsonFile, Switch, require_plain_name, write_result

SHOWN = ("epoch", "loss", "accuracy", "test_accuracy", "nc1", "nc2", "nc3", "nc4", "mean_margin")


@dataclass(frozen=True)
class Command:
    """Train a network and record it in RUNS/NAME: config, one row an epoch, points and checkpoints.

    On several GPUs, or processes: torchrun --nproc-per-node N -m cli train ...
    """

    recipe: Recipe = field(default_factory=Recipe)
    preset: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """start from paper-sgd, paper-adam, paper-lbfgs or sota in place of the defaults; other flags override it"""
    name: str = "digits"
    """of the run"""
    runs: Path = Path("runs")
    """the folder of all runs"""
    force: Switch = False
    """replace the run if there is one of that name"""
    resume: Switch = False
    """go on after the last recorded epoch"""
    json: JsonFile = None

    def defaults(self) -> "Command | None":
        from networks import preset

        return Command(recipe=preset(self.preset)) if self.preset else None

    def run(self) -> int:
        from networks import train
        from networks.distributed import is_main

        path = self.runs / require_plain_name(self.name)
        if not is_main():
            train(self.recipe, path, force=self.force, resume=self.resume)
            return 0
        if self.preset:
            _show_preset(self.preset, self.recipe)
        run = train(self.recipe, path, force=self.force, resume=self.resume, track=track("epochs"))
        epochs = run.epochs
        stride = max(1, len(epochs) // 8)
        chosen = [row for row in epochs[:-1] if row["epoch"] % stride == 1 or stride == 1] + epochs[-1:]
        show(f"run {run.path}", SHOWN, [[int(row["epoch"]), *(row[name] for name in SHOWN[1:])] for row in chosen])
        takes = run.config["model"]
        memory = takes["training_memory_bytes"] / 2**20
        say(f"{self.recipe.model}: {takes['parameters']:,} parameters, {memory:,.0f} MiB to train in these batches")
        say(f"run: {run.path}")
        write_result(self.json, "train", {"run": str(run.path), "last_epoch": epochs[-1]})
        return 0


def _show_preset(name: str, recipe: Recipe) -> None:
    """Every setting of the recipe, and whether a flag, the preset or the default set it."""
    from networks import PRESETS, preset

    settings, started = dataclasses.asdict(recipe), dataclasses.asdict(preset(name))

    def origin(setting: str) -> str:
        if settings[setting] != started[setting]:
            return "flag"
        return "preset" if setting in PRESETS[name].settings else "default"

    rows = [(setting, str(value), origin(setting)) for setting, value in settings.items()]
    say(f"preset {name}: {PRESETS[name].source}")
    show("recipe", ("setting", "value", "set by"), rows)
