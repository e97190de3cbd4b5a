"""ufm bifurcations: how the critical points on a line change with rho or lambda_b."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from ..console import say, show, track
from ..flags import require_unused
from ..options import JsonFile, Switch, require_plain_name, write_result

if TYPE_CHECKING:
    from ufm.bifurcations import Diagram

COLUMNS = ("blocks", "copies", "index", "from", "to", "begins at", "ends at", "places")
EVENTS = ("", "event", "at", "zero eigenvalues", "f", "|W|", "blocks of equal classes")


@dataclass(frozen=True)
class Command:
    """Follow every critical point of balanced cross-entropy at d = 1 along a path, and locate where branches meet.

    In coordinates with n = 1 and lambda_w = lambda_h = lambda = rho/K, on which alone the points depend. Atlases are
    made at some places of the path, and through each of their points a curve is followed both ways. Writes
    RUNS/NAME/bifurcations.json and figures; the same command prints what is there. Finished atlases are kept in
    RUNS/NAME/looks.json, and the same command goes on from them. Exit status 1 when an Euler sum between the events is
    not 1, or a point of an atlas lies on no branch.
    """

    K: Annotated[int, tyro.conf.arg(aliases=["-K"], metavar="INT")] = 4
    """number of classes, 3 to 7"""
    along: Literal["rho", "lambda_b"] = "lambda_b"
    """what changes"""
    begin: float = 0.02
    """the path's least value of it"""
    end: float = 1.0
    """and its largest; along rho 0.98 unless asked, as the critical points end at 1"""
    rho: float = 0.5
    """K sqrt(n lambda_w lambda_h), along lambda_b"""
    ratio: float = 2.0
    """lambda_b/lambda, along rho"""
    bias: bool = True
    """whether the model has a bias (without: along rho alone)"""
    looks: int = 3
    """how many atlases are made, evenly from end to end"""
    seed: int = 0
    """of the atlases"""
    jobs: int = -1
    """atlases that are made side by side, a process each (-1: one a core)"""
    name: str = "bifurcations"
    """of the folder for the results"""
    runs: Path = Path("runs")
    """the folder of all runs"""
    force: Switch = False
    """begin anew, whatever is recorded there"""
    json: JsonFile = None

    def check(self, given: set[str]) -> None:
        if self.along == "rho":
            require_unused(given, {"rho"}, "--along rho changes it")
        else:
            require_unused(given, {"ratio"}, "--along lambda_b fixes rho")
        if not self.bias:
            require_unused(given, {"ratio"}, "--no-bias leaves no b to decay")

    def defaults(self) -> "Command | None":
        """The flags that were not given, as the path has them."""
        return Command(end=0.98) if self.along == "rho" else None

    def run(self) -> int:
        from figures.theory.bifurcations import bifurcation_figure
        from ufm.bifurcations import Path as Along
        from ufm.bifurcations import kept_diagram
        from validate.runs.provenance import provenance

        other = self.rho if self.along == "lambda_b" else self.ratio if self.bias else 0.0
        path = Along(self.K, self.along, self.begin, self.end, other, self.bias)
        folder = self.runs / require_plain_name(self.name)
        file = folder / "bifurcations.json"
        asked: dict[str, Any] = {"looks": self.looks, "seed": self.seed, "jobs": self.jobs, "force": self.force}
        try:
            found = kept_diagram(
                path, file, **asked, made_by=provenance(), on_look=_progress, track=track("atlases along the path")
            )
        except KeyboardInterrupt:
            raise KeyboardInterrupt("the same command goes on from the atlases that are finished") from None
        _show(found)
        for written in (file, *bifurcation_figure(found).save(folder / "figures", "bifurcations")):
            say(str(written))
        write_result(self.json, "bifurcations", found.plain())
        return 1 if found.complaints else 0


def _progress(t: float, branches: int) -> None:
    say(f"atlas at {t:.6g}: {branches} branches so far")


def show_result(data: dict[str, Any]) -> None:
    """Print a result as `ufm bifurcations` does."""
    from ufm.bifurcations import Diagram

    _show(Diagram.from_plain({name: value for name, value in data.items() if name != "seed"}))


def _show(found: "Diagram") -> None:
    path, t = found.path, found.path.along
    fixed = f"rho = {path.other:g}" if t == "lambda_b" else f"lambda_b = {path.other:g} lambda"
    title = (
        f"K = {path.num_classes}, d = 1, {fixed if path.bias else 'no bias'}, {t} from {path.begin:g} to {path.end:g}"
    )
    show(title, COLUMNS, [_row(branch) for branch in found.branches])
    rows = [
        (
            i,
            e.kind,
            f"{e.t:.7f}",
            e.zeros,
            f"{e.level:.8f}",
            f"{e.norm:.5f}",
            "+".join(str(len(b)) for b in e.partition),
        )
        for i, e in enumerate(found.events)
    ]
    show("Events", EVENTS, rows)
    counts = [(f"{c.t:.6g}", c.points, c.euler) for c in found.counts]
    show("Between them: critical points with copies and both signs", (t, "points", "Euler sum"), counts)
    for complaint in found.complaints:
        say(complaint)


def _row(branch: Any) -> list[object]:
    first, last = (None if i is None else f"event {i}" for i in branch.events)
    ends = f"{branch.t[0]:.7f}", f"{branch.t[-1]:.7f}"
    return [branch.shape, branch.copies, branch.index, *ends, first, last, len(branch.t)]
