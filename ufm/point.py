"""A Point (W, H, b): the one thing that theory and trained networks have in common."""

import math
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch

from .errors import InputError, require
from .storage.files import read_tensors, write_tensors


@dataclass(frozen=True, eq=False)
class Point:
    """A last-layer classifier and the features it sees.

    W       (K, d)  classifier, one row a class
    H       (N, d)  features, one row a sample; or (K, d), one row a class, where all samples of a
                    class share their feature (a *collapsed* point)
    b       (K,)    bias; zeros for a model without one
    labels  (N,)    int64 class of each row of H. None means: sorted by class in the order of the
                    problem's class counts, or one row a class.

    The three tensors share one floating dtype and one device. The papers write H as d x N; here a
    sample is a row, as torch has it. Raises InputError when shapes, dtypes or devices disagree, or
    an entry is not finite.
    """

    W: torch.Tensor
    H: torch.Tensor
    b: torch.Tensor
    labels: torch.Tensor | None = None

    def __post_init__(self) -> None:
        for name, tensor in (("W", self.W), ("H", self.H), ("b", self.b)):
            require(isinstance(tensor, torch.Tensor), f"{name} must be a torch tensor, got {type(tensor).__name__}")
            require(tensor.is_floating_point(), f"{name} must be floating point, got {tensor.dtype}; use .double()")
        require(self.W.ndim == 2, f"W must have shape (K, d), got {tuple(self.W.shape)}")
        num_classes, dim = self.W.shape
        require(
            self.H.ndim == 2 and self.H.shape[1] == dim,
            f"H must have shape (N, {dim}), one row a sample, to fit W; got {tuple(self.H.shape)}",
        )
        require(
            self.b.shape == (num_classes,),
            f"b must have shape ({num_classes},) to fit W {tuple(self.W.shape)}; got {tuple(self.b.shape)}",
        )
        for name, tensor in (("H", self.H), ("b", self.b)):
            if (tensor.dtype, tensor.device) != (self.W.dtype, self.W.device):
                own, other = (f"{part.dtype} on {part.device}" for part in (self.W, tensor))
                raise InputError(f"W is {own} but {name} is {other}; convert one")
        for name, tensor in (("W", self.W), ("H", self.H), ("b", self.b)):
            # A finite sum has finite terms: one pass over a large H, and a second one where there is a reason.
            bad = 0 if math.isfinite(tensor.detach().sum()) else int((~torch.isfinite(tensor)).sum())
            require(bad == 0, f"{name} has {bad} entries that are not finite (NaN or infinity); a Point needs numbers")
        if self.labels is not None:
            given = self.labels
            labels = given if isinstance(given, torch.Tensor) else torch.as_tensor(given, device=self.H.device)
            whole = not (labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool)
            require(
                labels.shape == (self.H.shape[0],) and whole,
                f"labels must be {self.H.shape[0]} integers, one for each row of H; got {labels.dtype} "
                f"of shape {tuple(labels.shape)}",
            )
            require(not (labels < 0).any(), "labels must be >= 0, the number of each sample's class or type")
            object.__setattr__(self, "labels", labels.long())

    def __getstate__(self) -> dict[str, Any]:
        """What a copy is made of, in memory or on disk: the fields, without the analysis that `ufm.analysis` keeps."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @property
    def num_classes(self) -> int:
        return self.W.shape[0]

    @property
    def dim(self) -> int:
        return self.W.shape[1]

    @property
    def logits(self) -> torch.Tensor:
        """(rows of H, K): H W^T + b."""
        return torch.addmm(self.b, self.H, self.W.T)

    def to(self, *args: Any, **kwargs: Any) -> "Point":
        """The same point in another dtype or on another device, as torch.Tensor.to."""
        labels = None if self.labels is None else self.labels.to(self.W.to(*args, **kwargs).device)
        return Point(self.W.to(*args, **kwargs), self.H.to(*args, **kwargs), self.b.to(*args, **kwargs), labels)

    def double(self) -> "Point":
        """The same point in float64."""
        return self if self.W.dtype == torch.float64 else self.to(torch.float64)

    def detach(self) -> "Point":
        """The same point, of which no tensor tracks gradients."""
        if not any(tensor.requires_grad for tensor in (self.W, self.H, self.b)):
            return self
        return replace(self, W=self.W.detach(), H=self.H.detach(), b=self.b.detach())

    def padded(self, dim: int) -> "Point":
        """The point with zero columns appended up to feature dimension `dim`."""
        require(dim >= self.dim, f"cannot pad from d = {self.dim} to d = {dim}; ask for at least {self.dim}")
        extra = (0, dim - self.dim)
        pad = torch.nn.functional.pad
        return replace(self, W=pad(self.W, extra), H=pad(self.H, extra))

    def rotated(self, rotation: torch.Tensor) -> "Point":
        """The point (W R, H R, b) for an orthogonal R (d, d): same logits, same objective."""
        return replace(self, W=self.W @ rotation, H=self.H @ rotation)

    def save(self, path: Path | str) -> None:
        """Write the point as safetensors."""
        named = {"W": self.W, "H": self.H, "b": self.b}
        write_tensors(path, named if self.labels is None else named | {"labels": self.labels})

    @staticmethod
    def load(path: Path | str) -> "Point":
        """Read a point written by `save`, or any safetensors file with tensors W, H, b (and labels)."""
        tensors, _ = read_tensors(path)
        missing = [name for name in ("W", "H", "b") if name not in tensors]
        require(not missing, f"{path} is no Point: it lacks {', '.join(missing)} (it has {', '.join(tensors)})")
        return Point(tensors["W"], tensors["H"], tensors["b"], tensors.get("labels"))
