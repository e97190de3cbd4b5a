"""The labelled images of a run: what the recipe asks of a data set, resident as uint8 tensors."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from pathlib import Path

import torch

from ufm import InputError
from ufm.errors import Setting, require

from .datasets import DATASETS, Labelled, Place, resized
from .sampling import class_sizes, parse_profile, permuted, random_stream, subset, with_noise


@dataclass(frozen=True)
class DataRecipe:
    """Which images, and how they are labelled."""

    data: str = "digits"
    """data set by name: digits (nothing to download), mnist, mnist32 (3 x 32 x 32), fashion-mnist, cifar10, cifar100,
    or folder: any images, as DATA_DIR/train/CLASS/FILE and DATA_DIR/test/CLASS/FILE"""
    data_dir: str = "~/data"
    """the folder of data sets, in torchvision's layout; what is missing is downloaded there"""
    image_size: int | None = None
    """resize images to this many pixels (shorter side, then the centre); by default they stay as they are"""
    per_class: int | None = None
    """training samples of each class, drawn by the seed; by default all"""
    test_per_class: int | None = None
    """test samples of each class, drawn by the seed; by default all"""
    imbalance: str | None = None
    """step:R (half of the classes have R times as many samples) or exp:R (falling geometrically to R times), with
    R in (0, 1]"""
    label_noise: float = 0.0
    """share of the training labels that are moved to another class at random"""
    random_labels: bool = False
    """deal the training labels out at random (class counts stay)"""

    def __post_init__(self):
        for name in ("image_size", "per_class", "test_per_class"):
            value = getattr(self, name)
            require(value is None or value >= 1, (Setting(name), f" must be >= 1, got {value}"))
        require(0 <= self.label_noise <= 1, (Setting("label_noise"), f" must lie in [0, 1], got {self.label_noise}"))
        clash = self.random_labels and self.label_noise
        nothing = Setting("random_labels", True), " leaves nothing for ", Setting("label_noise"), " to disturb"
        require(not clash, nothing, "give one of them")
        if self.imbalance is not None:
            parse_profile(self.imbalance)


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
    def class_counts(self) -> tuple[int, ...]:
        """n_k, the training samples of each class."""
        return tuple(torch.bincount(self.train_labels, minlength=self.num_classes).tolist())

    @property
    def image_shape(self) -> tuple[int, ...]:
        return tuple(self.train_images.shape[1:])


def load(recipe: DataRecipe | str, seed: int = 0, track: Callable[[Iterable[int]], Iterable[int]] = iter) -> Images:
    """The images that a recipe asks for (or the whole data set of that name); track wraps slow reading.

    The seed decides which samples are kept and which labels change, whatever else it decides elsewhere. Test labels
    are never touched. InputError for an unknown name (listing what there is) and for what cannot be had.
    """
    recipe = DataRecipe(recipe) if isinstance(recipe, str) else recipe
    if recipe.data not in DATASETS:
        raise InputError(f"unknown data set {recipe.data!r}; choose one of: {', '.join(sorted(DATASETS))}")
    place = Place(Path(recipe.data_dir).expanduser(), recipe.image_size, seed, track)
    source = DATASETS[recipe.data](place)
    require(
        source.num_classes >= 2, f"a classifier needs at least 2 classes, {place.folder} holds {source.num_classes}"
    )
    kept = _kept(recipe, source, seed)
    asked = _asked(recipe, source, seed)
    train, test = source.train_images[kept], source.test_images[asked]
    if recipe.image_size is not None:
        train, test = resized(train, recipe.image_size), resized(test, recipe.image_size)
    labels = _relabelled(recipe, source.train_labels[kept], source.num_classes, seed)
    return Images(train, labels, test, source.test_labels[asked], source.num_classes, *channel_statistics(train))


def _kept(recipe: DataRecipe, source: Labelled, seed: int) -> torch.Tensor | slice:
    """Which training samples; an imbalance profile without per_class starts from the smallest class."""
    if recipe.per_class is None and recipe.imbalance is None:
        return slice(None)
    smallest = int(torch.bincount(source.train_labels, minlength=source.num_classes).min())
    sizes = class_sizes(recipe.imbalance, recipe.per_class or smallest, source.num_classes)
    return subset(source.train_labels, sizes, random_stream(seed, "subset"))


def _asked(recipe: DataRecipe, source: Labelled, seed: int) -> torch.Tensor | slice:
    """Which test samples."""
    if recipe.test_per_class is None:
        return slice(None)
    sizes = class_sizes(None, recipe.test_per_class, source.num_classes)
    return subset(source.test_labels, sizes, random_stream(seed, "test subset"), "test")


def _relabelled(recipe: DataRecipe, labels: torch.Tensor, num_classes: int, seed: int) -> torch.Tensor:
    if recipe.random_labels:
        return permuted(labels, random_stream(seed, "random labels"))
    if recipe.label_noise:
        labels = with_noise(labels, recipe.label_noise, num_classes, random_stream(seed, "label noise"))
        left = int(torch.bincount(labels, minlength=num_classes).count_nonzero())
        require(
            left == num_classes,
            (Setting("label_noise", recipe.label_noise), " leaves a class with no sample"),
            "lower it",
        )
    return labels


def channel_statistics(images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(mean, std) of uint8 images, float32 (channels, 1, 1) each, from exact histograms; a flat channel has std 1."""
    levels = torch.arange(256, dtype=torch.float64)
    counts = torch.stack([torch.bincount(c.flatten(), minlength=256) for c in images.unbind(1)]).double()
    total = counts.sum(1, keepdim=True)
    mean = (counts @ levels)[:, None] / total
    variance = (counts * (levels - mean) ** 2).sum(1, keepdim=True) / (total - 1)
    std = torch.where(variance > 0, variance.sqrt(), 1.0)
    return mean.float()[..., None], std.float()[..., None]
