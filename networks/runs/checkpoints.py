"""Checkpoints as safetensors: model weights, and for the last one the optimiser's state beside them.

An optimiser's state is a tree of numbers, lists and tensors. The tensors are stored by name, and the tree, with the
name in each tensor's place, is JSON in the file's metadata.
"""

import json
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ufm import InputError
from ufm.errors import require
from ufm.storage.files import read_metadata, read_tensors, write_tensors
from validate.runs.run import AGAIN

MODEL, OPTIMIZER = "model.", "optimizer."
TENSOR = "tensor"  # {"tensor": name} stands for a tensor in the tree


def save_model(path: Path, model: nn.Module) -> None:
    """Write the model's weights and buffers."""
    write_tensors(path, {MODEL + name: tensor for name, tensor in model.state_dict().items()})


def save_training(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, epoch: int) -> None:
    """Write everything that the next epoch depends on: weights, the optimiser's state and the epoch just ended."""
    tensors = {MODEL + name: tensor for name, tensor in model.state_dict().items()}
    names = _parameter_names(model, optimizer)
    state = {names[number]: values for number, values in optimizer.state_dict()["state"].items()}
    tree = _without_tensors(state, OPTIMIZER.removesuffix("."), tensors)
    write_tensors(path, tensors, {"epoch": str(epoch), "optimizer": json.dumps(tree)})


def epoch_of(path: Path) -> int:
    """The epoch recorded in a file that `save_training` wrote."""
    return _epoch(path, read_metadata(path))


def load_model(path: Path, model: nn.Module) -> int:
    """Load weights into `model`; returns the epoch recorded in the file (0 if none)."""
    tensors, metadata = read_tensors(path)
    weights = {name.removeprefix(MODEL): t for name, t in tensors.items() if name.startswith(MODEL)}
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path} does not fit the run's model ({reason[:200]})", AGAIN) from error
    return _epoch(path, metadata) if "epoch" in metadata else 0


def load_training(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> int:
    """Load what `save_training` wrote into model and optimiser; returns the epoch that had ended."""
    epoch = load_model(path, model)
    tensors, metadata = read_tensors(path)
    try:
        tree = _with_tensors(json.loads(metadata["optimizer"]), tensors)
        numbers = {name: number for number, name in _parameter_names(model, optimizer).items()}
        state = {numbers[name]: values for name, values in tree.items()}
    except (KeyError, ValueError, AttributeError) as error:
        raise InputError(f"{path} holds no optimiser's state ({error})", AGAIN) from error
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    return epoch


def _epoch(path: Path, metadata: dict[str, str]) -> int:
    text = metadata.get("epoch", "")
    require(text.isdigit(), f"{path} does not say which epoch it is of", AGAIN)
    return int(text)


def _parameter_names(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[int, str]:
    """The model's name of each parameter by its number in the optimiser's state."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    ordered = (parameter for group in optimizer.param_groups for parameter in group["params"])
    return {number: names[id(parameter)] for number, parameter in enumerate(ordered)}


def _without_tensors(tree: Any, name: str, tensors: dict[str, torch.Tensor]) -> Any:
    """The tree with {"tensor": name} for each tensor, which goes into `tensors` by that name."""
    if isinstance(tree, torch.Tensor):
        tensors[name] = tree
        return {TENSOR: name}
    if isinstance(tree, dict):
        return {key: _without_tensors(value, f"{name}.{key}", tensors) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_without_tensors(value, f"{name}.{i}", tensors) for i, value in enumerate(tree)]
    return tree


def _with_tensors(tree: Any, tensors: dict[str, torch.Tensor]) -> Any:
    """The tree that `_without_tensors` took apart.

    Tensors of a file may start at any address, and sums depend on it in their last bit: a clone is aligned.
    """
    if isinstance(tree, dict):
        if set(tree) == {TENSOR}:
            return tensors[tree[TENSOR]].clone()
        return {key: _with_tensors(value, tensors) for key, value in tree.items()}
    return [_with_tensors(value, tensors) for value in tree] if isinstance(tree, list) else tree
