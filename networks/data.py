"""Data sets of labelled images, by name. Each is one tensor of images and one of labels, train and test."""

from collections.abc import Callable
from dataclasses import dataclass, fields

import torch

from ufm import InputError


@dataclass(frozen=True)
class DataRecipe:
    """Which images, and how they are labelled."""

    data: str = "digits"
    """data set by name"""

    def __post_init__(self):
        pass


@dataclass(frozen=True, eq=False)
class Images:
    """images uint8 (N, channels, height, width), labels int64 (N,); mean, std float32 (channels, 1, 1) of training."""

    train_images: torch.Tensor
    train_labels: torch.Tensor
    test_images: torch.Tensor
    test_labels: torch.Tensor
    num_classes: int
    mean: torch.Tensor
    std: torch.Tensor

    def to(self, device: torch.device | str) -> "Images":
        moved = {f.name: getattr(self, f.name) for f in fields(self)}
        return Images(**{name: v.to(device) if isinstance(v, torch.Tensor) else v for name, v in moved.items()})

    def normalized(self, images: torch.Tensor) -> torch.Tensor:
        """A batch of these images as a network takes it: float32, each channel standardised by the training set."""
        return (images.float() - self.mean) / self.std

    @property
    def image_shape(self) -> tuple[int, ...]:
        return tuple(self.train_images.shape[1:])


def channel_statistics(images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(mean, std) of uint8 images, float32 (channels, 1, 1) each, from exact histograms; a flat channel has std 1."""
    levels = torch.arange(256, dtype=torch.float64)
    counts = torch.stack([torch.bincount(c.flatten(), minlength=256) for c in images.unbind(1)]).double()
    total = counts.sum(1, keepdim=True)
    mean = (counts @ levels)[:, None] / total
    variance = (counts * (levels - mean) ** 2).sum(1, keepdim=True) / (total - 1)
    std = torch.where(variance > 0, variance.sqrt(), 1.0)
    return mean.float()[..., None], std.float()[..., None]


def digits(seed: int, per_class: int = 140) -> Images:
    """scikit-learn's digits: 1,797 real 8 x 8 scans of handwritten digits, shipped with the library.

    The seed chooses `per_class` training images of each class (so the classes are exactly balanced, as
    the theory's closed form asks); the rest is the test set.
    """
    from sklearn.datasets import load_digits

    raw = load_digits()
    images = torch.from_numpy(raw.images).to(torch.uint8)[:, None]
    labels = torch.from_numpy(raw.target).long()
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    train = torch.cat([order[labels[order] == k][:per_class] for k in range(10)])
    test = order[~torch.isin(order, train)]
    return Images(images[train], labels[train], images[test], labels[test], 10, *channel_statistics(images[train]))


DATASETS: dict[str, Callable[[int], Images]] = {"digits": digits}


def load(name: str, seed: int = 0) -> Images:
    """The data set of that name; InputError lists the names there are."""
    if name not in DATASETS:
        raise InputError(f"unknown data set {name!r}; choose one of: {', '.join(sorted(DATASETS))}")
    return DATASETS[name](seed)
