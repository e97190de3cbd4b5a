"""Data sets of labelled images, by name. Each is one tensor of images and one of labels, train and test."""

from collections.abc import Callable
from dataclasses import dataclass

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
    """images float32 (N, channels, height, width), standardised by the training set; labels int64 (N,)."""

    train_images: torch.Tensor
    train_labels: torch.Tensor
    test_images: torch.Tensor
    test_labels: torch.Tensor
    num_classes: int

    def to(self, device: torch.device | str) -> "Images":
        moved = [t.to(device) for t in (self.train_images, self.train_labels, self.test_images, self.test_labels)]
        return Images(*moved, self.num_classes)

    @property
    def image_shape(self) -> tuple[int, ...]:
        return tuple(self.train_images.shape[1:])


def digits(seed: int, per_class: int = 140) -> Images:
    """scikit-learn's digits: 1,797 real 8 x 8 scans of handwritten digits, shipped with the library.

    The seed chooses `per_class` training images of each class (so the classes are exactly balanced, as
    the theory's closed form asks); the rest is the test set.
    """
    from sklearn.datasets import load_digits

    raw = load_digits()
    images = torch.from_numpy(raw.images).float()[:, None] / 16
    labels = torch.from_numpy(raw.target).long()
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    train = torch.cat([order[labels[order] == k][:per_class] for k in range(10)])
    test = order[~torch.isin(order, train)]
    mean, std = images[train].mean(), images[train].std()
    images = (images - mean) / std
    return Images(images[train], labels[train], images[test], labels[test], 10)


DATASETS: dict[str, Callable[[int], Images]] = {"digits": digits}


def load(name: str, seed: int = 0) -> Images:
    """The data set of that name; InputError lists the names there are."""
    if name not in DATASETS:
        raise InputError(f"unknown data set {name!r}; choose one of: {', '.join(sorted(DATASETS))}")
    return DATASETS[name](seed)
