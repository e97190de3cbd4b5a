"""ufm atlas: every critical point of one problem, the evidence that none is missing, and the descents between them."""

import os
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..console import meter, say, show
from ..options import (
    Dask,
    HtmlFile,
    JsonFile,
    ProblemFlags,
    Switch,
    check_dask,
    require_plain_name,
    write_page,
    write_result,
)

if TYPE_CHECKING:
    from ufm import Spectrum
    from ufm.atlas import Atlas
    from ufm.completeness import Completeness


@dataclass(frozen=True)
class Command:
    """Enumerate the critical points of one problem, up to rotations and permutations of the classes.

    Their Hessians' spectra are drawn into RUNS/NAME/figures, with --connections the landscape as well.
    What is found is written to RUNS/NAME/atlas.json as it is found; the same command goes on from there. Exit status 1
    when an Euler sum shows that a point is missing, or when d >= K - 1 and some point is neither a global minimiser
    nor a strict saddle (or, with --connections, does not lead down to the minimiser).

    --prove proves that no point is missing (cross-entropy, smoothed or not; K <= 4, or d = 1).
    The certificate is RUNS/NAME/proof.json, which `ufm check` verifies; the same command goes on with it.
    Exit status 1 where the proof meets a point that the list does not have; where it decides nothing it says why.
    """

    problem: ProblemFlags = field(default_factory=ProblemFlags)
    until_quiet: int = 500
    """random starts in a row, at every rank, that must have found nothing new"""
    connections: Switch = False
    """follow the gradient flow from every saddle, and draw where it leads"""
    prove: Switch = False
    """prove that the list is complete, and write the certificate"""
    seed: int = 0
    """of the random starts"""
    jobs: int = field(default_factory=lambda: min(4, os.cpu_count() or 1))
    """rounds that run side by side, a process each"""
    dask: Dask = None
    name: str = ""
    """of the folder in RUNS (default: atlas-K4-d6 for K = 4, d = 6)"""
    runs: Path = Path("runs")
    """the folder of all runs"""
    force: Switch = False
    """begin anew if there is an atlas of that name"""
    json: JsonFile = None
    html: HtmlFile = None

    def check(self, given: set[str]) -> None:
        self.problem.check(given)
        check_dask(self.dask, given)

    def run(self) -> int:
        import ufm
        from ufm.atlas import explore
        from ufm.cluster import connected
        from ufm.results.words import counted

        problem = self.problem.problem()
        name = require_plain_name(self.name or f"atlas-K{problem.num_classes}-d{problem.dim}")
        file = self.runs / name / "atlas.json"
        with connected(self.dask), _gauge(self.until_quiet) as on_round:
            atlas = explore(
                problem,
                self.seed,
                until_quiet=self.until_quiet,
                connect=self.connections,
                jobs=self.jobs,
                file=file,
                force=self.force,
                on_round=on_round,
            )
        _show(atlas)
        spectra = [ufm.spectrum(problem, point.point) for point in atlas.points]
        for path in _draw(atlas, spectra, self.connections, file.parent / "figures"):
            say(str(path))
        complaints = atlas.complaints(connected=self.connections)
        for complaint in complaints:
            say(complaint)
        say(f"{counted(len(atlas.points), 'critical point')}: {file}")
        proof = self._proved(atlas, file.with_name("proof.json")) if self.prove else None
        self._write_page(atlas, spectra, [*complaints, *([_facts(proof)["statement"]] if proof else [])])
        write_result(self.json, "atlas", atlas.plain() | ({"completeness": _facts(proof)} if proof else {}))
        return 1 if complaints or (proof and proof.missing) else 0

    def _write_page(self, atlas: "Atlas", spectra: "list[Spectrum]", found: list[str]) -> None:
        from figures.pages.landscape import landscape_page

        missing = "" if self.connections else "Descents were not followed: --connections follows and draws them."
        write_page(self.html, lambda made: landscape_page(atlas, spectra, found, missing, made))

    def _proved(self, atlas: "Atlas", file: Path) -> "Completeness":
        from ufm import prove_complete
        from ufm.cluster import connected

        with connected(self.dask), meter("proving") as show_share:

            def on_piece(done: int, pieces: int, boxes: int, volume: float) -> None:
                show_share(volume, f"{boxes:,} boxes decided, {done} of {pieces} pieces; of the volume")

            proof = prove_complete(
                atlas.problem, self.jobs, atlas=atlas, file=file, force=self.force, on_piece=on_piece
            )
        _show_proof(_facts(proof))
        if proof.proved:
            say(f"the certificate: {file}")
        return proof


def _facts(proof: "Completeness") -> dict[str, Any]:
    """What is proved, without the points, which the atlas has."""
    return {name: value for name, value in proof.plain().items() if name != "points"}


def _show_proof(facts: dict[str, Any]) -> None:
    rows = [(leaf, number) for leaf, number in facts["leaves"].items()]
    if facts["boxes"]:
        show(f"{facts['boxes']} boxes in {facts['seconds']:.0f} s, {facts['precision']}", ("decided", "boxes"), rows)
    say(f"proved: {facts['statement']}" if facts["proved"] else facts["statement"])


def show_result(data: dict[str, Any]) -> None:
    """Print a result as `ufm atlas` does."""
    from ufm.atlas import Atlas

    data = dict(data)
    proof = data.pop("completeness", None)
    older = {"hidden": 0, "followed": 0, "excluded": 0}  # which files of older versions do not have
    points = [{"proved": False} | point for point in data["points"]]
    atlas = Atlas.from_plain(older | data | {"points": points})
    _show(atlas)
    for complaint in atlas.complaints(bool(atlas.descents)):
        say(complaint)
    if proof:
        _show_proof(proof)


def _show(atlas: "Atlas") -> None:
    _show_points(atlas)
    _show_evidence(atlas)


def _draw(atlas: "Atlas", spectra: "list[Spectrum]", connected: bool, folder: Path) -> list[Path]:
    """Write the figures; returns their paths."""
    from figures.theory.landscape import landscape_figure
    from figures.theory.spectra import spectra_figure

    drawn = {"spectra": spectra_figure(atlas, spectra)}
    if connected:
        drawn["landscape"] = landscape_figure(atlas)
    return [path for name, drawing in drawn.items() for path in drawing.save(folder, name)]


def _show_points(atlas: "Atlas") -> None:
    columns = (
        "",
        "level f",
        "rank",
        "classes",
        "copies",
        "index",
        "nullity",
        "lambda_min",
        "|gradient|",
        "verdict",
        "found by",
    )
    rows = [
        (
            i,
            f"{p.level:.10f}",
            p.rank,
            p.shape,
            p.copies,
            p.index,
            p.nullity,
            f"{p.lambda_min:.3e}",
            f"{p.grad_norm:.0e}",
            f"{p.certificate.verdict}, proved" if p.proved else p.certificate.verdict,
            p.found_by,
        )
        for i, p in enumerate(atlas.points)
    ]
    show("critical points up to rotations and permutations of the classes", columns, rows)


def _show_evidence(atlas: "Atlas") -> None:
    show(
        "Euler sums over the points in fixed subspaces: each is 1 if the list is complete",
        ("involutions of the classes", "sums", "not 1", "undecided", "points (with copies) seen", "ranks seen"),
        list(_by_action(atlas)),
    )
    rows = [(rank, atlas.starts[rank], atlas.quiet[rank]) for rank in atlas.starts]
    show("random starts", ("rank up to", "starts", "the last ones in a row that found nothing new"), rows)
    if atlas.followed:
        say(f"{atlas.followed} ends of searches, hidden by rounding, were followed to points proved in ball arithmetic")
    if atlas.excluded:
        say(f"{atlas.excluded} ends of searches, hidden by rounding, were proved to be no critical points")
    if atlas.hidden:
        say(f"{atlas.hidden} ends of searches are not listed: f is so flat there that rounding hides what is critical")


def _by_action(atlas: "Atlas"):
    actions = dict.fromkeys(s.action for s in atlas.sums)
    for action in actions:
        sums = [s for s in atlas.sums if s.action == action]
        failing, open_ones = sum(s.failing for s in sums), sum(s.value is None for s in sums)
        most = max(sum(s.coordinates.values()) if action.m else 1 for s in sums)
        yield action.name, len(sums), failing, open_ones, max(s.terms for s in sums), f"0 to {most}"


@contextmanager
def _gauge(until_quiet: int):
    """Yield a callback that shows how far the exploration is, while a terminal is looking."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console

    with Console(stderr=True).status("exploring") as status:

        def update(search, doing: str) -> None:
            least = min(search.quiet.values(), default=until_quiet)
            found = len(search.catalogue.entries)
            status.update(f"{doing}: {found} points; quiet for {least} of {until_quiet} starts")

        yield update
