"""ufm train: train a network into its terminal phase, with every metric every epoch."""

import dataclasses
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import tyro

from networks import Recipe

from ..console import say, show, track
from ..flags import flag
from ..options import JsonFile, Switch, is_plain, require_plain_name, require_unused, write_result

SHOWN = ("epoch", "loss", "accuracy", "test_accuracy", "nc1", "nc2", "nc3", "nc4", "mean_margin")


@dataclass(frozen=True)
class Command:
    """Train a network and record it in RUNS/NAME: config, one row an epoch, points and checkpoints.

    With --resume RUN alone a run goes on by its own settings; --epochs may be raised, and flags that would make it
    another run are refused. On several GPUs, or processes: torchrun --nproc-per-node N -m ufm train ...
    """

    target: Annotated[tyro.conf.Positional[str | None], tyro.conf.arg(metavar="[RUN]", help_behavior_hint="")] = None
    """with --resume: the run, a name in RUNS or a path (with a slash), in place of --name"""
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
    """go on after the last recorded epoch, by the run's own settings where no flag gives another"""
    json: JsonFile = None

    def defaults(self) -> "Command | None":
        from networks import preset, recipe_of
        from validate import Run

        if self.preset:
            return Command(recipe=preset(self.preset))
        return Command(recipe=recipe_of(Run.open(self.path))) if self.resume else None

    def check(self, given: set[str]) -> None:
        from ufm.errors import require

        if self.target is not None:
            require(self.resume, f"--name names a new run; to go on with {self.target} add --resume")
            require_unused(given, {"name"}, f"the run is {self.target}")
            if not is_plain(self.target):
                require_unused(given, {"runs"}, f"{self.target} is a path")

    def check_whole(self, given: set[str]) -> None:
        from networks.recipe import idle, idle_decays

        for setting, (of, choices) in idle(vars(self.recipe)).items():
            flag = f"--{of.replace('_', '-')}"
            require_unused(given, {setting}, f"it is of {flag} {' and '.join(choices)}")
        require_unused(given, idle_decays(self.recipe), "all parameters that are trained have another decay, or none")
        if self.recipe.data == "digits":
            require_unused(given, {"data_dir"}, "the digits are those of scikit-learn, which brings them")

    @property
    def path(self) -> Path:
        """The run's folder."""
        if self.target is None:
            return self.runs / require_plain_name(self.name)
        return self.runs / self.target if is_plain(self.target) else Path(self.target)

    def run(self) -> int:
        from networks import train, unused
        from networks.distributed import is_main
        from ufm.errors import Setting

        if not is_main():
            train(self.recipe, self.path, force=self.force, resume=self.resume)
            return 0
        if self.preset:
            _show_preset(self.preset, self.recipe)
        for setting, users in unused(self.recipe).items():
            value = getattr(self.recipe, setting)
            say(f"not used: {' '.join(flag(Setting(setting, value)))} (it is of --{users})")
        try:
            run = train(self.recipe, self.path, force=self.force, resume=self.resume, track=track("epochs"))
        except KeyboardInterrupt:
            raise KeyboardInterrupt(*self._resumption()) from None
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

    def _resumption(self) -> list[str]:
        """How to go on with this training, if it has begun."""
        from networks import recipe_of
        from ufm import InputError
        from validate import Run

        try:
            begun = recipe_of(Run.open(self.path)) == self.recipe
        except InputError:
            begun = False
        place = str(self.path) if "/" in str(self.path) else f"./{self.path}"
        return [f"go on with {shlex.join(['ufm', 'train', '--resume', place])}"] if begun else []


def show_result(data: dict[str, Any]) -> None:
    """Print what is left of a training in its result: the last epoch."""
    row = data["last_epoch"]
    show(f"run {data['run']}", SHOWN, [[int(row["epoch"]), *(row[name] for name in SHOWN[1:])]])


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
