"""ufm figures: draw every figure of a run, or of several compared."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from ..console import say, track
from ..options import JsonFile, write_result


@dataclass(frozen=True)
class Command:
    """Draw every figure of a run, or of several compared, as SVG, PDF, PNG and CSV.

    Legends name the settings in which the runs differ. What the runs have nothing to show in is not drawn, and said.
    """

    targets: Annotated[
        tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(metavar="RUN [RUN ...]", help_behavior_hint="")
    ]
    """run directories"""
    out: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """the folder of the figures (default: RUN/figures, for several runs compared/ beside the first)"""
    only: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME ...", help_behavior_hint="")] = ()
    """these figures alone: collapse, accuracy, predictions, bounds, optimizers, heads, decays, width, layers or
    minority"""
    json: JsonFile = None

    def run(self) -> int:
        from figures import compare_runs, draw_run
        from figures.runs.comparison import COMPARISONS, NEEDS
        from ufm.errors import require
        from validate import Run

        require(self.targets, "name a run directory, or several to compare")
        opened = [Run.open(path) for path in dict.fromkeys(self.targets)]
        alone = len(opened) == 1 and not self.only
        if alone:
            paths = draw_run(opened[0], self.out, track("figures"))
        else:
            beside = opened[0].path / "figures" if len(opened) == 1 else opened[0].path.parent / "compared"
            paths = compare_runs(opened, self.out or beside, self.only, track("figures"))
        drawn = {path.stem for path in paths}
        for path in paths:
            say(str(path))
        wanted = [] if alone else self.only or COMPARISONS
        left_out = {name: NEEDS[name] for name in wanted if name not in drawn}
        for name, needs in left_out.items():
            say(f"not drawn: {name} (it takes {needs})")
        listed = {"runs": [str(run.path) for run in opened], "files": [str(path) for path in paths]}
        write_result(self.json, "figures", listed | {"not_drawn": left_out})
        return 0
