"""The global minimiser of the squared error with any targets: singular values of the targets, less N sqrt(lW lH).

    Y (T, K) targets, a row a type; n (T,) samples; A = diag(sqrt n) (Y - 1 mean^T), mean = b = sum_t n_t y_t/N
    A = U diag(sizes) V^T       ->      H~ W^T = U diag((sizes - N s0)_+) V^T,       s0 = sqrt(lW lH),

for a bias without decay; without a bias mean = b = 0; with lb > 0 the same where sum_t n_t y_t = 0, so that b = 0. The
d largest sizes count: Eckart and Young. By balance W = tilt V diag(sqrt kept), H~ = U diag(sqrt kept)/tilt,
tilt^4 = lH/lW. Each size that is kept adds s0 size - N s0^2/2 to f, each other one size^2/(2N).

Sources: Andriopoulos et al. 2024 (arXiv 2409.04180) for lb = 0, W W^T = sqrt(N lH/lW) [Sigma^(1/2) - sqrt(N lW lH)]_+
with Sigma the covariance of the targets; docs/theory, section 11.3, for any decays, counts and d.
"""

from dataclasses import dataclass

import torch

from ..errors import NoClosedForm
from ..losses import MeanSquare
from ..point import Point
from ..problem import Problem

ROUNDING = 1e-14  # of the largest size: what is left of a size that is 0


@dataclass(frozen=True, eq=False)
class Thresholded:
    """H~ W^T = U diag(kept) V^T of rank r <= d and f = value there.

    sizes  (min(T, K),) singular values of the weighted targets, descending
    kept   (r,) those above N sqrt(lW lH), at most d of them, less N sqrt(lW lH);  U (T, r), V (K, r)
    b      (K,)
    """

    sizes: torch.Tensor
    kept: torch.Tensor
    U: torch.Tensor
    V: torch.Tensor
    b: torch.Tensor
    value: float


def thresholded(problem: Problem, targets: torch.Tensor) -> Thresholded:
    """The minimiser for these targets (T, K), float64; NoClosedForm where a bias with decay is not 0."""
    n = torch.tensor(problem.class_counts, dtype=torch.float64, device="cpu")
    N, mean = problem.num_samples, n @ targets / n.sum()
    roots = n.sqrt()[:, None]
    if problem.bias and problem.lambda_b > 0:
        if float(mean.abs().max()) > ROUNDING * float(targets.abs().max()):
            raise NoClosedForm(
                f"no closed form for lambda_b = {problem.lambda_b:g} > 0 and targets whose mean is not 0: decay of the "
                "bias turns the singular vectors; use ufm.minimize"
            )
        mean = torch.zeros_like(mean)
    b = mean if problem.bias else torch.zeros_like(mean)
    U, sizes, Vt = torch.linalg.svd(roots * (targets - b), full_matrices=False)
    least = N * problem.ridge
    over = (sizes > max(least, ROUNDING * float(sizes[0]))).nonzero()[: problem.dim, 0]
    lost = sizes.square().sum() - sizes[over].square().sum()
    value = problem.ridge * (sizes[over] - least / 2).sum() + lost.clamp_min(0) / (2 * N)
    bias_decay = problem.lambda_b * b.square().sum() / 2
    return Thresholded(sizes, sizes[over] - least, U[:, over], Vt[over].T, b, float(value + bias_decay))


def point_of(problem: Problem, found: Thresholded) -> Point:
    """The minimiser as a point with a row of H a type."""
    tilt = (problem.lambda_h / problem.lambda_w) ** 0.25
    roots = torch.tensor(problem.class_counts, dtype=torch.float64, device="cpu").sqrt()[:, None]
    W = torch.zeros(problem.num_classes, problem.dim, dtype=torch.float64, device="cpu")
    H = torch.zeros(problem.num_types, problem.dim, dtype=torch.float64, device="cpu")
    r, root = len(found.kept), found.kept.sqrt()
    W[:, :r] = tilt * found.V * root
    H[:, :r] = found.U * root / (tilt * roots)
    return Point(W, H, found.b)


def minimizer(problem: Problem) -> Thresholded:
    """The minimiser for the loss's own targets."""
    assert isinstance(problem.loss, MeanSquare)
    assert problem.loss.targets is not None
    return thresholded(problem, torch.tensor(problem.loss.targets.array, device="cpu"))


def global_minimizer(problem: Problem) -> Point:
    """The global minimiser in closed form for MeanSquare(targets): W (K, d), H (T, d), b; any d, types and counts.

    One representative of its O(d) orbit (of more where sizes are equal and d cuts through them). Raises NoClosedForm
    for a bias with decay, unless the targets have mean 0.
    """
    return point_of(problem, minimizer(problem))
