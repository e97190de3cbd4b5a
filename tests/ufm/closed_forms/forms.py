"""What every closed form of a global minimiser is held against: descents, duality, autograd, the dense Hessian."""

import math

import torch

import ufm
from tests.cases import flat
from tests.ufm.losses.naive import NAIVE, flat_objective
from ufm import Point, Problem

CLOSE = 1e-9


def balanced(name: str, K: int, n: int, d: int, rho: float, lb: float | None = None, tilt: float = 2.5) -> Problem:
    """K sqrt(n lW lH) = rho, lW/lH = tilt^2, with a loss of NAIVE; lb None: no bias."""
    ridge = rho / (K * math.sqrt(n))
    decays = {"lambda_w": ridge * tilt, "lambda_h": ridge / tilt, "lambda_b": lb or 0.0}
    return Problem.balanced(K, n, d, **decays, bias=lb is not None, loss=NAIVE[name][0])


def deviation(problem: Problem, name: str, point: Point, value: float) -> float:
    """The worst of: the value stated, by descent and by definition (relative); the duality gap; autograd's gradient."""
    x = flat(problem, point).requires_grad_()
    f = flat_objective(problem, name)(x)
    (gradient,) = torch.autograd.grad(f, x)
    seen = ufm.certify(problem, point)
    found = ufm.minimize(problem, tol=1e-12).value
    optimal = 0.0 if seen.verdict == "global minimizer" else math.inf
    apart = abs(value - found), abs(value - float(f.detach())), abs(seen.duality_gap)
    return max(optimal, max(apart) / value, float(gradient.norm()))


def dense(problem: Problem, name: str, point: Point) -> torch.Tensor:
    """All eigenvalues of the Hessian at a point, from the definition by autograd."""
    return torch.linalg.eigvalsh(torch.autograd.functional.hessian(flat_objective(problem, name), flat(problem, point)))


def spectral_deviation(problem: Problem, name: str, listed: torch.Tensor) -> float:
    """The largest distance of eigenvalues from the dense ones at the closed form, relative; inf for a wrong number."""
    expected = dense(problem, name, ufm.global_minimizer(problem))
    if len(listed) != len(expected):
        return math.inf
    return float((listed.sort().values - expected).abs().max() / expected.abs().max())
