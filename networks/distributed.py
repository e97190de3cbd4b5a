"""The processes that train one model together, as torchrun starts them; a single process is the case of one.

Each process takes its share of every batch of the single-process run, and gradients are averaged over the whole
batch: a model without batch normalisation trains to the same numbers up to rounding. BatchNorm layers become
SyncBatchNorm on CUDA, which keeps that true; on the CPU, where torch has no such layer, they normalise by share.
Random layers draw for each process, so a run with dropout depends on the number of processes. Every process reads the
data set, the first of each machine before the others, and a run is resumed from a folder that all of them see. What
one process cannot do, none goes on without: all raise the same InputError.
"""

import atexit
import gc
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
from torch import distributed, nn

from ufm import InputError
from ufm.errors import Setting

Result = TypeVar("Result")
LOADING = timedelta(hours=4)  # that the others wait while one downloads or decodes


@dataclass(frozen=True)
class Ranks:
    """This process among all. Collective methods (those that do more than cut shares) are called by every process.

    local    its number on its machine       device    where tensors have to be to reach the others
    """

    rank: int = 0
    world: int = 1
    local: int = 0
    device: torch.device | str = "cpu"

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

    def first(self, number: int) -> int:
        """The number that process 0 has."""
        if self.world == 1:
            return number
        tensor = torch.tensor(number, device=self.device)
        distributed.broadcast(tensor, src=0)
        return int(tensor)

    def agreed(self, task: Callable[[], Result]) -> Result:
        """What task() returns here; where it raises InputError in some processes, that of the first of them in all."""
        if self.world == 1:
            return task()
        try:
            result, problem = task(), None
        except InputError as error:
            result, problem = None, error
        failed = torch.tensor(self.world if problem is None else self.rank, device=self.device)
        distributed.all_reduce(failed, distributed.ReduceOp.MIN)
        if int(failed) < self.world:
            said = self._words(str(problem), int(failed))
            raise problem if problem is not None and int(failed) == self.rank else InputError(said)
        return result

    def in_turn(self, task: Callable[[], Result]) -> Result:
        """task() in the first process of each machine, then in the others: they find on disk what it put there."""
        early = self.agreed(lambda: task() if self.local == 0 else None)
        return self.agreed(lambda: early if self.local == 0 else task())

    def _words(self, text: str, source: int) -> str:
        """The text that process `source` has (of a kilobyte)."""
        letters = text.encode()[:1024].ljust(1024)
        tensor = torch.tensor(list(letters), dtype=torch.uint8, device=self.device)
        distributed.broadcast(tensor, src=source)
        return bytes(tensor.tolist()).decode(errors="ignore").strip()

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
    """(this process among all, its device) for a setting `device`; those that torchrun started are joined, once."""
    device = device_of(name)
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        return ALONE, device
    local = int(os.environ.get("LOCAL_RANK", "0"))
    if device.type == "cuda":
        device = torch.device("cuda", local)
        torch.cuda.set_device(device)
    if not distributed.is_initialized():
        distributed.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=LOADING)
        atexit.register(_leave)
    return Ranks(distributed.get_rank(), world, local, device), device


def _leave() -> None:
    """End the process group. What still holds it goes first: its threads would abort the interpreter at its end."""
    gc.collect()
    distributed.destroy_process_group()


def device_of(name: str) -> torch.device:
    """The device that a setting `device` means here: cpu, cuda, or with auto cuda where there is one."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name not in ("cpu", "cuda"):
        raise InputError((Setting("device"), f" must be cpu, cuda or auto, got {name!r}"))
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("no CUDA device here", ("use ", Setting("device", "cpu")))
    return torch.device(name)
