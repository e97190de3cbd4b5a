"""SHA-256 digests that tell whether a model, its batches and the chosen classes are those of an earlier pass."""

import hashlib
from collections.abc import Mapping
from itertools import chain
from typing import Any

import torch
from torch import nn

from ..models.causal import arguments, next_tokens
from ..models.heads import Head


def of_model(model: nn.Module, head: Head) -> str:
    """That of the model's parameters and buffers, by name with their dtypes and shapes, and of which layer is the head.

    They are read one after another: a copy of the largest is made, and none of the model.
    """
    digest = hashlib.sha256()
    for name, tensor in chain(model.named_parameters(), model.named_buffers()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(_bytes(tensor))
    digest.update("".join(name for name, module in model.named_modules() if module is head).encode())
    return digest.hexdigest()


def of_classes(common: torch.Tensor | None) -> str:
    """That of which classes are taken, (K,) bool; None: all of them. The digest of batches begins with it."""
    return hashlib.sha256(b"" if common is None else _bytes(common)).hexdigest()


def of_batch(before: str, batch: Any) -> str:
    """That of the batches up to this one, from the digest before it: its tensors by name, and what comes next."""
    inputs: Mapping[str, Any] = arguments(batch) | {"next": next_tokens(batch)}
    digest = hashlib.sha256(before.encode())
    for name, value in sorted(inputs.items()):
        if isinstance(value, torch.Tensor):
            digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
            digest.update(_bytes(value))
    return digest.hexdigest()


def _bytes(tensor: torch.Tensor) -> Any:
    """The memory of a tensor's entries, as a numpy array of bytes."""
    return tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy()
