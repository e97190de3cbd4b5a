"""Causal language models: the features that the output layer sees at each position, and the token that comes next.

A position's class is the token after it, as in the models' own loss: K is the size of the vocabulary. Source: Wu and
Papyan 2024, "Linguistic collapse: neural collapse in (large) language models" (arXiv 2405.17767).
"""

import inspect
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import nn

from ufm.errors import require

from .collect import IGNORED, samples
from .heads import Head, Headed, can_be_head
from .probing import find_head
from .tracing import device_of, evaluating, to_device, torch_module, watch


class TokenFeatures(Headed):
    """The batches (features (m, d), next tokens (m,)) of a causal language model over a loader, made anew in each pass.

    model   any model with the call convention of Hugging Face's: model(input_ids=..., attention_mask=..., ...)
    loader  yields batches as its data collators make them: mappings with "input_ids" (rows, positions), or such a
            tensor alone. Position t is a sample of class input_ids[t + 1], or labels[t + 1] where the batch has
            "labels", of which -100 is ignored. A position does not count where it or the next has an
            "attention_mask" of 0.
    head    the output layer or its name; None: what model.get_output_embeddings() returns, else found as
            `validate.collect` does

    The model stops where it comes to the head, so no logits (m, K) are made (but for one batch where the head has to be
    found). It runs in eval mode, without gradients, and is left as it was. W (K, d) and b (K,) are copies of the
    head's, zeros for a missing bias: W h + b are the logits before a scale or a soft cap that the model may put on all
    of them. Raises InputError where a batch has no such entries, the model does not come to the head, or the head sees
    other positions.
    """

    def __init__(self, model: nn.Module, loader: Iterable[Any], head: str | Head | None = None):
        self.model, self.loader, self.asked = torch_module(model), loader, head
        self._found: Head | None = None

    @property
    def head(self) -> Head:
        """The output layer; the first batch is taken from the loader where the model does not say it."""
        if self._found is None:
            said = _output_layer(self.model) if self.asked is None else None
            first = None
            if said is None and self.asked is None:
                require_again(self.loader)
                first = next(iter(self.loader), None)
                require(first is not None, "the loader yielded no batch; give at least one")
                first = arguments(first)
            self._found = said or find_head(self.model, first, self.asked)
            require(self._found.weight.is_floating_point(), f"the weight of the head is {self._found.weight.dtype}")
        return self._found

    @property
    def tied(self) -> bool:
        """Whether W is also the weight of another layer of the model, the embedding of the tokens that come in."""
        head = self.head
        others = (module for module in self.model.modules() if module is not head)
        return any(weight is head.weight for module in others for weight in module.parameters(recurse=False))

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        return map(self.of, self.loader)

    def of(self, batch: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """(features (m, d), next tokens (m,)) of one batch, on the device of the model."""
        return samples(self.seen(batch), next_tokens(batch))

    def seen(self, batch: Any) -> torch.Tensor:
        """(rows, positions, d) what the head sees of a batch."""
        inputs = to_device(arguments(batch), device_of(self.model))
        if "use_cache" in inspect.signature(self.model.forward).parameters:
            inputs = {"use_cache": False} | inputs
        seen: list[torch.Tensor] = []

        def stop(_: Head, features: torch.Tensor) -> None:
            seen.append(features)
            raise _Arrived

        hook = watch(self.head, stop)
        try:
            with evaluating(self.model):
                self.model(**inputs)
        except _Arrived:
            pass
        finally:
            hook.remove()
        require(bool(seen), "the model did not run through the head; name another with head=")
        return seen[0]


class _Arrived(Exception):
    """The model came to its head."""


def _output_layer(model: nn.Module) -> Head | None:
    """The head that a model of Hugging Face's names itself, if it names one of a known kind."""
    said = getattr(model, "get_output_embeddings", None)
    named = said() if callable(said) else None
    return named if named is not None and can_be_head(named) else None


def require_again(loader: Iterable[Any]) -> None:
    """Raise InputError for an iterator, which gives its batches once."""
    once = isinstance(loader, Iterator)
    require(not once, "the loader is an iterator, which gives its batches once; give a DataLoader or a list")


def arguments(batch: Any) -> dict[str, Any]:
    """The keyword arguments of a batch, without its labels; InputError where there are no token numbers."""
    if isinstance(batch, list | tuple) and len(batch) == 1:  # of a TensorDataset
        batch = batch[0]
    if isinstance(batch, torch.Tensor):
        batch = {"input_ids": batch}
    require(
        isinstance(batch, Mapping) and isinstance(batch.get("input_ids"), torch.Tensor),
        'the loader must yield mappings with a tensor "input_ids", as data collators of transformers do, or a tensor',
    )
    ids = batch["input_ids"]
    require(
        ids.ndim == 2 and not ids.is_floating_point(),
        f"input_ids must be whole numbers of shape (rows, positions), got {ids.dtype} of shape {tuple(ids.shape)}",
    )
    return {name: value for name, value in batch.items() if name != "labels"}


def next_tokens(batch: Any) -> torch.Tensor:
    """(rows, positions) int64: what each position of a batch is to predict, and -100 where it does not count."""
    inputs = arguments(batch)
    ids = inputs["input_ids"]
    labels = batch.get("labels") if isinstance(batch, Mapping) else None
    labels = ids if labels is None else torch.as_tensor(labels, device=ids.device)
    require(
        labels.shape == ids.shape, f"labels must have the shape of input_ids, {tuple(ids.shape)}; got {labels.shape}"
    )
    following = torch.full_like(ids, IGNORED, dtype=torch.int64)
    following[:, :-1] = labels[:, 1:]
    real = visible(inputs)
    following[:, :-1][~(real[:, :-1] & real[:, 1:])] = IGNORED
    return following


def visible(inputs: Mapping[str, Any]) -> torch.Tensor:
    """(rows, positions) bool: where the tokens of a batch are no padding."""
    ids, mask = inputs["input_ids"], inputs.get("attention_mask")
    if mask is None:
        return torch.ones_like(ids, dtype=torch.bool)
    mask = torch.as_tensor(mask, device=ids.device)
    require(
        mask.shape == ids.shape,
        f"attention_mask must have the shape of input_ids, {tuple(ids.shape)}; got {tuple(mask.shape)} (say what is "
        'ignored by labels of -100 in an entry "labels", and let the mask be made by the model)',
    )
    return mask != 0
