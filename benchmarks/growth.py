"""python -m benchmarks.growth RUNS [NAME ...]: how atlases grow with K; imbalanced problems and other losses.

Each problem is searched in a process of its own, on one thread. RUNS keeps the searches, and one that was stopped goes
on. Without names all are searched that RUNS has not finished, K >= 9 left out. Writes growth.csv, growth.svg and
growth.png into results/atlas.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from matplotlib.axes import Axes

import ufm
from figures import Drawing, house_style, new_figure
from ufm.losses import BinaryCrossEntropy, CrossEntropy, Focal, LabelSmoothing, LogitAdjusted, MeanSquare, Weighted
from ufm.storage.files import read_json, write_json

DECAY = {"lambda_w": 2e-3, "lambda_h": 2e-3, "lambda_b": 1e-2}
LOSSES = {
    "label smoothing 0.1": LabelSmoothing(0.1),
    "logit adjusted": LogitAdjusted(offsets=(0.0, 0.0, 0.0, 1.0, 1.0)),
    "focal 2": Focal(2.0),
    "squared error": MeanSquare(),
    "binary cross-entropy": BinaryCrossEntropy(),
    "weighted cross-entropy": Weighted(CrossEntropy(), [1.0, 1.0, 1.0, 2.0, 2.0]),
}
BALANCED = {f"K = {K}": ufm.Problem.balanced(K, 2, K - 1, **DECAY) for K in range(3, 13)}
PROBLEMS = {
    **BALANCED,
    "K = 7, no bias": ufm.Problem.balanced(7, 2, 6, lambda_w=2e-3, lambda_h=2e-3, bias=False),
    "K = 6, three times more": ufm.Problem((1, 1, 1, 3, 3, 3), 5, **DECAY),
    "K = 7, one minority": ufm.Problem((1, 4, 4, 4, 4, 4, 4), 6, **DECAY),
    "K = 5, all different": ufm.Problem((1, 2, 3, 4, 5), 4, **DECAY),
    **{f"K = 5, {name}": ufm.Problem.balanced(5, 2, 5, **DECAY, loss=loss) for name, loss in LOSSES.items()},
}
HEADER = ("problem", "K", "state", "points", "by rank", "sums", "not 1", "undecided", "hidden", "starts")
USED = ("cpu_s", "peak_mib")
OUT = Path(__file__).parents[1] / "results" / "atlas"
ASKED = tuple(name for name in PROBLEMS if name not in ("K = 9", "K = 10", "K = 11", "K = 12"))  # minutes, all in all


class Tally:
    """Processor seconds and the largest memory in MiB of a search, over all the processes that it took: in a file."""

    def __init__(self, file: Path):
        self.file = file
        self.before = read_json(file) if file.is_file() else {"cpu": 0.0, "peak": 0.0}

    def now(self) -> dict[str, float]:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        return {"cpu": self.before["cpu"] + time.process_time(), "peak": max(self.before["peak"], peak)}

    def write(self, *_: Any) -> None:
        write_json(self.file, self.now())


def search(runs: Path, name: str) -> None:
    """Search one problem to the end, in this process; RUNS/NAME.done.json has what was found."""
    torch.set_num_threads(1)
    tally = Tally(runs / f"{name}.cpu.json")
    atlas = ufm.explore(PROBLEMS[name], file=runs / f"{name}.json", on_round=tally.write)
    tally.write()
    ranks = Counter(point.rank for point in atlas.points)
    found = {
        "by rank": [ranks[r] for r in range(max(ranks) + 1)],
        "sums": len(atlas.sums),
        "not 1": len(atlas.failing),
        "undecided": len(atlas.undecided),
        "hidden": atlas.hidden,
        "starts": sum(atlas.starts.values()),
    }
    write_json(runs / f"{name}.done.json", found)


def rows(runs: Path) -> list[dict[str, Any]]:
    """What RUNS has of each problem, finished or begun."""
    found = []
    for name, problem in PROBLEMS.items():
        state, done, used = (runs / f"{name}.{end}" for end in ("json", "done.json", "cpu.json"))
        if state.is_file() and used.is_file():
            row: dict[str, Any] = {"problem": name, "K": problem.num_classes, "state": "begun"}
            row |= _begun(read_json(state)) if not done.is_file() else {"state": "finished", **read_json(done)}
            tally = read_json(used)
            row |= {"points": sum(row["by rank"]), "cpu_s": round(tally["cpu"], 1), "peak_mib": round(tally["peak"])}
            found.append(row)
    return found


def _begun(state: Any) -> dict[str, Any]:
    ranks = Counter(point["rank"] for point in state["points"])
    return {"by rank": [ranks[r] for r in range(max(ranks) + 1)], "starts": sum(state["starts"].values())}


def growth_figure(found: Sequence[dict[str, Any]]) -> Drawing:
    """Points, processor time and memory over K for the balanced problems; hollow where a search is not finished."""
    balanced = [row for row in found if row["problem"] in BALANCED]
    panels = (
        ("points", "critical points", "log"),
        ("cpu_s", "processor time, s", "log"),
        ("peak_mib", "memory, MiB", "linear"),
    )
    with house_style():
        figure = new_figure(6.8, 2.3)
        for axes, panel in zip(figure.subplots(1, 3), panels, strict=True):
            _panel(axes, balanced, *panel)
        figure.axes[0].legend()
    table = [[" ".join(map(str, row[h])) if h == "by rank" else row.get(h, "") for h in HEADER + USED] for row in found]
    caption = "Critical points up to symmetry, processor time on one thread and peak memory of the search, over K."
    return Drawing(figure, caption, HEADER + USED, table)


def _panel(axes: Axes, found: Sequence[dict[str, Any]], column: str, label: str, scale: str) -> None:
    finished = [row for row in found if row["state"] == "finished"]
    axes.plot([row["K"] for row in finished], [row[column] for row in finished], color="C0", linewidth=1)
    for state, face in (("finished", "C0"), ("begun", "white")):
        x, y = ([row[name] for row in found if row["state"] == state] for name in ("K", column))
        axes.plot(x, y, "o", markerfacecolor=face, markeredgecolor="C0", markersize=4, label=f"search {state}")
    axes.set(xlabel="classes K", ylabel=label, yscale=scale, xticks=[row["K"] for row in found])


def main(arguments: Sequence[str] | None = None, out: Path = OUT) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    parser.add_argument("runs", type=Path, help="where the searches are kept")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(map(json.dumps, PROBLEMS))}")
    parser.add_argument("--here", action="store_true", help="search in this process")
    asked = parser.parse_args(arguments)
    unknown = sorted(set(asked.names) - set(PROBLEMS))
    if unknown:
        parser.error(f"unknown problem {unknown[0]!r}")
    asked.runs.mkdir(parents=True, exist_ok=True)
    for name in asked.names or [name for name in ASKED if not (asked.runs / f"{name}.done.json").is_file()]:
        if asked.here:
            search(asked.runs, name)
        else:
            subprocess.run([sys.executable, "-m", "benchmarks.growth", str(asked.runs), name, "--here"], check=True)
    if not asked.here:
        found = rows(asked.runs)
        out.mkdir(parents=True, exist_ok=True)
        growth_figure(found).save(out, "growth", ("svg", "png"))
        for row in found:
            print(*(row.get(column, "") for column in HEADER + USED), sep="  ")


if __name__ == "__main__":
    main()
