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

FAULTS = (
    RuntimeError,
    TypeError,
    ValueError,
    IndexError,
    KeyError,
    AttributeError,
    NotImplementedError,
    ArithmeticError,
)


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
        return _yes(self.inner, "convex")

    @property
    def shift_invariant(self) -> bool:
        return _yes(self.inner, "shift_invariant")

    @property
    def shape(self) -> tuple[int, int] | None:
        shape = getattr(self.inner, "shape", None)
        fits = shape is None or (
            isinstance(shape, tuple) and len(shape) == 2 and all(isinstance(n, int) for n in shape)
        )
        require(fits, f"the shape of the loss {self.name!r} must be (T, K) or None, got {shape!r:.40}")
        return shape

    @property
    def has_conjugate(self) -> bool:
        return hasattr(self.inner, "negative_conjugate")

    def kinds(self, num_classes: int) -> tuple[Hashable, ...]:
        return self.inner.kinds(num_classes) if hasattr(self.inner, "kinds") else tuple(range(num_classes))

    def values(self, logits: torch.Tensor, types: torch.Tensor) -> torch.Tensor:
        found = self._said("values", logits.shape[:1], logits, types)
        least = float(found.detach().min()) if len(found) else 0.0
        unbounded = least < 0 and not self.has_conjugate
        require(
            not unbounded,
            f"the loss {self.name!r} has a value of {least:g}; without a conjugate its values must be >= 0",
            "add a constant to it, or give it negative_conjugate(slopes, types)",
        )
        return found

    def expand(self, logits: torch.Tensor, types: torch.Tensor) -> Expansion:
        logits = logits.detach()
        if hasattr(self.inner, "expand"):
            values, slopes, curvature = self._called("expand", logits.clone(), types.clone())
            self._require("expand", values, logits.shape[:1], logits)
            self._require("expand", slopes, logits.shape, logits)
            return values.detach(), slopes.detach(), self._by_rows(curvature)
        values, slopes = self.values(logits, types), self._slopes(logits, types)
        return values.detach(), slopes.detach(), self._by_rows(self._curvature(logits, types))

    def _slopes(self, logits: torch.Tensor, types: torch.Tensor) -> torch.Tensor:
        if hasattr(self.inner, "slopes"):
            return self._said("slopes", logits.shape, logits, types)

        def pulled() -> torch.Tensor:
            values, pullback, *_ = vjp(lambda z: self.inner.values(z.clone(), types), logits)
            return pullback(torch.ones_like(values))[0]

        return self._differentiated(pulled, logits)

    def _curvature(self, logits: torch.Tensor, types: torch.Tensor) -> Any:
        def product(change: torch.Tensor) -> torch.Tensor:
            if hasattr(self.inner, "curvature"):
                return self._said("curvature", logits.shape, logits, types, change)
            along = (change.to(logits),)
            return self._differentiated(lambda: jvp(lambda z: self._slopes(z, types), (logits,), along)[1], logits)

        return product

    def _by_rows(self, curvature: Any) -> Any:
        """The products with S of a stack of changes, one at a time: an own curvature need not know of stacks."""

        def product(change: torch.Tensor) -> torch.Tensor:
            if change.dim() > 2:
                return torch.stack([product(one) for one in change])
            found = curvature(change.clone())
            self._require("curvature", found, change.shape, change)
            return found.detach().clone()

        return product

    def negative_conjugate(self, slopes: torch.Tensor, types: torch.Tensor) -> torch.Tensor:
        require_conjugate(self)
        found = self._called("negative_conjugate", slopes.clone(), types.clone())
        self._require("negative_conjugate", found, slopes.shape[:1], slopes, finite=False)
        return found

    def _differentiated(self, made: Any, logits: torch.Tensor) -> torch.Tensor:
        try:
            found = made()
        except FAULTS as error:
            raise InputError(
                f"torch cannot differentiate the values of the loss {self.name!r} ({_line(error)})",
                "write them in torch operations, or give slopes and curvature",
            ) from error
        self._require("values", found, logits.shape, logits)
        return found

    def _said(self, part: str, shape: torch.Size, *given: torch.Tensor) -> torch.Tensor:
        """What a part of the inner loss gives, of that shape."""
        found = self._called(part, *(one.clone() for one in given))
        self._require(part, found, shape, given[0])
        return found

    def _called(self, part: str, *given: torch.Tensor) -> Any:
        try:
            return getattr(self.inner, part)(*given)
        except InputError:
            raise
        except FAULTS as error:
            raise InputError(f"{part} of the loss {self.name!r} does not work: {_line(error)}") from error

    def _require(self, part: str, found: Any, shape: tuple[int, ...], like: torch.Tensor, finite: bool = True) -> None:
        """Raise InputError unless it is a tensor of that shape in the dtype of another, without NaN."""
        fits = isinstance(found, torch.Tensor) and found.shape == shape and found.dtype == like.dtype
        said = f"{found.dtype} {tuple(found.shape)}" if isinstance(found, torch.Tensor) else f"{found!r:.40}"
        require(
            fits,
            f"{part} of the loss {self.name!r} must give a {like.dtype} tensor of shape {tuple(shape)}, got {said}",
        )
        bad = found.detach().isnan().any() if not finite else ~found.detach().isfinite().all()
        require(not bool(bad), f"{part} of the loss {self.name!r} gave a number that is not finite")

    def to_plain(self) -> Any:
        raise InputError(
            f"the loss {self.name!r} is your own, and a file cannot say what it is; keep the problem in your program"
        )


def _yes(inner: Any, name: str) -> bool:
    value = getattr(inner, name, False)
    require(
        isinstance(value, bool), f"{name} of the loss {type(inner).__name__!r} must be True or False, got {value!r}"
    )
    return value


def _line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:160]


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
