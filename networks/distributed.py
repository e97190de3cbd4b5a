"""The processes that train one model together, as torchrun starts them; a single process is the case of one.

Each process takes its share of every batch of the single-process run, and gradients are averaged over the whole
batch: a model without batch normalisation trains to the same numbers up to rounding. BatchNorm layers become
SyncBatchNorm on CUDA, which keeps that true; on the CPU, where torch has no such layer, they normalise by share.
Random layers draw for each process, so a run with dropout depends on the number of processes. Every process reads the
data set, and a run is resumed from a folder that all of them see.
"""

import atexit
import os
from dataclasses import dataclass

import torch
from torch import distributed, nn

from ufm import InputError


@dataclass(frozen=True)
class Ranks:
    """This process among all. Collective methods (sum, mean, gather, first) are called by every process."""

    rank: int = 0
    world: int = 1

    def share(self, tensor: torch.Tensor) -> torch.Tensor:
        """This process's rows of a tensor that all processes have: consecutive, as even as can be."""
        return tensor.tensor_split(self.world)[self.rank]

    def sum(self, tensor: torch.Tensor) -> torch.Tensor:
        """The sum over processes."""
        if self.world > 1:
            tensor = tensor.clone()
            distributed.all_reduce(tensor)
        return tensor

    def mean(self, tensor: torch.Tensor) -> torch.Tensor:
        """The mean over processes."""
        return self.sum(tensor) / self.world if self.world > 1 else tensor

    def gather(self, rows: torch.Tensor, total: int) -> torch.Tensor:
        """All `total` rows, out of each process's `share` of them."""
        if self.world == 1:
            return rows
        most = -(-total // self.world)
        padded = torch.cat([rows, rows.new_zeros(most - len(rows), *rows.shape[1:])])
        parts = [torch.empty_like(padded) for _ in range(self.world)]
        distributed.all_gather(parts, padded)
        sizes = [total // self.world + (rank < total % self.world) for rank in range(self.world)]
        return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)])

    def first(self, number: int, device: torch.device) -> int:
        """The number that process 0 has."""
        if self.world == 1:
            return number
        tensor = torch.tensor(number, device=device)
        distributed.broadcast(tensor, src=0)
        return int(tensor)

    def prepare(self, model: nn.Module) -> nn.Module:
        """The model with batch statistics taken over all processes, where torch can."""
        if self.world > 1 and next(model.parameters()).is_cuda:
            return nn.SyncBatchNorm.convert_sync_batchnorm(model)
        return model

    def agree(self, model: nn.Module) -> None:
        """Average the model's buffers over processes: batch statistics by share differ."""
        if self.world > 1:
            for buffer in model.buffers():
                if buffer.is_floating_point():
                    buffer.copy_(self.mean(buffer))

    def wrap(self, module: nn.Module) -> nn.Module:
        """The module with its gradients averaged over processes."""
        return nn.parallel.DistributedDataParallel(module) if self.world > 1 else module


ALONE = Ranks()


def is_main() -> bool:
    """Whether this process is the one that writes and prints."""
    return int(os.environ.get("RANK", "0")) == 0


def processes(name: str) -> tuple[Ranks, torch.device]:
    """(this process among all, its device) for --device `name`; those that torchrun started are joined, once."""
    device = _device(name)
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        return ALONE, device
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    if not distributed.is_initialized():
        distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
        atexit.register(distributed.destroy_process_group)
    return Ranks(distributed.get_rank(), world), device


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name not in ("cpu", "cuda"):
        raise InputError(f"device must be cpu, cuda or auto, got {name!r}")
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("no CUDA device here; use --device cpu")
    return torch.device(name)
