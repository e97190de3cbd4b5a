"""The running statistics of batch normalisation, taken anew at given parameters."""

from collections.abc import Iterable

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


@torch.no_grad()
def refresh_statistics(model: nn.Module, batches: Iterable[torch.Tensor]) -> None:
    """Make the running statistics the averages over these batches of images, at the parameters as they are.

    The usual average over past steps lags behind where one step goes far, as one of L-BFGS does: the network
    would then be measured with statistics of another one. Wu and Johnson 2021 (arXiv 2105.07576) call it precise
    batch normalisation. The model is run in train mode.
    """
    layers = [m for m in model.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    if not layers:
        return
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # torch's word for the plain average
    model.train()
    for batch in batches:
        model(batch)
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
