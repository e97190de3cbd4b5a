"""Measure every layer of a run's network, at checkpoints along the training."""

from collections.abc import Callable, Iterable, Iterator

import torch

from ufm import InputError
from ufm.errors import Setting, require
from validate import Run, layers
from validate.layerwise.layer import AtEpoch, LayersOfRun

from ..data.images import Images
from ..measure import batches, full_precision
from .checkpoints import load_model
from .reload import checkpoints_of, reload

MOST = 7  # checkpoints, unless told: as many as there are colours of curves


def measure_layers(
    run: Run,
    names: Iterable[str] = (),
    pool: str | None = None,
    most: int = MOST,
    track: Callable[[Iterable[int]], Iterable[int]] = iter,
    data_dir: str | None = None,
) -> LayersOfRun:
    """The layers of the run's network on its training set, of its checkpoints or of `most` of them.

    Those left out are as even as can be over the run; the first and the last are in. names, pool as for
    `validate.layers`, the model's blocks without names. track wraps the epochs. Raises InputError as that does.
    """
    require(most >= 1, (Setting("most"), f" must be >= 1 checkpoint, got {most}"))
    names = tuple(names)
    images, model = reload(run, data_dir)
    files = checkpoints_of(run, model)
    data, found = Training(images), []
    for epoch in track(spread(sorted(files), most)):
        load_model(files[epoch], model)
        with full_precision():
            found.append(AtEpoch(epoch, _layers(model, data, names, pool)))
    return LayersOfRun(tuple(found), names, pool, most)


def _layers(model, data: "Training", names: tuple[str, ...], pool: str | None):
    try:
        return layers(model, data, names or None, pool=pool, head=model.head, num_classes=len(model.head.weight))
    except InputError as error:
        raise InputError(f"the layers of the run's network: {error}") from error


def spread(epochs: list[int], most: int) -> list[int]:
    """At most so many of the epochs, evenly, the last among them and, of two or more, the first."""
    last = len(epochs) - 1
    count = min(most, len(epochs))
    return [epochs[last - round(i * last / max(1, count - 1))] for i in reversed(range(count))]


class Training:
    """The training set in batches, in order, as often as it is asked for."""

    def __init__(self, images: Images):
        self.images = images

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        return iter(batches(self.images, self.images.train_images, self.images.train_labels))
