"""Neural collapse in a training loop of plain PyTorch; `validate.CollapseCallback` is the one for Lightning."""

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from torch import nn

from ..metrics.neural_collapse import batch_neural_collapse
from ..models.collect import Features


class CollapseRecorder:
    """Call it whenever the collapse of a model is wanted, at the end of an epoch say; `rows` is the record.

    >>> record = validate.CollapseRecorder(model, loader)                       # doctest: +SKIP
    >>> for epoch in range(epochs):                                             # doctest: +SKIP
    ...     train(model)
    ...     print(record(epoch=epoch)["nc1"])
    >>> pandas.DataFrame(record.rows).plot("epoch", "nc1", logy=True)           # doctest: +SKIP

    Arguments as for `validate.collect`, the loader without random augmentation: it is passed over twice, and no
    features are kept. absent as for `validate.neural_collapse`. The model is left as it was.
    """

    def __init__(
        self, model: nn.Module, loader: Iterable[Any], head: str | nn.Linear | None = None, *, absent: str = "error"
    ):
        self.features, self.absent = Features(model, loader, head), absent
        self.rows: list[dict[str, float]] = []

    def __call__(self, **columns: float) -> dict[str, float]:
        """Measure now; the row of metrics, after the columns that are given, is appended to `rows` and returned."""
        batches = self.features
        found = batch_neural_collapse(batches, batches.W, batches.b, absent=self.absent)
        self.rows.append(columns | asdict(found))
        return self.rows[-1]
