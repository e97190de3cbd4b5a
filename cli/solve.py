"""ufm solve: one minimisation, with its certificate and its spectrum."""

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from .console import say, show
from .options import JsonFile, ProblemFlags, write_result

if TYPE_CHECKING:
    from ufm import Certificate, Proof, Solution


@dataclass(frozen=True)
class Command:
    """Minimise once from a random start over free W, H, b; then certify the end and read its Hessian.

    Exit status 1 when the descent does not reach --tol, or --rigorous proves nothing of its end.
    """

    problem: ProblemFlags = field(default_factory=ProblemFlags)
    seed: int = 0
    """of the random start"""
    tol: float = 1e-10
    """relative gradient norm to reach"""
    free: bool = False
    """keep all N features free (default: average them within classes first, which never raises f)"""
    rigorous: bool = False
    """also prove, in ball arithmetic, what the end is"""
    save: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """write the point there (safetensors)"""
    json: JsonFile = None

    def run(self) -> int:
        import torch

        import ufm

        problem = self.problem.problem()
        with _gauge() as on_step:
            solution = ufm.minimize(problem, seed=self.seed, tol=self.tol, reduce=not self.free, on_step=on_step)
        certificate = ufm.certify(problem, solution.point)
        show("solution", ("quantity", "value"), _facts(solution, certificate).items())
        proof = ufm.prove(problem, solution.point) if self.rigorous else None
        if proof:
            show("proof", ("quantity", "value"), _proved(proof).items())
        levels = None
        if certificate.lambda_min is not None:
            levels = ufm.spectrum(problem, solution.point).merged()
            shown = torch.where(levels.values.abs() <= levels.tolerance, 0.0, levels.values)
            rows = list(zip(shown.tolist(), levels.multiplicities.tolist(), strict=True))
            title = f"Hessian: {levels.size:,} eigenvalues (0: within {levels.tolerance:.0e} of zero)"
            show(title, ("eigenvalue", "multiplicity"), rows)
        if self.save:
            solution.point.save(self.save)
            say(f"point: {self.save}")
        write_result(
            self.json,
            "solve",
            {
                "problem": problem.settings(),
                "seed": self.seed,
                "converged": solution.converged,
                "iterations": solution.iterations,
                "certificate": certificate.numbers(),
                "proof": proof and proof.numbers(),
                "spectrum": levels and {"values": levels.values, "multiplicities": levels.multiplicities},
            },
        )
        return 0 if solution.converged and not (proof and proof.refused) else 1


def _facts(solution: "Solution", certificate: "Certificate") -> dict[str, object]:
    return {
        "verdict": certificate.verdict,
        "value f": f"{solution.value:.12g}",
        "lower bound D on f": f"{certificate.lower_bound:.12g}",
        "duality gap f - D": f"{certificate.duality_gap:.1e}",
        "relative gradient norm": f"{solution.relative_grad_norm:.1e}",
        "iterations": str(solution.iterations),
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


def _gauge():
    """A context that yields a callback showing value and gradient norm while a terminal is looking."""
    from contextlib import contextmanager

    @contextmanager
    def gauge():
        if not sys.stderr.isatty():
            yield None
            return
        from rich.console import Console

        with Console(stderr=True).status("descending") as status:
            yield lambda step: status.update(f"f = {step.value:.10g}   |gradient| = {step.grad_norm:.1e}")

    return gauge()
