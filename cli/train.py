"""ufm train: train a network into its terminal phase, with every metric every epoch."""

from dataclasses import dataclass, field
from pathlib import Path

from networks import Recipe

from .console import say, show, track
from .options import JsonFile, require_plain_name, write_result

SHOWN = ("epoch", "loss", "accuracy", "test_accuracy", "nc1", "nc2", "nc3", "nc4", "mean_margin")


@dataclass(frozen=True)
class Command:
    """Train a network and record it in RUNS/NAME: config, one row an epoch, points and checkpoints."""

    recipe: Recipe = field(default_factory=Recipe)
    name: str = "digits"
    """of the run"""
    runs: Path = Path("runs")
    """the folder of all runs"""
    force: bool = False
    """replace the run if there is one of that name"""
    resume: bool = False
    """go on after the last recorded epoch"""
    json: JsonFile = None

    def run(self) -> int:
        from networks import train

        path = self.runs / require_plain_name(self.name)
        run = train(self.recipe, path, force=self.force, resume=self.resume, track=track("epochs"))
        epochs = run.epochs
        stride = max(1, len(epochs) // 8)
        chosen = [row for row in epochs[:-1] if row["epoch"] % stride == 1 or stride == 1] + epochs[-1:]
        show(f"run {run.path}", SHOWN, [[int(row["epoch"]), *(row[name] for name in SHOWN[1:])] for row in chosen])
        say(f"run: {run.path}")
        write_result(self.json, "train", {"run": str(run.path), "last_epoch": epochs[-1]})
        return 0
