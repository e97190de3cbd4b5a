"""ufm.spectrum against the dense Hessian's eigenvalues and against curvlinops' Lanczos for the largest one.

The peers are given the Hessian of the mean cross-entropy with its weight decay, at the same minimiser.
"""

from collections.abc import Iterator

import numpy as np
import torch
from curvlinops import HessianLinearOperator
from scipy.sparse.linalg import LinearOperator, eigsh
from torch import nn

import ufm
from benchmarks.timing import Row, seconds

DECAY = {"lambda_w": 5e-3, "lambda_h": 5e-4}


class Layer(nn.Module):
    """The unconstrained feature model without bias as a module: sample i of the data is feature i."""

    def __init__(self, point: ufm.Point):
        super().__init__()
        self.W, self.H = nn.Parameter(point.W.clone()), nn.Parameter(point.H.clone())

    def forward(self, index: torch.Tensor) -> torch.Tensor:
        return self.H[index] @ self.W.T


def rows() -> Iterator[Row]:
    small = ufm.Problem.balanced(10, 10, 10, **DECAY, bias=False)
    point = ufm.global_minimizer(small)
    ours, levels = seconds(lambda: ufm.spectrum(small, point))
    f, x = small.landscape_at(small.expand(point))
    dense, values = seconds(
        lambda: torch.linalg.eigvalsh(torch.autograd.functional.hessian(f.value, x, vectorize=True))
    )
    error = float((levels.expanded() - values).abs().max() / values.abs().max())
    yield Row(
        f"all {small.num_variables:,} eigenvalues", "spectrum", ours, "autograd and dense eigh", dense, _apart(error)
    )

    large = ufm.Problem.balanced(10, 100, 64, **DECAY, bias=False)
    point = large.expand(ufm.global_minimizer(large))
    ours, levels = seconds(lambda: ufm.spectrum(large, point))
    spent, top = seconds(lambda: curvlinops_top(large, point))
    error = abs(top / levels.max - 1)
    yield Row(
        f"largest of {large.num_variables:,} eigenvalues", "spectrum (all)", ours, "curvlinops", spent, _apart(error)
    )


def curvlinops_top(problem: ufm.Problem, point: ufm.Point) -> float:
    """The largest eigenvalue by scipy's eigsh on curvlinops' Hessian of the loss, plus the weight decay."""
    layer = Layer(point)
    data = [(torch.arange(problem.num_samples), problem.labels)]
    hessian = HessianLinearOperator(
        layer, nn.CrossEntropyLoss(), list(layer.parameters()), data, check_deterministic=False
    ).to_scipy()
    decay = np.repeat([problem.lambda_w, problem.lambda_h], [point.W.numel(), point.H.numel()])
    operator = LinearOperator(
        hessian.shape, matvec=lambda v: hessian @ v.reshape(-1) + decay * v.reshape(-1), dtype=np.float64
    )
    return float(eigsh(operator, 1, which="LA", tol=1e-10, return_eigenvectors=False)[0])


def _apart(error: float) -> str:
    return f"they differ by {error:.0e} of the largest"
