"""Which layer makes a model's logits, asked of the model itself: the layer is made to say other things.

Shapes cannot tell: a hidden layer may have as many outputs as there are classes, positions or samples in the batch.
What the model does with other outputs of the layer can.
"""

from contextlib import ExitStack
from typing import Any

import torch
from torch import nn

from ufm import InputError
from ufm.errors import require

from .heads import Head, can_be_head, heads_of, positions_first
from .tracing import capturing, device_of, evaluating, run, tensors

BY_HAND = (
    "head= names the layer that makes them; or measure W (K, d), features H (N, d), b (K,) and labels of your own by "
    "validate.neural_collapse(ufm.Point(W, H, b), labels)"
)
LISTED = 8  # names of layers in a message


def find_head(model: nn.Module, batch: Any, head: str | Head | None) -> Head:
    """The layer that `head` is or names; None: the last Linear layer that ran, if it makes the outputs of the batch.

    If it does not, the last convolution of kernel 1, if that does. Else raises InputError.
    """
    if isinstance(head, nn.Module):
        require(can_be_head(head), f"head must be a Linear layer or a convolution of kernel 1, got {head}")
        return head
    kinds = heads_of(model)
    if head is not None:
        return _named(head, *kinds.values())
    shapes, ran = _ran_last(model, batch, kinds)
    for layer in ran.values():
        if makes_outputs(model, batch, layer):
            return layer
    require(bool(ran), f"the model ran through no torch.nn.Linear layer and no convolution of kernel 1; {BY_HAND}")
    kind, layer = next(iter(ran.items()))
    name = next(name for name, module in kinds[kind].items() if module is layer)
    raise InputError(
        f"the last {kind} that ran, {name!r}, has {len(layer.weight)} outputs, and the model's have shapes {shapes}: "
        f"its logits come from elsewhere (they do not follow when that layer's are exchanged); {BY_HAND}"
    )


def _named(head: str, linear: dict[str, Head], pointwise: dict[str, Head]) -> Head:
    """The layer of that name; InputError lists those that there are, of many the last."""
    layers = linear | pointwise
    first, second = (
        ", ".join([*(["..."] if len(names) > LISTED else []), *list(names)[-LISTED:]]) or "none"
        for names in (linear, pointwise)
    )
    require(
        head in layers,
        f"no Linear layer named {head!r}; the model has {first}, and of convolutions of kernel 1 {second}",
    )
    return layers[head]


def _ran_last(model: nn.Module, batch: Any, kinds: dict[str, dict[str, Head]]) -> tuple[str, dict[str, Head]]:
    """(the shapes of the model's outputs for a batch, for each kind of layer the last that ran, if one did)."""
    with evaluating(model), ExitStack() as stack:
        seen = {kind: stack.enter_context(capturing(layers.values())) for kind, layers in kinds.items()}
        shapes = [str(tuple(tensor.shape)) for tensor in _visible(run(model, batch)[0])]
    ran = {kind: layer for kind, last in seen.items() for layer, _ in last}
    return ", ".join(shapes) or "of less than two dimensions", ran


def makes_outputs(model: nn.Module, batch: Any, layer: Head) -> bool:
    """Whether what the model returns for a batch are the layer's outputs, class by class.

    The layer says the same for every sample, and then the first half of its outputs in the opposite order. Every output
    of the model that hears of it has to do the same along a dimension other than that of the batch, as after softmax,
    scaling or averages over positions; or to change in these classes alone and be the same for every sample, as where
    logits are masked or shifted class by class. After further products, or where logits of another layer are added, it
    does neither.
    """
    order, moved = _exchange(len(layer.weight))
    heard = _heard(model, batch, layer)
    return len(order) < 2 or (bool(heard) and all(_follows(old, new, order, moved) for old, new in heard))


def require_makes_outputs(model: nn.Module, batch: Any, layer: Head, output: Any, said: torch.Tensor) -> None:
    """Raise InputError where a layer that was named as the head is seen to be one before it.

    output, said   what the model and the layer returned for the batch; where the model returns what the layer says
                   nothing more is asked of it

    The model's outputs have to depend on the layer, without following it, and either have no place for as many outputs
    as it has, or follow another layer. Otherwise the layer is taken as the head that it is said to be: the model may
    make of its outputs what it likes.
    """
    shown = _visible(output)
    if any(each.shape == said.shape and torch.equal(each, said) for each in shown) or makes_outputs(
        model, batch, layer
    ):
        return
    shapes, ran = _ran_last(model, batch, heads_of(model))
    fits = any(len(layer.weight) in each.shape[1:] for each in shown)
    follows = any(makes_outputs(model, batch, other) for other in ran.values() if other is not layer)
    name = next((repr(name) for name, module in model.named_modules() if module is layer), "a layer")
    require(
        not _heard(model, batch, layer) or (fits and not follows),
        f"head={name} is a hidden layer: its {len(layer.weight)} outputs are not the classes, and the model's outputs "
        f"(of shapes {shapes}) do not follow when they are exchanged; leave head= out to have the layer found that "
        "makes them",
    )


def _exchange(K: int) -> tuple[torch.Tensor, int]:
    """(the numbers 0 .. K - 1 with the first `moved` in the opposite order, moved)."""
    moved, order = max(2, K // 2), torch.arange(K, device="cpu")
    order[:moved] = order[:moved].flip(0)
    return order, moved


def _heard(model: nn.Module, batch: Any, layer: Head) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """The model's outputs that change when the layer's are exchanged, before and after; of one output none."""
    order, _ = _exchange(len(layer.weight))
    logits = _levels(len(order))
    before, after = (_answers(model, batch, layer, said) for said in (logits, logits[order]))
    return [(old, new) for old, new in zip(before, after, strict=False) if not _agree(old, new)]


def _follows(old: torch.Tensor, new: torch.Tensor, order: torch.Tensor, moved: int) -> bool:
    """Whether an output is exchanged in the same order, or for all samples kept beyond the first `moved` classes.

    A single sample cannot tell what is the same for all.
    """
    K, order = len(order), order.to(old.device)
    for dim in range(1, old.ndim):
        if old.shape[dim] != K or new.shape != old.shape:
            continue
        rest = (x.narrow(dim, moved, K - moved) for x in (old, new))
        kept = len(new) > 1 and moved < K and _agree(*rest) and _agree(new[:1], new[-1:])
        if kept or _agree(old.index_select(dim, order), new):
            return True
    return False


def averages_positions(model: nn.Module, batch: Any, layer: Head, positions: torch.Size) -> bool:
    """Whether the model averages the layer's outputs over the positions that it sees of each sample.

    Outputs that are larger at some positions and smaller at others, of the same mean, then lead to the same answer. All
    of them are positive, so a ReLU before the average is not seen.
    """
    logits, shares = _levels(len(layer.weight)), _levels(positions.numel()).square().view(*positions, 1)
    before, after = (_answers(model, batch, layer, said) for said in (logits, shares / shares.mean() * logits))
    return bool(before) and all(_agree(old, new) for old, new in zip(before, after, strict=False))


def _levels(count: int) -> torch.Tensor:
    """(count,) numbers that rise from 1/2 to 4: positive, and neither flat nor saturated after a sigmoid."""
    return torch.linspace(0.5, 4, count, device="cpu")


def _answers(model: nn.Module, batch: Any, layer: Head, logits: torch.Tensor) -> list[torch.Tensor]:
    """The model's outputs for two samples when the layer says the logits (K,) or (*positions, K) of every sample.

    The generators are put back each time, so what is drawn at random on the way is the same.
    """

    def say(module: Head, inputs: tuple, output: torch.Tensor) -> torch.Tensor:
        said = torch.empty_like(output)
        positions_first(module, said).copy_(logits)
        return said

    place = device_of(model)
    with evaluating(model), torch.random.fork_rng(devices=[place] if place.type == "cuda" else []):
        hook = layer.register_forward_hook(say)
        try:
            return [tensor[:2].clone() for tensor in _visible(run(model, batch)[0])]
        finally:
            hook.remove()


def _visible(output: Any) -> list[torch.Tensor]:
    """The floating-point tensors of two dimensions or more in what a model returned."""
    return [tensor for tensor in tensors(output) if tensor.ndim >= 2 and tensor.is_floating_point()]


def _agree(old: torch.Tensor, new: torch.Tensor) -> bool:
    """Whether two outputs are the same up to rounding: within eps^(2/3) of the largest finite entry."""
    if old.shape != new.shape:
        return False
    largest = old.nan_to_num(0.0, 0.0, 0.0).abs().amax() if old.numel() else 0.0
    rounding = torch.finfo(old.dtype).eps ** (2 / 3)
    return torch.allclose(old, new, rtol=0.0, atol=rounding * float(largest), equal_nan=True)
