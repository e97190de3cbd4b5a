"""validate.NeuralCollapseMetric: neural collapse in one pass over batches, on any device, over any number of ranks."""

from collections.abc import Callable
from typing import Any

import torch
from torchmetrics import Metric
from torchmetrics.utilities.distributed import gather_all_tensors

from ufm.errors import require

from ..metrics.definitions import Definitions
from ..metrics.neural_collapse import ROWS, NeuralCollapse, collapse
from ..models.heads import Head, can_be_head, classifier
from ..statistics.classes import ClassStatistics
from ..statistics.moments import Moments, check
from ..statistics.reference import Centres, Reference

STATES = ("counts", "means", "spreads", "scatter", "exponent")


class NeuralCollapseMetric(Metric):
    """The metrics of `validate.neural_collapse` as a torchmetrics.Metric: `update`, `compute`, `reset`.

    num_classes  K        dim  d; None: that of the first features, of any rank
    head         the layer (Linear, or a convolution of kernel 1) whose weight and bias are read when the metric is
                 computed (and must be those that made the decisions then); None leaves the metrics of a classifier NaN
    reference    as for `neural_collapse`, of a training set: another metric's `statistics()`, say
    rows, absent, and the fields of `Definitions` (centre="classes", ...) as for `neural_collapse`; further arguments
    are torchmetrics'

    One pass, memory O(K d + d^2) in float64 whatever N is: counts, class means, spreads and the within-class scatter,
    merged about their centres (`validate.statistics.moments`), so that neither the order, nor the batches, nor the
    split over ranks matters but for rounding. What needs single samples once the means are known, the nearest-centre
    decisions, is NaN: `batch_neural_collapse` has it, in two passes and without the d x d. So is nc1 where least_count
    or most_count leave classes out that spread, for one scatter is kept of all classes.

    >>> import torch, validate
    >>> metric = validate.NeuralCollapseMetric(num_classes=2)
    >>> metric.update(torch.tensor([[1.0, 0.1], [1.0, -0.1], [-1.0, 0.0]]), torch.tensor([0, 0, 1]))
    >>> round(float(metric.compute()["nc1_quotient"]), 6)
    0.006
    """

    is_differentiable = False
    higher_is_better = False
    full_state_update = True
    counts: torch.Tensor
    means: torch.Tensor
    spreads: torch.Tensor
    scatter: torch.Tensor
    exponent: torch.Tensor

    def __init__(
        self,
        num_classes: int,
        dim: int | None = None,
        head: Head | None = None,
        *,
        reference: Reference | None = None,
        rows: int = ROWS,
        absent: str = "error",
        **kwargs: Any,
    ):
        self.definitions = Definitions.among(kwargs)
        super().__init__(**kwargs)
        require(num_classes >= 2, f"num_classes must be >= 2, got {num_classes}")
        require(absent in ("error", "drop"), f'absent must be "error" or "drop", got {absent!r}')
        if head is not None:
            require(can_be_head(head), f"head must be a Linear layer or a convolution of kernel 1, got {head}")
            W, _ = classifier(head)
            require(len(W) == num_classes, f"the head has {len(W)} outputs for {num_classes} classes")
            dim = W.shape[1] if dim is None else dim
        self.num_classes, self.rows, self.absent, self._head = num_classes, rows, absent, _Shared(head)
        self.reference = None if reference is None else Centres.of(reference, num_classes)
        zero = Moments.zero(num_classes, dim or 0)
        for name in STATES:
            self.add_state(name, getattr(zero, name), dist_reduce_fx=None)

    def update(self, features: torch.Tensor, labels: torch.Tensor) -> None:
        """Add features (..., d) with labels (...) in 0 .. K-1, of any floating dtype, from any device."""
        features, labels = features.detach().to(self.means.device), labels.to(self.means.device)
        require(labels.shape == features.shape[:-1], _shapes(features, labels))
        self._settle(features.shape[-1])
        features, labels = features.flatten(0, -2), labels.flatten()
        if self.definitions.classes is not None:
            check(features, labels, self.means)
            measured = torch.isin(labels, self.definitions.numbers(labels.device))
            features, labels = features[measured], labels[measured]
        Moments(*self._states()).update(features, labels)

    def compute(self) -> dict[str, torch.Tensor]:
        """The fields of `NeuralCollapse` by name, as 0-d float64 tensors."""
        numbers = vars(self.neural_collapse())
        return {name: torch.tensor(float(value), dtype=torch.float64) for name, value in numbers.items()}

    def neural_collapse(self) -> NeuralCollapse:
        """The metrics as `validate.neural_collapse` gives them, of the samples that this rank has seen."""
        head = self._head.layer
        W, b = (None, None) if head is None else classifier(head)
        return collapse(
            *(self.statistics(), W, b),
            rows=self.rows,
            absent=self.absent,
            reference=self.reference,
            definitions=self.definitions,
        )

    def statistics(self) -> ClassStatistics:
        """The class statistics so far; of all ranks while the metric is synchronised."""
        states = self._states()
        if self.means.ndim == 2:
            return ClassStatistics.of_moments(Moments(*states))
        ranks = [Moments(*(part.clone() for part in rank)) for rank in zip(*states, strict=True)]
        for other in ranks[1:]:
            ranks[0].merge(other)
        return ClassStatistics.of_moments(ranks[0])

    def sync(self, dist_sync_fn: Callable | None = None, *args: Any, **kwargs: Any) -> None:
        """torchmetrics' gathering of the states, where a rank without samples need not know d."""
        super().sync(_gathering(dist_sync_fn or gather_all_tensors), *args, **kwargs)

    def merge_state(self, incoming_state: dict[str, Any] | Metric) -> None:
        """Add what another metric of the same K and d has seen."""
        other: dict[str, Any] = incoming_state.metric_state if isinstance(incoming_state, Metric) else incoming_state
        self._settle(other["means"].shape[-1])
        Moments(*self._states()).merge(Moments(*(other[name].to(self.means.device) for name in STATES)))
        self._update_count += 1
        self._computed = None  # torchmetrics' cache of the last compute

    def _settle(self, dim: int) -> None:
        """Make room for features of `dim` dimensions, if there is none for any yet."""
        if not self.means.shape[1]:
            self.means = Moments.zero(self.num_classes, dim, scatter=False, device=self.means.device).means
            self.scatter = self.means.new_zeros(dim, dim)

    def _states(self) -> list[torch.Tensor]:
        return [getattr(self, name) for name in STATES]


class _Shared:
    """A layer that belongs to a model: clones of the metric read the same one, and its state_dict has none of it."""

    def __init__(self, layer: Head | None):
        self.layer = layer

    def __deepcopy__(self, memo: dict) -> "_Shared":
        return self


def _gathering(gather: Callable) -> Callable:
    """`gather` with the empty tensors of its list as zeros of the others' shape: torchmetrics stacks them."""

    def gather_alike(state: torch.Tensor, group: Any = None) -> list[torch.Tensor]:
        ranks = gather(state, group=group)
        full = next((part for part in ranks if part.numel()), ranks[0])
        return [part if part.numel() else torch.zeros_like(full) for part in ranks]

    return gather_alike


def _shapes(features: torch.Tensor, labels: torch.Tensor) -> str:
    return f"features {tuple(features.shape)} need labels {tuple(features.shape[:-1])}; got {tuple(labels.shape)}"
