"""ufm.minimize: from a random start of full size to a critical point at full precision."""

import math
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from operator import index

import torch

from ..errors import InputError, Setting, require
from ..point import Point
from ..problem import Problem
from ..results import Result, Shown
from .bias import without_shift
from .collapsing import Collapsing
from .newton import Step, truncated, trust_region_newton

MANY = 2**18  # N K d: from here on a product with the Hessian costs more than what `Collapsing` adds


@dataclass(frozen=True, eq=False)
class Solution(Shown, Result):
    """Where a minimisation ended.

    point      the last iterate, one row of H a sample
    value      f there
    grad_norm  Euclidean norm of the gradient of f over all variables
    relative_grad_norm   problem.relative_gradient(point), what `tol` is compared with
    iterations accepted steps   history  a Step(value, relative_grad_norm, products) for each, start first; products
               are with the Hessian, or with the model of `ufm.solvers.collapsing`
    converged  whether relative_grad_norm <= tol
    reduced    whether features were averaged within classes first (False: all N stayed free)
    """

    point: Point
    value: float
    grad_norm: float
    relative_grad_norm: float
    iterations: int
    history: tuple[Step, ...]
    converged: bool
    reduced: bool


def random_point(problem: Problem, seed: int = 0) -> Point:
    """A float64 Point on the CPU, of full size, with independent N(0, 1/d) entries in W, H and b."""
    return Point(*drawn(problem, seed))


def drawn(problem: Problem, seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(W (K, d), H (N, d), b (K,)) of `random_point`."""
    require(0 <= seed < 2**63, (Setting("seed"), f" must lie in 0 .. 2^63 - 1, got {seed}"))
    generator = torch.Generator(device="cpu").manual_seed(index(seed))
    K, N, d = problem.num_classes, problem.num_samples, problem.dim

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64, device="cpu") / math.sqrt(d)

    W, H = draw(K, d), draw(N, d)
    return W, H, draw(K) if problem.bias else W.new_zeros(K)


def require_memory(problem: Problem) -> None:
    """Raise InputError when points of full size would not fit this machine's memory."""
    needed = 8 * (10 * problem.num_variables + 4 * problem.num_classes * problem.num_samples)
    present = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    require(
        needed <= present,
        f"{problem.num_variables:,} free variables need about {needed / 2**30:,.0f} GiB and this machine has "
        f"{present / 2**30:,.0f}; take smaller K, n or d (ufm.spectrum(problem) works at any size)",
    )


def minimize(
    problem: Problem,
    seed: int = 0,
    tol: float = 1e-10,
    *,
    start: Point | None = None,
    device: torch.device | str | None = None,
    reduce: bool = True,
    max_iterations: int = 1000,
    on_step: Callable[[Step], None] | None = None,
) -> Solution:
    """Descend from a random start (or from `start`) to a critical point of the problem.

    tol       relative gradient norm to reach: problem.relative_gradient(point) <= tol
    device    where to compute and to leave the solution: by default where `start` is, else the CPU. A seed means
              the same random start on every device.
    reduce    average the features within each type first, which never increases f where the loss is convex (Jensen:
              f is convex in H for fixed W, b), and go on with T weighted samples. False keeps all N features free; of
              many, steps move the means of types and the deviations from them (docs/theory, section 6.5)
    on_step   called with each Step, for progress

    Equivalent to scipy.optimize.minimize(method="trust-ncg") on the flat variables, except that it works
    in the coordinates of `Problem.even`, in which the two weight decays are equal, and goes on below the
    rounding of f. Not reaching tol is a status (`converged`), not an error.
    Raises InputError for a start that does not fit the problem, and for a device that is not there.

    >>> import ufm
    >>> problem = ufm.Problem.balanced(num_classes=3, per_class=2, dim=2, lambda_w=5e-3, lambda_h=5e-3)
    >>> solution = ufm.minimize(problem)
    >>> solution.converged, round(solution.value, 6)
    (True, 0.08407)
    """
    require(0 < tol < 1, (Setting("tol"), f" must lie in (0, 1), got {tol}"))
    require(max_iterations >= 1, (Setting("max_iterations"), f" must be >= 1, got {max_iterations}"))
    require_memory(problem)
    if device is not None:
        require_device(device)
    start = random_point(problem, seed) if start is None else problem.expand(start)
    start = start if device is None else start.to(device)
    labels = start.labels
    start = problem.class_means(start) if reduce else start
    f, begin = problem.even.landscape_at(problem.evened(start))
    history = []
    many = len(f.labels) * problem.num_classes * problem.dim >= MANY
    solver = Collapsing(f) if many and problem.loss.convex and not reduce else truncated
    for x, step in trust_region_newton(  # noqa: B007 (read after it)
        f, begin, tol=tol, max_iterations=max_iterations, solver=solver
    ):
        history.append(step)
        if on_step:
            on_step(step)
    W, H, b = f.unpack(x)
    # Where b has a decay it has no part along a shift that the loss ignores, however small the decay is.
    b = without_shift(problem, b) if problem.lambda_b else b.clone()
    point = problem.unevened(Point(W, H, b, start.labels))
    jet = problem.jet(point)
    if reduce:
        point = replace(point, H=point.H[problem.labels if labels is None else labels], labels=labels)
    last = history[-1]
    return Solution(
        point=point,
        value=float(jet.value),
        grad_norm=float(jet.gradient.norm()),
        relative_grad_norm=jet.relative_gradient,
        iterations=len(history) - 1,
        history=tuple(history),
        converged=last.relative_grad_norm <= tol,
        reduced=reduce,
    )


def require_device(device: torch.device | str) -> None:
    """Raise InputError for a device that torch cannot compute on here."""
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:  # AssertionError: a torch that was compiled without CUDA
        reason = " ".join(str(error).split())
        there = f"torch cannot compute on {str(device)!r} here ({reason[:120]})"
        raise InputError(there, ("use ", Setting("device", "cpu"))) from error
