"""A folder of images, a folder a class, decoded into one tensor."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ufm import InputError


@dataclass(frozen=True, eq=False)
class Folder:
    """images uint8 (N, 3, S, S) or (N, 3, height, width); labels int64 (N,); the names of the classes, sorted."""

    images: torch.Tensor
    labels: torch.Tensor
    classes: list[str]


def image_folder(
    path: Path, image_size: int | None = None, track: Callable[[Iterable[int]], Iterable[int]] = iter
) -> Folder:
    """Read PATH/CLASS/FILE for every image format that torchvision knows; track wraps the files' numbers.

    With image_size S every image has its shorter side resized to S (bilinear, antialiased) and its centre
    S x S cut out; without it all must be of one size. InputError when there are none, one cannot be
    decoded, or sizes differ.
    """
    from torchvision.datasets import ImageFolder

    try:
        found = ImageFolder(path)
    except OSError as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"no images in {path} ({reason}); --data folder takes DATA_DIR/train/CLASS/FILE and the same below test"
        ) from error
    images = None
    for i in track(range(len(found.samples))):
        file, _ = found.samples[i]
        image = _decode(found, file, image_size)
        if images is None:
            images = torch.empty(len(found.samples), *image.shape, dtype=torch.uint8)
        if image.shape != images.shape[1:]:
            sizes = [f"{shape[1]} x {shape[2]}" for shape in (image.shape, images.shape[1:])]
            raise InputError(
                f"{file} is {sizes[0]}, images before it are {sizes[1]}; bring all to one size: --image-size"
            )
        images[i] = image
    return Folder(images, torch.tensor(found.targets), found.classes)


def _decode(found, file: str, image_size: int | None) -> torch.Tensor:
    """One image, uint8 (3, height, width)."""
    from torchvision.transforms import functional

    try:
        image = found.loader(file)
    except OSError as error:
        raise InputError(f"{file} cannot be read as an image ({error}); mend or remove it") from error
    if image_size is not None and image.size != (image_size, image_size):
        image = functional.center_crop(functional.resize(image, image_size), image_size)
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)
