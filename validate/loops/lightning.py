"""validate.CollapseCallback: neural collapse logged after every validation epoch of a Lightning Trainer.

Needs lightning (`pip install -e ".[loops]"`); nothing else of this package imports it.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import lightning.pytorch as pl
import torch
from torch.utils.hooks import RemovableHandle

from ufm.errors import InputError, require

from ..metrics.definitions import Definitions, Options
from ..models.collect import Features, averaged, samples
from ..models.heads import can_be_head
from ..models.tracing import watch
from .padding import unrepeated
from .streaming import NeuralCollapseMetric

if TYPE_CHECKING:
    from typing_extensions import Unpack


def second(batch: Any) -> Any:
    """The labels of a batch (inputs, labels)."""
    return batch[1]


class CollapseCallback(pl.Callback):
    """Trainer(callbacks=[CollapseCallback(head="model.fc")]) logs nc1, nc2, ... of the validation data.

    head     the name, within the LightningModule, of the layer (Linear, or a convolution of kernel 1) whose inputs are
             the features
    labels   what takes the labels out of a batch; the second entry by default
    prefix   of the logged names
    reference  the loader of the training set, where the validation data are held out, which yields pairs (inputs,
             labels) as for `validate.collect`: its centres are taken anew before each validation, by forward(inputs)
    absent, definitions   as for `validate.neural_collapse` (centre="classes", ...)
    average  whether a sample's features are their average over its positions, as for a head whose outputs the model
             averages; else each position is a sample with a label

    Features are taken from validation_step's own forward pass, streamed in one pass and reduced over ranks, without the
    samples that DistributedSampler repeats; several loaders are one data set. `rows` holds one record an epoch, for
    pandas.DataFrame: the same on every rank, but left behind in the processes of ddp_spawn, whose logged numbers come
    back. To watch the training set, pass its loader, unshuffled, to Trainer.fit as val_dataloaders.
    """

    def __init__(
        self,
        head: str,
        labels: Callable[[Any], torch.Tensor] = second,
        prefix: str = "",
        absent: str = "error",
        *,
        average: bool = False,
        reference: Iterable[Any] | None = None,
        **definitions: "Unpack[Options]",
    ):
        Definitions.named(definitions)  # refuses now what it would refuse later
        self.definitions = definitions
        self.head, self.labels, self.prefix, self.absent, self.average = head, labels, prefix, absent, average
        self.reference = reference
        self.rows: list[dict[str, float]] = []
        self.seen: list[torch.Tensor] = []
        self.hook: RemovableHandle | None = None

    def on_validation_epoch_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        layer = module.get_submodule(self.head)
        if not can_be_head(layer):
            raise InputError(f"head must name a Linear layer or a convolution of kernel 1; {self.head!r} is {layer}")
        runs = self.reference is None or type(module).forward is not pl.LightningModule.forward
        require(runs, f"with a reference {type(module).__name__} needs forward(inputs) that runs through the head")
        train = None if trainer.sanity_checking else self.reference
        reference = None if train is None else Features(module, train, layer)
        metric = NeuralCollapseMetric(
            len(layer.weight), head=layer, reference=reference, absent=self.absent, **self.definitions
        )
        self.metric = metric.to(module.device)
        self.seen.clear()
        self.hook = watch(layer, lambda _, features: self.seen.append(features))

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        require(bool(self.seen), f"validation_step did not run through {self.head!r}; name another head")
        labels = self.labels(batch)
        most = unrepeated(_loader(trainer, dataloader_idx), batch_idx, len(labels))
        features = averaged(self.seen[-1]) if self.average else self.seen[-1]
        self.metric.update(*samples(features, labels, most))
        self.seen.clear()

    def on_validation_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self._unhook()
        if trainer.sanity_checking:
            return
        found = {self.prefix + name: float(value) for name, value in self.metric.compute().items()}
        self.rows.append({"epoch": trainer.current_epoch} | found)
        module.log_dict(found, rank_zero_only=False, sync_dist=True)

    def on_exception(self, trainer: pl.Trainer, module: pl.LightningModule, exception: BaseException) -> None:
        self._unhook()

    def _unhook(self) -> None:
        if self.hook is not None:
            self.hook.remove()


def _loader(trainer: pl.Trainer, index: int) -> Any:
    loaders = trainer.val_dataloaders
    loaders = list(loaders.values()) if isinstance(loaders, Mapping) else loaders
    return loaders[index] if isinstance(loaders, list | tuple) else loaders
