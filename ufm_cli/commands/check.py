"""ufm check: verify the certificate of a complete list of critical points."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from ..console import meter, say
from ..options import JsonFile, write_result


@dataclass(frozen=True)
class Command:
    """Verify a certificate that `ufm atlas --prove` wrote (RUNS/NAME/proof.json).

    Every box is looked at again, in ball arithmetic and by code that shares nothing with what made the certificate.
    Exit status 1 when it does not hold.
    """

    target: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="FILE")]
    """the certificate"""
    jobs: int = 1
    """pieces that are gone through side by side, a process each: worth their start where a check takes minutes"""
    json: JsonFile = None

    def run(self) -> int:
        from ufm.completeness.check import check

        with meter("checking") as show_share:
            found = check(
                self.target, self.jobs, on_piece=lambda seen, all: show_share(seen / all, f"{seen:,} of {all:,} leaves")
            )
        show_result(found.plain())
        write_result(self.json, "check", found.plain())
        return 0 if found.holds else 1


def show_result(data: dict[str, Any]) -> None:
    """Print a result as `ufm check` does."""
    say(f"{data['boxes']} boxes, {data['cut']} more where these were cut, {data['seconds']} s, {data['precision']}")
    say(f"holds: {data['statement']}" if data["holds"] else data["statement"])
