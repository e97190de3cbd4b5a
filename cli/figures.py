"""ufm figures: draw every figure of a run."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from .console import say, track
from .options import JsonFile, write_result


@dataclass(frozen=True)
class Command:
    """Draw every figure of a run into RUN/figures, as SVG, PNG and CSV."""

    target: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """a run directory"""
    json: JsonFile = None

    def run(self) -> int:
        from figures.runs import draw
        from validate import Run

        paths = [str(path) for path in draw(Run.open(self.target), track=track("figures"))]
        for path in paths:
            say(path)
        write_result(self.json, "figures", {"run": str(self.target), "files": paths})
        return 0
