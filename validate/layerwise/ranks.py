"""What the processes of torch.distributed know together, where it is initialised; alone, what this one knows."""

from collections.abc import Callable, Iterable
from typing import TypeVar

import torch
from torch import distributed

from ufm import InputError
from ufm.errors import require

T = TypeVar("T")


def together() -> bool:
    """Whether there are other processes."""
    return distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1


def sum_over_ranks(tensors: Iterable[torch.Tensor]) -> None:
    """Put the sum over all processes in the place of each tensor; every process has tensors of the same shapes."""
    for tensor in tensors if together() else ():
        distributed.all_reduce(tensor)


def most(number: int, device: torch.device) -> int:
    """The largest of the processes' numbers."""
    if not together():
        return number
    tensor = torch.tensor(number, device=device)
    distributed.all_reduce(tensor, distributed.ReduceOp.MAX)
    return int(tensor)


def of_all(tensor: torch.Tensor) -> list[torch.Tensor]:
    """The tensors of all processes, of one shape, in the order of their ranks."""
    if not together():
        return [tensor]
    parts = [torch.empty_like(tensor) for _ in range(distributed.get_world_size())]
    distributed.all_gather(parts, tensor.contiguous())
    return parts


def agreed(task: Callable[[], T], device: torch.device) -> T:
    """task() here; where it raises InputError in some process, that in it and another in all others."""
    if not together():
        return task()
    result, problem = None, None
    try:
        result = task()
    except InputError as error:
        problem = error
    failed = most(int(problem is not None), device)
    if problem is not None:
        raise problem
    require(not failed, "another process could not measure its share of the data; its own error says why")
    return result  # type: ignore[return-value]  # task() returned it
