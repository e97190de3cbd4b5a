"""Any classifier of torchvision.models, cut before its last layer."""

import torch
from torch import nn
from torchvision import models

from ufm import InputError
from ufm.errors import Setting, require
from validate.models.heads import can_be_head, classifier, is_pointwise


def names() -> list[str]:
    """The classifiers that torchvision has."""
    return models.list_models(module=models)


def zoo(name: str, image_shape: tuple[int, int, int], feature_dim: int | None = None) -> tuple[nn.Module, int]:
    """(torchvision's model without its last layer, d): what would enter that layer is the features (N, d).

    SqueezeNet ends in a convolution of kernel 1 whose outputs it averages over positions, after a ReLU. Without it the
    features are averaged, and what the head makes of them is the average of the convolution's outputs: the ReLU on
    logits is all that is lost.

    A feature_dim other than the model's own adds a linear projection. The cut is tried on one image: InputError
    where the model cannot take it, or does not end in such a layer.
    """
    try:
        network = models.get_model(name, weights=None, **_arguments(name, image_shape))
        last = _last_layer(network, torch.zeros(1, *image_shape))
    except (RuntimeError, AssertionError, ValueError) as error:
        shape, reason = " x ".join(map(str, image_shape)), " ".join(str(error).split())
        raise InputError(
            f"{name} cannot take images of {shape} ({reason[:120]})", ("try ", Setting("image_size", 224))
        ) from error
    require(
        last is not None, f"{name} does not end in a Linear layer, so it has no last-layer features; choose another"
    )
    dim = classifier(network.get_submodule(last))[0].shape[1]
    network.set_submodule(last, nn.Identity())
    if feature_dim in (None, dim):
        return network, dim
    return nn.Sequential(network, nn.Linear(dim, feature_dim)), feature_dim


def _arguments(name: str, image_shape: tuple[int, int, int]) -> dict:
    """Vision transformers are built for one image size; two old networks have auxiliary classifiers unless told."""
    if name.startswith("vit_"):
        return {"image_size": image_shape[-1]}
    if name in ("googlenet", "inception_v3"):
        return {"aux_logits": False, "init_weights": True}
    return {}


@torch.no_grad()
def _last_layer(network: nn.Module, image: torch.Tensor) -> str | None:
    """The path of the last layer, if its output is the network's or, of a convolution, averaged to be."""
    seen = []
    hooks = [
        module.register_forward_hook(lambda _, inputs, output, path=path: seen.append((path, output)))
        for path, module in network.named_modules()
        if can_be_head(module)
    ]
    logits = network.eval()(image)
    network.train()
    for hook in hooks:
        hook.remove()
    if not seen:
        return None
    path, output = seen[-1]
    averaged = is_pointwise(network.get_submodule(path))
    return path if (logits.shape == output.shape[:2] if averaged else output is logits) else None
