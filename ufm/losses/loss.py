"""What the unconstrained feature model asks of a loss."""

from collections.abc import Callable
from typing import Protocol

import torch

Expansion = tuple[torch.Tensor, torch.Tensor, Callable[[torch.Tensor], torch.Tensor]]  # see Loss.expand


class Loss(Protocol):
    """A convex function of the logits z (K,) of one sample with label y; methods take R rows of them.

    The landscape needs its value, its gradient g (the *slope*) and products with its Hessian S (the *curvature*); the
    duality certificate needs its convex conjugate.
    """

    @property
    def name(self) -> str:
        """What records call it."""

    def values(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """(R,) loss of each row, differentiable by autograd."""

    def expand(self, logits: torch.Tensor, labels: torch.Tensor) -> Expansion:
        """(values (R,), slopes (R, K), M (R, K) -> S M (R, K)): the expansion to second order.

        The logits may be overwritten; the slopes must not be while the last item is in use.
        """

    def negative_conjugate(self, slopes: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """(R,) -sup_z (<slope, z> - loss(z)): the dual value of each row; -inf outside the domain."""
