"""The batches of an epoch: an order and an augmentation given by seed and epoch, made on the device."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

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
    """This process's share of a batch; weight is n P / B for n of B samples, with P processes (1 with one)."""

    images: torch.Tensor
    labels: torch.Tensor
    weight: float


def epoch_batches(recipe: Recipe, images: Images, ranks: Ranks, epoch: int) -> Iterator[Batch]:
    """The training batches of an epoch, in order; asked again, the same."""
    count, device = len(images.train_labels), images.train_labels.device
    generator = torch.Generator().manual_seed(epoch_seed(recipe.seed, epoch))
    augmentation = AUGMENTATIONS[recipe.augment]
    order = torch.randperm(count, generator=generator).to(device)
    draws = augmentation.draw(count, generator).to(device)
    chunks = math.ceil(count / recipe.batch_size)
    for index, drawn in zip(order.tensor_split(chunks), draws.tensor_split(chunks), strict=True):
        own = ranks.share(index)
        batch = images.normalized(augmentation.apply(images.train_images[own], ranks.share(drawn)))
        batch = batch.contiguous(memory_format=layout(recipe, device))
        yield Batch(batch, images.train_labels[own], len(own) * ranks.world / len(index))


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
