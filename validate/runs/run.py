"""The record of a run on disk: what was asked, one row an epoch, the points and the checkpoints.

NAME/config.json   NAME/epochs.csv   NAME/checkpoints/   NAME/points/   NAME/figures/   NAME/report.html
"""

import csv
import io
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ufm import InputError
from ufm.errors import Call, Setting
from ufm.storage.files import read_json, write_json, write_text

from . import older
from .minimised import Minimised

RUNS = Path("runs")  # the folder that the command trains into, unless it is told another
AGAIN = ("train again with ", Call("networks.train", Setting("force", True)))  # what mends a damaged run


@dataclass(frozen=True)
class Run:
    """A run directory. Nothing is cached: what is read is what is on disk."""

    path: Path

    @classmethod
    def create(cls, path: Path | str, config: dict[str, Any], force: bool = False) -> "Run":
        """A new run with its config.json; an existing one is replaced only with force. A link stays, as for a file."""
        run, path = cls(Path(path)), Path(os.path.realpath(path))
        if path.is_dir() and all(file.name.startswith(".config.json.") for file in path.iterdir()):
            shutil.rmtree(path)  # empty, or of a process that was killed while it wrote config.json
        if path.exists():
            if not (path / "config.json").is_file() and any(path.iterdir() if path.is_dir() else [path]):
                raise InputError(f"{run.path} exists and is not a run; choose another name")
            if not force:
                mend = (
                    "resume it with ",
                    Setting("resume", True),
                    ", replace it with ",
                    Setting("force", True),
                    ", or rename",
                )
                raise InputError(f"the run {run.path} exists", mend)
            _set_aside(path)
        shutil.rmtree(_aside(path), ignore_errors=True)
        run.write_config(config)
        return run

    @classmethod
    def open(cls, path: Path | str) -> "Run":
        """An existing run; InputError when there is none."""
        path = Path(path)
        if not (path / "config.json").is_file():
            near, train = RUNS / path, ("make one with ", Call("networks.train"))
            mend = f"did you mean {near}?" if (near / "config.json").is_file() else train
            raise InputError(f"no run at {path} (it has no config.json)", mend)
        return cls(path)

    @property
    def name(self) -> str:
        return self.path.resolve().name

    @property
    def config(self) -> dict[str, Any]:
        config = read_json(self.path / "config.json")
        if not isinstance(config, dict) or not isinstance(config.get("recipe", {}), dict):
            raise InputError(f"{self.path}/config.json is damaged", AGAIN)
        return config

    @property
    def recipe(self) -> dict[str, Any]:
        """What config.json asks of the training, setting by setting; empty where it asks nothing."""
        return older.recipe_of(self.config)

    @property
    def minimised(self) -> Minimised | None:
        """What the training minimised, as config.json states it, or as `older` reads it off an older one.

        None where the file says nothing of it; InputError where it is damaged.
        """
        config = self.config
        if "minimised" not in config:
            return older.minimised_of(config)
        try:
            return Minimised.from_plain(config["minimised"])
        except InputError as error:
            raise InputError(f"{self.path}/config.json: {error}", AGAIN) from error

    def write_config(self, config: dict[str, Any]) -> None:
        write_json(self.path / "config.json", config)

    @property
    def epochs(self) -> list[dict[str, float]]:
        """The rows of epochs.csv as numbers, oldest first; empty before the first epoch ended.

        Rows of an earlier version are without the columns of `older.LATER`.
        """
        file = self.path / "epochs.csv"
        if not file.is_file():
            return []
        try:
            rows = list(csv.DictReader(io.StringIO(file.read_text(encoding="utf-8"))))
            found = [{n: float(v) for n, v in row.items() if v != "" or n not in older.LATER} for row in rows]
            if not all(row["epoch"].is_integer() for row in found):
                raise ValueError("an epoch is no whole number")
            return [{"epoch": row.pop("epoch")} | row for row in found]
        except (ValueError, TypeError, KeyError, csv.Error) as error:
            raise InputError(f"{file} is damaged ({error})", AGAIN) from error

    def write_epochs(self, rows: list[dict[str, float]]) -> None:
        """Replace epochs.csv; the columns are those of the last row, and a cell that an earlier row lacks is empty."""
        text = io.StringIO()
        writer = csv.DictWriter(text, fieldnames=list(rows[-1]), restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_text(self.path / "epochs.csv", text.getvalue())

    def checkpoint(self, epoch: int) -> Path:
        return self.path / "checkpoints" / f"epoch_{epoch:04d}.safetensors"

    @property
    def checkpoints(self) -> dict[int, Path]:
        """The checkpoints on disk by epoch, ascending."""
        return _by_epoch(self.path / "checkpoints")

    @property
    def last_checkpoint(self) -> Path:
        """Model and optimiser state of the last epoch, for resuming."""
        return self.path / "checkpoints" / "last.safetensors"

    def point(self, epoch: int) -> Path:
        """The last layer and class means after an epoch."""
        return self.path / "points" / f"epoch_{epoch:04d}.safetensors"

    @property
    def points(self) -> dict[int, Path]:
        """The points on disk by epoch, ascending."""
        return _by_epoch(self.path / "points")

    @property
    def last_point(self) -> Path:
        """The last layer and every training feature, with labels, of the newest checkpoint."""
        return self.path / "points" / "last.safetensors"

    @property
    def analysis(self) -> Path:
        """What `ufm validate` found."""
        return self.path / "validation.json"

    @property
    def layers(self) -> Path:
        """The layers of the network after some epochs, which `ufm validate --layers` measured."""
        return self.path / "layers.json"


def _by_epoch(folder: Path) -> dict[int, Path]:
    files = sorted(folder.glob("epoch_[0-9]*.safetensors"))
    numbered = [(file.stem.removeprefix("epoch_"), file) for file in files]
    return {int(number): file for number, file in numbered if number.isdigit()}


def _aside(path: Path) -> Path:
    """Where a run that is to be removed goes: a process that dies over it leaves no half of a run under its name."""
    return path.with_name(f".{path.name}.replaced")


def _set_aside(path: Path) -> None:
    shutil.rmtree(_aside(path), ignore_errors=True)
    path.rename(_aside(path))
