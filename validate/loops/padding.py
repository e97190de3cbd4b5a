"""DistributedSampler gives every rank as many samples, some of them twice: which rows of a batch are not repeats."""

from typing import Any

from torch.utils.data import DistributedSampler


def unrepeated(loader: Any, batch_index: int, rows: int) -> int:
    """How many of the first `rows` rows of a batch belong to samples that no other rank or position has.

    loader  a DataLoader with a batch size; where it has none, or no DistributedSampler, all rows count

    A rank's sample i stands at rank + i num_replicas of the (shuffled) data set, and what stands beyond its end repeats
    its beginning; so the repeats come last. Every sample has as many rows (the positions of a sequence, say).
    """
    sampler, batch = getattr(loader, "sampler", None), getattr(loader, "batch_size", None)
    if not isinstance(sampler, DistributedSampler) or not batch:
        return rows
    start = batch_index * batch
    size = min(batch, len(sampler) - start)
    samples = len(sampler.dataset)  # type: ignore[arg-type]  # torch's Dataset declares no __len__, which it needs here
    own = len(range(sampler.rank, samples, sampler.num_replicas)) - start
    return rows * min(max(own, 0), size) // size
