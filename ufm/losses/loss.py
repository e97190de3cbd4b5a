"""What the unconstrained feature model asks of a loss."""

from collections.abc import Callable, Hashable
from typing import Any, Protocol

import torch

Expansion = tuple[torch.Tensor, torch.Tensor, Callable[[torch.Tensor], torch.Tensor]]  # see Loss.expand


class Loss(Protocol):
    """T functions l_t of the logits z (K,), one for each *type* of sample; methods take R rows of logits, a type each.

    A type is a class (T = K, any K) where `shape` is None. The landscape needs the value, the gradient (the *slope*)
    and products with the Hessian S (the *curvature*); the duality certificate needs the convex conjugate.

    A loss may say more: has_conjugate (False: there is none), shift (a direction other than (1, ..., 1) along which it
    ignores the logits), exact_slopes (True: of full relative precision), turns (True: classes of equal n_k may be
    rotated into each other), absent (a logit at which a class is as if it were not there), escaping (classes whose bias
    runs to infinity without decay) and, where it is not convex, largest_share(slopes, types), the most by which slopes
    may be scaled to stay in the conjugate's domain.
    """

    @property
    def name(self) -> str:
        """What records call it."""

    @property
    def convex(self) -> bool:
        """Whether every l_t is convex."""

    @property
    def shift_invariant(self) -> bool:
        """Whether l_t(z + c 1) = l_t(z) for every c."""

    @property
    def shape(self) -> tuple[int, int] | None:
        """(T, K) of the only problems that it is for; None where a type is a class and K may be any."""

    def kinds(self, num_classes: int) -> tuple[Hashable, ...]:
        """(K,) class by class: classes of one kind, their types with them, may be exchanged without a change of l."""

    def values(self, logits: torch.Tensor, types: torch.Tensor) -> torch.Tensor:
        """(R,) loss of each row, differentiable by autograd."""

    def expand(self, logits: torch.Tensor, types: torch.Tensor) -> Expansion:
        """(values (R,), slopes (R, K), M (..., R, K) -> S M (..., R, K)): the expansion to second order.

        The logits may be overwritten; the slopes must not be while the last item is in use.
        """

    def negative_conjugate(self, slopes: torch.Tensor, types: torch.Tensor) -> torch.Tensor:
        """(R,) -sup_z (<slope, z> - loss(z)): the dual value of each row; -inf outside the domain.

        At slope 0 it is the infimum of the loss.
        """

    def to_plain(self) -> Any:
        """The loss as plain data for JSON: its name, or a mapping with its name and settings."""


def shift_direction(loss: Loss, num_classes: int) -> torch.Tensor | None:
    """s (K,) float64 on the CPU with l_t(z + c s) = l_t(z) for every c and t; None where there is none.

    (1, ..., 1) for a shift-invariant loss. A loss that has another one says so as `shift`.
    """
    if loss.shift_invariant:
        return torch.ones(num_classes, dtype=torch.float64, device="cpu")
    return getattr(loss, "shift", None)


class OfClasses:
    """The parts that every loss has whose types are the classes, all alike."""

    @property
    def shape(self) -> tuple[int, int] | None:
        return None

    def kinds(self, num_classes: int) -> tuple[Hashable, ...]:
        return (None,) * num_classes
