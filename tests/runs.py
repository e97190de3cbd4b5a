"""Runs made of another's numbers: records as small as they come, without points and checkpoints."""

from pathlib import Path

from validate import Run

CAST = {
    "adam": {"optimizer": "adam", "lr": 0.001},
    "d10": {"feature_dim": 10},
    "etf": {"feature_dim": 10, "head": "etf"},
    "lbfgs": {"optimizer": "lbfgs", "lr": 0.1, "batch_size": 2048, "schedule": "constant"},
    "sgd": {},
    "narrow": {"random_labels": True, "per_class": 20, "width": 4, "feature_dim": 4},
    "wide": {"random_labels": True, "per_class": 20, "width": 512},
}


def like(run: Run, path: Path, factor: float = 1.0, **changes) -> Run:
    """A run of the same numbers times a factor, with other settings."""
    made = Run.create(path, {"recipe": run.config["recipe"] | changes})
    made.write_epochs([{k: v * (1 if k == "epoch" else factor) for k, v in row.items()} for row in run.epochs])
    return made


def cast(run: Run, folder: Path) -> list[Run]:
    """The runs of CAST: three optimisers, three last layers, two widths on random labels; the frame's NC2 is zero."""
    runs = [like(run, folder / name, 1 + i / 10, **changes) for i, (name, changes) in enumerate(CAST.items())]
    frame = runs[list(CAST).index("etf")]
    frame.write_epochs([row | {"nc2": 4.5e-8} for row in frame.epochs])
    return runs
