"""Last layers whose W no gradient moves, or no gradient alone: it follows the features, or is put back on the sphere.

Each changes W in place, between steps or between epochs.
"""

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional

from ufm.closed_forms import simplex

MEMORY = 0.9  # how much of the running class means a step keeps
Total = Callable[[torch.Tensor], torch.Tensor]  # the sum over processes


class NearestFrame(nn.Linear):
    """W is the simplex frame nearest to running means of the classes' features (see `nearest_frame`); b is learned.

    means (K, d), running: MEMORY of the old and the rest of the step's own, whole where a class is first seen.
    seen  (K,) which classes were. Until all were, W is the frame that it began with.
    """

    means: torch.Tensor
    seen: torch.Tensor

    def __init__(self, frame: torch.Tensor, bias: bool):
        super().__init__(frame.shape[1], len(frame), bias=bias)
        self.weight = nn.Parameter(frame.to(self.weight.dtype), requires_grad=False)
        self.register_buffer("means", torch.zeros_like(self.weight))
        self.register_buffer("seen", torch.zeros(len(frame), dtype=torch.bool))

    @torch.no_grad()
    def follow(self, features: torch.Tensor, labels: torch.Tensor, total: Total) -> None:
        """After a step on features (m, d): of each class the mean over all processes enters, and W is found anew."""
        of_class = functional.one_hot(labels, len(self.means)).to(self.means)
        sums, counts = total(of_class.T @ features.to(self.means)), total(of_class.sum(0))
        here = counts > 0
        fresh = sums / counts.clamp_min(1)[:, None]
        kept = torch.where(self.seen, MEMORY, 0.0)[:, None].to(fresh)
        self.means.copy_(torch.where(here[:, None], kept * self.means + (1 - kept) * fresh, self.means))
        self.seen.logical_or_(here)
        if bool(self.seen.all()):
            self.weight.copy_(nearest_frame(self.means))


def nearest_frame(means: torch.Tensor) -> torch.Tensor:
    """W (K, d), of all simplex frames with unit rows the nearest to c (m_k - m_G), for any c > 0, in float64 inside.

    W = sqrt(K/(K-1)) F Q^T, F (K, K-1) with F F^T = I - 11^T/K, Q (d, K-1) with orthonormal columns. |W - c M|_F is
    least where tr Q^T M^T F is largest: Q = U V^T of the singular value decomposition M^T F = U S V^T (Schonemann
    1966). Source of the head: Markou, Ajanthan and Gould 2024 (arXiv 2411.01248), who find Q by a descent and may
    differentiate through it; here W is constant in each step. Needs d >= K - 1.
    """
    K = len(means)
    F = simplex.simplex_frame(K, K - 1).to(means.device)
    centred = (means - means.mean(0)).double()
    U, _, Vh = torch.linalg.svd(centred.T @ F, full_matrices=False)
    return ((K / (K - 1)) ** 0.5 * F @ (U @ Vh).T).to(means.dtype)


@torch.no_grad()
def set_to_means(head: nn.Linear, means: torch.Tensor) -> None:
    """Rows of W to the directions of the centred class means (K, d); a class whose mean is that of all gets 0."""
    head.weight.copy_(functional.normalize(means - means.mean(0), dim=1))


@torch.no_grad()
def project(head: nn.Linear) -> None:
    """Rows of W to unit length."""
    head.weight.copy_(functional.normalize(head.weight, dim=1))
