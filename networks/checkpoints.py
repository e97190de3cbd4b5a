"""Checkpoints as safetensors: model weights, and for the last one the optimiser's state beside them."""

from pathlib import Path

import torch
from torch import nn

from ufm import InputError
from ufm.files import read_tensors, write_tensors

MODEL, MOMENTUM = "model.", "momentum."


def save_model(path: Path, model: nn.Module) -> None:
    """Write the model's weights and buffers."""
    write_tensors(path, {MODEL + name: tensor for name, tensor in model.state_dict().items()})


def save_training(path: Path, model: nn.Module, optimizer: torch.optim.SGD, epoch: int) -> None:
    """Write everything that the next epoch depends on: weights, momentum and the epoch just ended."""
    tensors = {MODEL + name: tensor for name, tensor in model.state_dict().items()}
    for name, parameter in model.named_parameters():
        momentum = optimizer.state[parameter].get("momentum_buffer")
        if momentum is not None:
            tensors[MOMENTUM + name] = momentum
    write_tensors(path, tensors, {"epoch": str(epoch)})


def load_model(path: Path, model: nn.Module) -> int:
    """Load weights into `model`; returns the epoch recorded in the file (0 if none)."""
    tensors, metadata = read_tensors(path)
    weights = {name.removeprefix(MODEL): t for name, t in tensors.items() if name.startswith(MODEL)}
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path} does not fit the run's model ({reason[:200]}); train again with --force") from error
    return int(metadata.get("epoch", 0))


def load_training(path: Path, model: nn.Module, optimizer: torch.optim.SGD) -> int:
    """Load what `save_training` wrote into model and optimiser; returns the epoch that had ended."""
    epoch = load_model(path, model)
    tensors, _ = read_tensors(path)
    device = next(model.parameters()).device
    for name, parameter in model.named_parameters():
        if MOMENTUM + name in tensors:
            optimizer.state[parameter]["momentum_buffer"] = tensors[MOMENTUM + name].to(device)
    return epoch
