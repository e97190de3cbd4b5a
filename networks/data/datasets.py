"""Where images come from: a table of data sets by name, each read into uint8 tensors as it is published."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ufm import InputError
from ufm.errors import Setting, require

from .folders import ImageFiles, image_folder

Track = Callable[[Iterable[int]], Iterable[int]]


@dataclass(frozen=True, eq=False)
class Labelled:
    """images uint8 (N, channels, height, width), labels int64 (N,), of classes 0 .. K-1; train and test.

    Images that are files are decoded when they are indexed: those that a recipe leaves out are never read.
    """

    train_images: torch.Tensor | ImageFiles
    train_labels: torch.Tensor
    test_images: torch.Tensor | ImageFiles
    test_labels: torch.Tensor
    num_classes: int


@dataclass(frozen=True)
class Place:
    """Where to look and how: the folder of data sets, the size asked for, the seed, and a wrapper showing progress."""

    folder: Path
    image_size: int | None = None
    seed: int = 0
    track: Track = iter


def digits(place: Place, per_class: int = 140) -> Labelled:
    """scikit-learn's digits: 1,797 real 8 x 8 scans of handwritten digits, shipped with the library.

    The seed chooses `per_class` training images of each class (so the classes are exactly balanced, as
    the theory's closed form asks); the rest is the test set. Grey levels are 0 .. 16.
    """
    from sklearn.datasets import load_digits

    raw = load_digits()
    images = torch.from_numpy(raw.images).to(torch.uint8)[:, None]
    labels = torch.from_numpy(raw.target).long()
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(place.seed))
    train = torch.cat([order[labels[order] == k][:per_class] for k in range(10)])
    test = order[~torch.isin(order, train)]
    return Labelled(images[train], labels[train], images[test], labels[test], 10)


def _published(name: str) -> Callable[[Place], Labelled]:
    """The reader of torchvision.datasets.NAME: from its files where they are, downloaded where they are not.

    CIFAR's files are read by torchvision, which first compares their md5 with the published ones.
    """

    def read(place: Place) -> Labelled:
        train, test = (_open(name, place.folder, train) for train in (True, False))
        return Labelled(*_tensors(train), *_tensors(test), len(train.classes))

    return read


def _open(name: str, folder: Path, train: bool):
    """The torchvision data set; nothing is asked of the network where its files are present."""
    from torchvision import datasets

    kind = getattr(datasets, name)
    unusable = (RuntimeError, OSError, ValueError, AssertionError)
    try:
        return kind(folder, train=train, download=False)
    except unusable:
        pass
    try:
        return kind(folder, train=train, download=True)
    except unusable as error:
        inside = folder / getattr(kind, "base_folder", f"{name}/raw")
        reason = " ".join(str(error).split())
        raise InputError(
            f"{name} is not whole in {inside} and cannot be downloaded ({reason})",
            (
                "remove what is damaged there, put torchvision's files there, or name the folder that has them with ",
                Setting("data_dir"),
            ),
        ) from error


def _tensors(data) -> tuple[torch.Tensor, torch.Tensor]:
    """(images, labels) of torchvision's grey (N, H, W) or coloured (N, H, W, 3) bytes."""
    images = torch.from_numpy(np.asarray(data.data))
    images = images[:, None] if images.ndim == 3 else images.permute(0, 3, 1, 2).contiguous()
    return images, torch.as_tensor(data.targets, dtype=torch.int64)


def mnist32(place: Place) -> Labelled:
    """MNIST at 3 x 32 x 32, as in arXiv 2105.02375: resized bilinearly, the grey level in each of three channels."""
    mnist = _published("MNIST")(place)
    train, test = (resized(images, 32).expand(-1, 3, -1, -1) for images in (mnist.train_images, mnist.test_images))
    return Labelled(train, mnist.train_labels, test, mnist.test_labels, mnist.num_classes)


def resized(images: torch.Tensor, size: int) -> torch.Tensor:
    """uint8 images at size x size: shorter side to size, bilinear and antialiased, then the centre cut out."""
    from torchvision.transforms.v2 import functional

    if images.shape[-2:] == (size, size):
        return images
    parts = [
        functional.center_crop(functional.resize(part, [size], antialias=True), [size, size])
        for part in images.split(4096)
    ]
    return torch.cat(parts)


def folder(place: Place) -> Labelled:
    """Any images as FOLDER/train/CLASS/FILE and FOLDER/test/CLASS/FILE, in colour, classes in alphabetical order."""
    images, labels, names = [], [], []
    for part in ("train", "test"):
        read = image_folder(place.folder / part, place.image_size, place.track)
        images.append(read.images)
        labels.append(read.labels)
        names.append(read.classes)
    require(names[0] == names[1], f"{place.folder}/train and /test hold different classes; give both the same folders")
    return Labelled(images[0], labels[0], images[1], labels[1], len(names[0]))


DATASETS: dict[str, Callable[[Place], Labelled]] = {
    "digits": digits,
    "mnist": _published("MNIST"),
    "mnist32": mnist32,
    "fashion-mnist": _published("FashionMNIST"),
    "cifar10": _published("CIFAR10"),
    "cifar100": _published("CIFAR100"),
    "folder": folder,
}
