"""A loss of the user's own: whatever it does not say is differentiated, or is not there.

An own loss has `values(logits (R, K), types (R,)) -> (R,)` in torch operations, and as much of this as its author has:

    slopes(logits, types) -> (R, K)                the gradient of each row in its logits
    curvature(logits, types, change) -> (R, K)     the Hessian of each row times change
    expand(logits, types)                          all three in one pass, as ufm.losses.Loss has it
    negative_conjugate(slopes, types) -> (R,)      -sup_z (<slope, z> - l(z)), -inf outside the domain
    name, convex, shift_invariant, shape, kinds    as ufm.losses.Loss has them
"""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import torch
from torch.func import jvp, vjp

from ..errors import InputError, require
from .loss import Expansion, Loss


@dataclass(frozen=True)
class Own:
    """A user's loss with the parts that it lacks: slopes and curvature by torch.func, no claim that it does not make.

    Unless it says so it is not taken for convex or shift-invariant, and its classes are not taken for alike. Where it
    has no conjugate there is no lower bound (`has_conjugate`); then its values are to be >= 0.
    """

    inner: Any

    @property
    def name(self) -> str:
        return str(getattr(self.inner, "name", type(self.inner).__name__))

    @property
    def convex(self) -> bool:
        return bool(getattr(self.inner, "convex", False))

    @property
    def shift_invariant(self) -> bool:
        return bool(getattr(self.inner, "shift_invariant", False))

    @property
    def shape(self) -> tuple[int, int] | None:
        return getattr(self.inner, "shape", None)

    @property
    def has_conjugate(self) -> bool:
        return hasattr(self.inner, "negative_conjugate")

    def kinds(self, num_classes: int) -> tuple[Hashable, ...]:
        return self.inner.kinds(num_classes) if hasattr(self.inner, "kinds") else tuple(range(num_classes))

    def values(self, logits: torch.Tensor, types: torch.Tensor) -> torch.Tensor:
        return self.inner.values(logits, types)

    def expand(self, logits: torch.Tensor, types: torch.Tensor) -> Expansion:
        if hasattr(self.inner, "expand"):
            return self.inner.expand(logits, types)
        logits = logits.detach()
        return self.values(logits, types).detach(), self._slopes(logits, types).detach(), self._curvature(logits, types)

    def _slopes(self, logits: torch.Tensor, types: torch.Tensor) -> torch.Tensor:
        if hasattr(self.inner, "slopes"):
            return self.inner.slopes(logits, types)
        values, pullback, *_ = vjp(lambda z: self.values(z, types), logits)
        return pullback(torch.ones_like(values))[0]

    def _curvature(self, logits: torch.Tensor, types: torch.Tensor) -> Any:
        def product(change: torch.Tensor) -> torch.Tensor:
            if change.dim() > logits.dim():
                return torch.stack([product(one) for one in change])
            if hasattr(self.inner, "curvature"):
                return self.inner.curvature(logits, types, change).clone()
            return jvp(lambda z: self._slopes(z, types), (logits,), (change.to(logits),))[1].detach().clone()

        return product

    def negative_conjugate(self, slopes: torch.Tensor, types: torch.Tensor) -> torch.Tensor:
        require_conjugate(self)
        return self.inner.negative_conjugate(slopes, types)

    def to_plain(self) -> Any:
        raise InputError(
            f"the loss {self.name!r} is your own, and a file cannot say what it is; keep the problem in your program"
        )


def has_conjugate(loss: Loss) -> bool:
    """Whether the conjugate of the loss is known, so that there is a lower bound."""
    return bool(getattr(loss, "has_conjugate", True))


def require_conjugate(loss: Loss) -> None:
    """Raise InputError unless the conjugate of the loss is known."""
    require(
        has_conjugate(loss),
        f"no lower bound is known for the loss {loss.name!r}, which has no conjugate",
        "give it negative_conjugate(slopes, types)",
    )


PARTS = ("name", "convex", "shift_invariant", "shape", "kinds", "values", "expand", "negative_conjugate", "to_plain")


def completed(loss: Any) -> Loss:
    """The loss itself where it has all that `Loss` asks for, else `Own`; InputError for what is no loss at all."""
    require(
        callable(getattr(loss, "values", None)) and not isinstance(loss, type),
        f"a loss must be an object with values(logits, types), got {loss!r:.80}",
        "take one of ufm.losses, such as ufm.losses.CrossEntropy()",
    )
    return loss if all(hasattr(loss, part) for part in PARTS) else Own(loss)
