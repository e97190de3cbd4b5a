"""python -m benchmarks [NAME ...]: run the comparisons, print them, write benchmarks/results.md."""

import argparse
import importlib
import os
import platform
import warnings
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks.timing import Row
from ufm.storage.files import write_text
from ufm_cli.console import show, track
from validate.runs.provenance import provenance

SCRIPTS = ("objective", "minimize", "spectra", "metrics", "training", "roofline", "sweep", "cluster")
RESULTS = Path(__file__).with_name("results.md")
HEADER = ("task", "ours", "seconds", "peer", "seconds", "peer/ours", "note")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(SCRIPTS)}; all by default")
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1), help="of torch (default: 2)")
    asked = parser.parse_args(arguments)
    unknown = sorted(set(asked.names) - set(SCRIPTS))
    if unknown:
        parser.error(f"unknown benchmark {unknown[0]!r}; choose of {', '.join(SCRIPTS)}")
    torch.set_num_threads(asked.threads)
    # pytorch-minimize compiles its line search with the deprecated torch.jit.
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"torch\.jit")
    names = asked.names or SCRIPTS
    try:
        scripts = {name: importlib.import_module(f"benchmarks.{name}") for name in names}
    except ModuleNotFoundError as error:
        parser.exit(2, f'benchmarks: no module {error.name}; pip install -e ".[bench]"\n')
    found = {name: list(scripts[name].rows()) for name in track("benchmarks")(scripts)}
    for name, rows in found.items():
        show(name, HEADER, [cells(row) for row in rows])
    if set(names) == set(SCRIPTS):
        write_text(RESULTS, _page([row for rows in found.values() for row in rows], asked.threads))
        print(RESULTS)


def cells(row: Row) -> tuple[str, ...]:
    return (
        row.task,
        row.ours,
        f"{row.ours_seconds:.3g}",
        row.peer,
        f"{row.peer_seconds:.3g}",
        f"{row.ratio:.3g}",
        row.note,
    )


def _page(rows: list[Row], threads: int) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in provenance()["versions"].items())
    lines = [
        "# Benchmarks",
        "",
        "Written by `make bench`. The ratios are what counts: seconds depend on the machine and its load.",
        f"float64, {threads} threads, {platform.machine()}, {versions}.",
        "",
        f"| {' | '.join(HEADER)} |",
        f"|{' --- |' * len(HEADER)}",
        *(f"| {' | '.join(cells(row))} |" for row in rows),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
