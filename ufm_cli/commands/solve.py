"""ufm solve: a minimisation (or several, and the best of them), with its certificate and its spectrum."""

import sys
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from ..console import say, show, track
from ..options import JsonFile, ProblemFlags, Switch, write_result

if TYPE_CHECKING:
    from ufm import Certificate, Problem, Proof, Solution, Spectrum


FRAMES, MOVING = 6, 72  # of the filmstrip, of the animation


@dataclass(frozen=True)
class Command:
    """Minimise from a random start over free W, H, b; then certify the end and read its Hessian.

    Of several starts the end of least f is shown. With --figures: the spectrum there, f - D against iteration (D: the
    certified lower bound), and where d = 2 the gradient flow from the first start as a strip of panels.
    Exit status 1 when a descent does not reach --tol. A proof that --rigorous refuses is said, and decides nothing.
    """

    problem: ProblemFlags = field(default_factory=ProblemFlags)
    seed: int = 0
    """of the first random start; the others count up from it"""
    starts: int = 1
    """random starts"""
    tol: float = 1e-10
    """relative gradient norm to reach"""
    free: Switch = False
    """keep all N features free (default: average them within classes first, which never raises f)"""
    rigorous: Switch = False
    """also prove, in ball arithmetic, what the end is"""
    save: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """write the point and its labels there (safetensors), as `ufm validate` takes them"""
    figures: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """draw figures into that folder"""
    gif: Switch = False
    """with --figures and d = 2: also the flow as an animated GIF"""
    json: JsonFile = None

    def check(self, given: set[str]) -> None:
        from ufm.errors import require

        self.problem.check(given)
        require(self.starts >= 1, f"--starts must be >= 1, got {self.starts}")
        if self.gif:
            require(self.figures is not None, "--gif writes into the folder of the figures; name it with --figures DIR")
            require(self.problem.d == 2, f"--gif draws the flow in the plane: it needs -d 2, got d = {self.problem.d}")

    def run(self) -> int:
        import ufm

        problem = self.problem.problem()
        descents = self._descend(problem)
        best = min(range(self.starts), key=lambda i: descents[i][0].value)
        solution, certificate = descents[best]
        proof = ufm.prove(problem, solution.point) if self.rigorous else None
        known = certificate.lambda_min is not None
        levels = ufm.spectrum(problem, solution.point).merged() if known else None
        result = {
            "problem": problem.settings(),
            "seed": self.seed + best,
            "converged": solution.converged,
            "iterations": solution.iterations,
            "starts": [_ended(self.seed + i, *descent) for i, descent in enumerate(descents)],
            "certificate": certificate.plain(),
            "proof": proof and proof.plain(),
            "spectrum": levels and levels.plain(),
        }
        show_result(result)
        if self.save:
            replace(solution.point, labels=problem.labels).save(self.save)
            say(f"point: {self.save}")
        if self.figures:
            for path in self._draw(problem, descents, certificate, levels):
                say(str(path))
        write_result(self.json, "solve", result)
        if proof and proof.refused:
            say(f"--rigorous: inconclusive, {proof.statement}")
        complaints = self._complaints([one for one, _ in descents])
        for complaint in complaints:
            say(complaint)
        return 1 if complaints else 0

    def _complaints(self, solutions: list["Solution"]) -> list[str]:
        """What did not come out as asked, a line each."""
        return [
            f"the descent from seed {seed} did not reach --tol {self.tol:g}: after {one.iterations} iterations the "
            f"relative gradient norm is {one.relative_grad_norm:.1e}"
            for seed, one in enumerate(solutions, self.seed)
            if not one.converged
        ]

    def _descend(self, problem: "Problem") -> list[tuple["Solution", "Certificate"]]:
        """The descent from every start, with the certificate of its end."""
        import ufm

        found = []
        for seed in track("starts")(range(self.seed, self.seed + self.starts)) if self.starts > 1 else [self.seed]:
            with _gauge(self.starts == 1) as on_step:
                solution = ufm.minimize(problem, seed=seed, tol=self.tol, reduce=not self.free, on_step=on_step)
            found.append((solution, ufm.certify(problem, solution.point)))
        return found

    def _draw(self, problem: "Problem", descents, certificate: "Certificate", levels: "Spectrum | None") -> list[Path]:
        """Write the figures that there is something for; returns their paths."""
        from figures.theory.convergence import convergence_figure
        from figures.theory.film import filmstrip_figure, write_animation
        from figures.theory.spectra import spectrum_figure
        from ufm.solvers.flow import gradient_flow
        from ufm.solvers.minimize import random_point

        seeds = range(self.seed, self.seed + self.starts)
        drawn = {"convergence": convergence_figure(problem, *zip(*descents, strict=True), seeds)}
        if levels is not None and levels.complete:
            where = f"the end of the descent ({certificate.verdict}, f = {certificate.value:.6g})"
            drawn["spectrum"] = spectrum_figure(levels, where)
        if problem.dim == 2:
            start = random_point(problem, self.seed)
            drawn["filmstrip"] = filmstrip_figure(problem, gradient_flow(problem, start, FRAMES))
        paths = [path for name, drawing in drawn.items() for path in drawing.save(self.figures, name)]
        if self.gif:
            frames = gradient_flow(problem, start, MOVING)
            paths.append(write_animation(problem, frames, self.figures / "filmstrip.gif"))
        return paths


def show_result(data: dict[str, Any]) -> None:
    """Print a result as `ufm solve` does."""
    from ufm import Certificate, Proof, Spectrum

    starts = data["starts"]
    if len(starts) > 1:
        _show_starts(starts)
    best = next(start for start in starts if start["seed"] == data["seed"])
    show("solution", ("quantity", "value"), _facts(best, Certificate.from_plain(data["certificate"])).items())
    if data["proof"]:
        show("proof", ("quantity", "value"), _proved(Proof.from_plain(data["proof"])).items())
    if data["spectrum"]:
        _show_levels(Spectrum.from_plain(data["spectrum"]))


def _ended(seed: int, solution: "Solution", certificate: "Certificate") -> dict[str, Any]:
    """One descent in a few numbers, as plain data."""
    from ufm.results import plain

    names = ("value", "relative_grad_norm", "iterations", "converged")
    end = {"duality_gap": certificate.duality_gap, "verdict": certificate.verdict}
    return plain({"seed": seed} | {name: getattr(solution, name) for name in names} | end)


def _show_starts(starts: list[dict[str, Any]]) -> None:
    columns = ("seed", "value f", "duality gap f - D", "|gradient|, relative", "iterations", "verdict")
    rows = [
        (
            one["seed"],
            f"{one['value']:.12g}",
            f"{float(one['duality_gap']):.1e}",
            f"{one['relative_grad_norm']:.1e}",
            one["iterations"],
            one["verdict"],
        )
        for one in starts
    ]
    show("descents", columns, rows)


def _show_levels(levels: "Spectrum") -> None:
    import torch

    shown = torch.where(levels.values.abs() <= levels.tolerance, 0.0, levels.values)
    rows = list(zip(shown.tolist(), levels.multiplicities.tolist(), strict=True))
    title = f"Hessian: {levels.size:,} eigenvalues (0: within {levels.tolerance:.0e} of zero)"
    show(title, ("eigenvalue", "multiplicity"), rows)


def _facts(solution: dict[str, Any], certificate: "Certificate") -> dict[str, object]:
    return {
        "verdict": certificate.verdict,
        "value f": f"{solution['value']:.12g}",
        "lower bound D on f": f"{certificate.lower_bound:.12g}",
        "duality gap f - D": f"{certificate.duality_gap:.1e}",
        "relative gradient norm": f"{solution['relative_grad_norm']:.1e}",
        "iterations": str(solution["iterations"]),
        "rank of W": str(certificate.rank),
        "index, nullity (orbit dimension)": "not computed"
        if certificate.index is None
        else f"{certificate.index}, {certificate.nullity} ({certificate.orbit_dimension})",
        "negative curvature shown": "none" if certificate.curvature is None else f"{certificate.curvature:.6g}",
    }


def _proved(proof: "Proof") -> dict[str, object]:
    bits = f"{proof.precision} bits"
    if proof.refused:
        return {"statement": proof.statement, "precision": bits}
    return {
        "statement": proof.statement,
        "value f": proof.digits,
        "critical point within": f"{proof.distance:.1e}",
        "alone modulo symmetry within": f"{proof.unique_within:.1e}",
        "duality gap at most": "not enclosed" if proof.duality_gap is None else f"{proof.duality_gap:.1e}",
        "precision": bits,
    }


@contextmanager
def _gauge(wanted: bool):
    """Yield a callback that shows value and gradient norm, if wanted and while a terminal is looking."""
    if not wanted or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console

    with Console(stderr=True).status("descending") as status:
        yield lambda step: status.update(f"f = {step.value:.10g}   relative gradient {step.relative_grad_norm:.1e}")
