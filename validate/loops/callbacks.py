"""Neural collapse in a training loop of plain PyTorch; `validate.CollapseCallback` is the one for Lightning."""

from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from torch import nn

from ..metrics.definitions import Definitions, Options
from ..metrics.neural_collapse import batch_neural_collapse
from ..models.collect import Features

if TYPE_CHECKING:
    from typing_extensions import Unpack


class CollapseRecorder:
    """Call it whenever the collapse of a model is wanted, at the end of an epoch say; `rows` is the record.

    >>> record = validate.CollapseRecorder(model, loader)                       # doctest: +SKIP
    >>> for epoch in range(epochs):                                             # doctest: +SKIP
    ...     train(model)
    ...     print(record(epoch=epoch)["nc1"])
    >>> pandas.DataFrame(record.rows).plot("epoch", "nc1", logy=True)           # doctest: +SKIP

    Arguments as for `validate.collect`, the loader without random augmentation: it is passed over twice, and no
    features are kept. absent and definitions (centre="classes", ...) as for `validate.neural_collapse`. reference is
    the loader of the training set, where the loader's samples are held out: each call takes its centres anew, in one
    pass. The model is left as it was.
    """

    def __init__(
        self,
        model: nn.Module,
        loader: Iterable[Any],
        head: str | nn.Linear | None = None,
        *,
        reference: Iterable[Any] | None = None,
        absent: str = "error",
        **definitions: "Unpack[Options]",
    ):
        self.features, self.absent, self.definitions = Features(model, loader, head), absent, definitions
        Definitions.named(definitions)  # refuses now what it would refuse later
        self.reference = None if reference is None else Features(model, reference, head)
        self.rows: list[dict[str, float]] = []

    def __call__(self, **columns: float) -> dict[str, float]:
        """Measure now; the row of metrics, after the columns that are given, is appended to `rows` and returned."""
        batches = self.features
        found = batch_neural_collapse(
            *(batches, batches.W, batches.b), reference=self.reference, absent=self.absent, **self.definitions
        )
        self.rows.append(columns | asdict(found))
        return self.rows[-1]
