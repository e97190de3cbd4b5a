"""What a network takes: its parameters, and the memory of one training step."""

import copy
import gc
import os
from collections.abc import Iterable
from itertools import accumulate

import torch
from torch import nn
from torch.nn import functional
from torch.profiler import ProfilerActivity, profile

from ufm.errors import require


def footprint(model: nn.Module, batch: torch.Tensor) -> dict[str, int]:
    """Plain data for a run's record: parameters, how many of them are learned, bytes of a training step on a batch."""
    return {
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "learned_parameters": sum(parameter.numel() for parameter in _learned(model)),
        "training_memory_bytes": training_memory(model, batch),
    }


def training_memory(model: nn.Module, inputs: torch.Tensor) -> int:
    """Bytes that training by SGD with momentum takes on a batch of inputs (N, ...), where inputs and model are.

    On CUDA it is measured (`measured_memory`). Elsewhere it is counted, which takes half a step: parameters, buffers, a
    gradient and a momentum for each learned parameter, and every storage that automatic differentiation keeps for the
    backward pass, once; what operations need in passing is not in it. The model and torch's generators are left as they
    were.
    """
    if inputs.device.type == "cuda":
        return measured_memory(model, inputs)
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        return _counted(model, inputs)


def measured_memory(model: nn.Module, inputs: torch.Tensor) -> int:
    """The peak, in bytes, of what torch's allocator gives out for two such steps, a copy of the model included.

    The second step has momentum from the first: it is the peak of training on. On CUDA the allocator says it; on a CPU
    it is the largest running sum of all that the allocator gave and took back, as torch.profiler records it. Buffers
    that libraries (oneDNN, BLAS) allocate by themselves are in neither. The model and torch's generators are left as
    they were. Raises InputError on another device.
    """
    device = inputs.device
    require(device.type in PEAKS, f"no allocator says what it gave out on the device {device.type!r}")
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []), torch.enable_grad():
        return PEAKS[device.type](model, inputs)


def _learned(model: nn.Module) -> list[nn.Parameter]:
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def _loss(model: nn.Module, inputs: torch.Tensor) -> torch.Tensor:
    logits = model(inputs)
    return functional.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.int64, device=logits.device))


def _two_steps(model: nn.Module, inputs: torch.Tensor) -> None:
    """Of SGD with momentum, by a copy of the model."""
    model = copy.deepcopy(model).train()
    optimizer = torch.optim.SGD(_learned(model), lr=0.0, momentum=0.9)
    for _ in range(2):
        optimizer.zero_grad(set_to_none=True)
        _loss(model, inputs).backward()
        optimizer.step()


def _peak_on_cuda(model: nn.Module, inputs: torch.Tensor) -> int:
    before = torch.cuda.memory_allocated(inputs.device)
    torch.cuda.reset_peak_memory_stats(inputs.device)
    _two_steps(model, inputs)
    return torch.cuda.max_memory_allocated(inputs.device) - before


def _peak_on_cpu(model: nn.Module, inputs: torch.Tensor) -> int:
    gc.collect()  # what is freed in between, and was allocated before, would be missed in the sum
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # or the profiler writes to standard error that it starts
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        _two_steps(model, inputs)
    assert recorded.profiler is not None
    assert recorded.profiler.kineto_results is not None
    events = [event for event in recorded.profiler.kineto_results.events() if event.name() == "[memory]"]
    return peak(event.nbytes() for event in sorted(events, key=lambda event: event.start_ns()))


def peak(changes: Iterable[int]) -> int:
    """The largest running sum, from 0, of bytes given (> 0) and taken back (< 0)."""
    return max(accumulate(changes, initial=0))


PEAKS = {"cuda": _peak_on_cuda, "cpu": _peak_on_cpu}


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
