"""A folder of images, a folder a class, decoded as it is asked for."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ufm import InputError
from ufm.errors import Setting, require


@dataclass(frozen=True, eq=False)
class ImageFiles:
    """Images on disk in place of a tensor: indexing decodes them, uint8 (M, 3, S, S) or (M, 3, height, width).

    With image_size S every image has its shorter side resized to S (bilinear, antialiased) and its centre
    S x S cut out; without it all that are asked for must be of one size. InputError when one cannot be decoded,
    or sizes differ. track wraps the numbers of the images that are read.
    """

    files: list[str]
    image_size: int | None = None
    track: Callable[[Iterable[int]], Iterable[int]] = iter

    def __getitem__(self, which: torch.Tensor | slice) -> torch.Tensor:
        chosen = torch.arange(len(self.files))[which].tolist()
        images = None
        for place in self.track(range(len(chosen))):
            file = self.files[chosen[place]]
            image = self._decode(file)
            if images is None:
                images = torch.empty(len(chosen), *image.shape, dtype=torch.uint8)
            if image.shape != images.shape[1:]:
                sizes = [f"{shape[1]} x {shape[2]}" for shape in (image.shape, images.shape[1:])]
                raise InputError(
                    f"{file} is {sizes[0]}, images before it are {sizes[1]}",
                    ("bring all to one size: ", Setting("image_size")),
                )
            images[place] = image
        return images

    def _decode(self, file: str) -> torch.Tensor:
        """One image, uint8 (3, height, width)."""
        from torchvision.transforms import functional

        image = _opened(file)
        if self.image_size is not None and image.size != (self.image_size, self.image_size):
            image = functional.center_crop(functional.resize(image, self.image_size), self.image_size)
        return torch.from_numpy(np.array(image)).permute(2, 0, 1)


@dataclass(frozen=True, eq=False)
class Folder:
    """images; labels int64 (N,); the names of the classes, sorted."""

    images: ImageFiles
    labels: torch.Tensor
    classes: list[str]


def image_folder(
    path: Path, image_size: int | None = None, track: Callable[[Iterable[int]], Iterable[int]] = iter
) -> Folder:
    """List PATH/CLASS/FILE for every image format that torchvision knows; InputError when there are none."""
    from torchvision.datasets import ImageFolder

    try:
        found = ImageFolder(path)
    except OSError as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"no images in {path} ({reason})",
            (Setting("data", "folder"), " takes DATA_DIR/train/CLASS/FILE and the same below test"),
        ) from error
    images = ImageFiles([file for file, _ in found.samples], image_size, track)
    return Folder(images, torch.tensor(found.targets), found.classes)


def _opened(file: str):
    """A PIL image in colour. Pillow would cut levels of more than 8 bits off at 255, so those are refused."""
    from PIL import Image

    try:
        with Image.open(file) as image:
            mode = image.mode
            colour = image.convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{file} cannot be read as an image ({reason}); mend or remove it") from error
    require(not mode.startswith(("I", "F")), f"{file} has more than 8 bits a level (mode {mode}); convert it to 8")
    return colour
