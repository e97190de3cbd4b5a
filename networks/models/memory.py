"""What a network takes: its parameters, and the memory of one training step."""

import copy

import torch
from torch import nn
from torch.nn import functional


def footprint(model: nn.Module, batch: torch.Tensor) -> dict[str, int]:
    """Plain data for a run's record: parameters, how many of them are learned, bytes of a training step on a batch."""
    return {
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "learned_parameters": sum(parameter.numel() for parameter in _learned(model)),
        "training_memory_bytes": training_memory(model, batch),
    }


def training_memory(model: nn.Module, inputs: torch.Tensor) -> int:
    """Bytes that training by SGD with momentum takes on a batch of inputs (N, ...), where inputs and model are.

    On CUDA the peak of the allocator over two steps, measured. Elsewhere nothing measures it, and it is counted:
    parameters, buffers, a gradient and a momentum for each learned parameter, and every storage that automatic
    differentiation keeps for the backward pass, once; what operations need in passing is not in it. The model
    and torch's generators are left as they were.
    """
    cuda = [inputs.device] if inputs.device.type == "cuda" else []
    with torch.random.fork_rng(devices=cuda), torch.enable_grad():
        return _measured(model, inputs) if cuda else _counted(model, inputs)


def _learned(model: nn.Module) -> list[nn.Parameter]:
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def _loss(model: nn.Module, inputs: torch.Tensor) -> torch.Tensor:
    logits = model(inputs)
    return functional.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.int64, device=logits.device))


def _measured(model: nn.Module, inputs: torch.Tensor) -> int:
    """The second step has momentum from the first: the peak of training on."""
    before = torch.cuda.memory_allocated(inputs.device)
    torch.cuda.reset_peak_memory_stats(inputs.device)
    model = copy.deepcopy(model).train()
    optimizer = torch.optim.SGD(_learned(model), lr=0.0, momentum=0.9)
    for _ in range(2):
        optimizer.zero_grad(set_to_none=True)
        _loss(model, inputs).backward()
        optimizer.step()
    return torch.cuda.max_memory_allocated(inputs.device) - before


def _counted(model: nn.Module, inputs: torch.Tensor) -> int:
    model = copy.deepcopy(model).train()
    state = {_place(tensor): _bytes(tensor) for tensor in [*model.parameters(), *model.buffers()]}
    saved = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        saved[_place(tensor)] = _bytes(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = _loss(model, inputs)
    activations = sum(size for place, size in saved.items() if place not in state)
    del loss  # the graph has to live until here: a freed storage's place is given to the next
    return sum(state.values()) + 2 * sum(_bytes(p) for p in _learned(model)) + activations


def _place(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _bytes(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage().nbytes()
