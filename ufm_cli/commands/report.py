"""ufm report: one self-contained HTML page about a run."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from ..again import commands
from ..console import say, track
from ..options import JsonFile, write_result


@dataclass(frozen=True)
class Command:
    """Write RUN/report.html: what was asked, the theorems' verdicts, the figures, theory beside network.

    The theorems are those that `ufm validate RUN --theorems` checked on the network's own model. The path is printed
    last.
    """

    target: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """a run directory"""
    verdicts: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """what `ufm verify --json FILE` wrote of another problem, to be shown as well"""
    json: JsonFile = None

    def run(self) -> int:
        from figures.runs.report import write_report
        from validate import Run

        run = Run.open(self.target)
        path = write_report(run, self.verdicts, track("figures"), commands(run, self.verdicts))
        write_result(self.json, "report", {"run": str(self.target), "report": str(path)})
        say(str(path))
        return 0
