"""Every pair of classes without K x K: rows of K, of all classes or of some that are drawn."""

import torch

from .blocks import blocks


def rows_of_pairs(K: int, rows: int, device: torch.device) -> list[torch.Tensor]:
    """All K class numbers, or `rows` of them drawn without replacement, in blocks whose rows of K stay small.

    A mean over pairs is the mean over the drawn rows (`estimate.mean_of_rows`), with a standard error.
    """
    if rows >= K:
        some = torch.arange(K, device=device)
    else:
        generator = torch.Generator(device="cpu").manual_seed(0)
        some = torch.randperm(K, generator=generator, device="cpu")[:rows].sort().values.to(device)
    return [some[part] for part in blocks(len(some), K)]
