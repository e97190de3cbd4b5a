"""The batches of an epoch: an order and an augmentation given by seed and epoch, made on the device."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from ufm.errors import Setting, require

from .arrangement import layout
from .data.augmentation import AUGMENTATIONS
from .data.images import Images
from .distributed import Ranks
from .draws import epoch_seed
from .recipe import Recipe


@dataclass(frozen=True, eq=False)
class Batch:
    """This process's share of a batch; weight is n P / B for n of B samples, with P processes (1 with one).

    Where images are mixtures, partners are the labels of the images that `share` of each leaves room for.
    """

    images: torch.Tensor
    labels: torch.Tensor
    weight: float
    partners: torch.Tensor | None = None
    share: float = 1.0


def epoch_batches(recipe: Recipe, images: Images, ranks: Ranks, epoch: int) -> Iterator[Batch]:
    """The training batches of an epoch, in order; asked again, the same."""
    count, device = len(images.train_labels), images.train_labels.device
    generator = torch.Generator().manual_seed(epoch_seed(recipe.seed, epoch))
    augmentation = AUGMENTATIONS[recipe.augment]
    order = torch.randperm(count, generator=generator).to(device)
    draws = augmentation.draw(count, generator).to(device)
    chunks = math.ceil(count / recipe.batch_size)
    shares = beta_shares(recipe, epoch, chunks)

    def seen(index: torch.Tensor, drawn: torch.Tensor) -> torch.Tensor:
        return images.normalized(augmentation.apply(images.train_images[index], drawn))

    for index, drawn, share in zip(order.tensor_split(chunks), draws.tensor_split(chunks), shares, strict=True):
        own, partners = ranks.share(index), None
        batch = seen(own, ranks.share(drawn))
        if recipe.mixup:
            pairing = torch.randperm(len(index), generator=generator).to(device)
            others = ranks.share(index[pairing])
            batch = share * batch + (1 - share) * seen(others, ranks.share(drawn[pairing]))
            partners = images.train_labels[others]
        weight = len(own) * ranks.world / len(index)
        yield Batch(
            batch.contiguous(memory_format=layout(recipe, device)), images.train_labels[own], weight, partners, share
        )


def beta_shares(recipe: Recipe, epoch: int, count: int) -> list[float]:
    """The shares s of the mixtures of an epoch, one a batch, from Beta(alpha, alpha); 1 where nothing is mixed.

    Source: Zhang et al. 2018 (arXiv 1710.09412), whose code draws one share a batch and partners from it, too.
    """
    if not recipe.mixup:
        return [1.0] * count
    return np.random.default_rng(epoch_seed(recipe.seed, epoch)).beta(recipe.mixup, recipe.mixup, count).tolist()


def require_batches(recipe: Recipe, images: Images, ranks: Ranks, model: nn.Module) -> None:
    """Raise InputError unless every process gets a test image, and of every batch a sample (two to normalise by)."""
    count = len(images.train_labels)
    smallest = count // math.ceil(count / recipe.batch_size)
    alone = any(isinstance(m, _BatchNorm) and not isinstance(m, nn.SyncBatchNorm) for m in model.modules())
    least, why = (2, " with batch normalisation") if alone else (1, "")
    require(
        smallest // ranks.world >= least,
        f"batches of {smallest} samples are too small for {ranks.world} process{'es' * (ranks.world > 1)}{why}",
        ("raise ", Setting("batch_size")),
    )
    tests = len(images.test_labels)
    require(tests >= ranks.world, f"{tests} test images are too few for {ranks.world} processes; start fewer")
