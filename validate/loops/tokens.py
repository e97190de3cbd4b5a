"""What a pass over a language model's tokens leaves, its collapse over the tokens that are frequent, and its file."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from ufm.errors import require
from ufm.results import Shown
from ufm.storage.files import read_tensors, write_tensors

from ..metrics.neural_collapse import ROWS, NeuralCollapse, collapse
from ..statistics.classes import Batches, ClassStatistics
from ..statistics.moments import Moments
from ..statistics.within import Deviations, Scatter

MOMENTS = ("counts", "means", "spreads", "scatter", "exponent")
FACTS = ("tied", "least_count", "batches", "model", "data")


@dataclass(frozen=True, eq=False)
class Tokens(Shown):
    """What `validate.collect_tokens` leaves of a language model: K is the size of its vocabulary.

    moments  counts (K,) int64, class means (K, d), spreads (K,) and within-class scatter (d, d), float64
    W, b     (K, d), (K,) copies of the output layer's, zeros for a missing bias
    tied     whether W is also the embedding of the tokens that come in
    least_count   tokens that came less often were left out of the moments; 1 where none was
    batches  how many batches were collected
    model, data   SHA-256 of the model's parameters ("" where they were collected in memory alone) and of the batches
    """

    moments: Moments
    W: torch.Tensor
    b: torch.Tensor
    tied: bool
    least_count: int = 1
    batches: int = 0
    model: str = ""
    data: str = ""

    @property
    def counts(self) -> torch.Tensor:
        """(K,) int64: how often each token came next."""
        return self.moments.counts

    def classes(self, least_count: int = 1) -> torch.Tensor:
        """(K',) int64, ascending: the tokens that came next at least so often, and once."""
        return self._common(least_count).nonzero().flatten()

    def statistics(self, least_count: int = 1, batches: Batches | None = None) -> ClassStatistics:
        """The class statistics (K classes) where those with fewer tokens have none; arguments as for neural_collapse.

        Raises InputError where no class has so many.
        """
        common = self._common(least_count)
        most = int(self.counts.max())
        require(bool(common.any()), f"no token came next {least_count} times; the most frequent one came {most} times")
        counts = torch.where(common, self.counts, 0)
        scatter, whole = self.moments.scatter, ClassStatistics.of_moments(self.moments)
        if batches is not None:
            again = Deviations(_Common(batches, common), whole.means, exponent=whole.exponent)
            return replace(whole, counts=counts, within=again)
        if scatter is None or bool((counts == self.counts).all()):
            return whole
        return replace(whole, counts=counts, within=Scatter(torch.full_like(scatter, torch.nan)))

    def neural_collapse(
        self, least_count: int = 1, batches: Batches | None = None, *, rows: int = ROWS
    ) -> NeuralCollapse:
        """The metrics of `validate.neural_collapse` over the classes with at least so many tokens, and one.

        batches  the same features once more, `validate.TokenFeatures(model, loader)`, for what one pass does not see:
                 the nearest-centre disagreement, which is else NaN, and nc1 where least_count leaves out classes that
                 were collected (the one scatter of all of them cannot be divided; else it is NaN)
        rows     as for `validate.neural_collapse`

        Where there are more than `rows` classes, what is of pairs of classes is an `Estimate`; no K x K is formed.
        """
        return collapse(self.statistics(least_count, batches), self.W, self.b, rows=rows, absent="drop")

    def save(self, path: Path | str) -> None:
        """Write all of it as safetensors: about 8 K d bytes, and W."""
        tensors = {name: getattr(self.moments, name) for name in MOMENTS} | {"W": self.W, "b": self.b}
        write_tensors(path, tensors, {name: str(getattr(self, name)) for name in FACTS})

    @staticmethod
    def load(path: Path | str) -> "Tokens":
        """Read what `save` wrote, onto the CPU; InputError where it is something else."""
        tensors, facts = read_tensors(path)
        missing = {*MOMENTS, "W", "b"} - tensors.keys() | {*FACTS} - facts.keys()
        require(not missing, f"{path} is no record of tokens: it lacks {', '.join(sorted(missing))}")
        moments = Moments(*(tensors[name] for name in MOMENTS))
        whole = int(facts["least_count"]), int(facts["batches"])
        return Tokens(
            moments, tensors["W"], tensors["b"], facts["tied"] == "True", *whole, facts["model"], facts["data"]
        )

    def _common(self, least_count: int) -> torch.Tensor:
        return self.counts >= max(1, least_count)


class _Common:
    """Batches without the samples of classes that are not `common` (K,) bool, each time they are iterated over."""

    def __init__(self, batches: Batches, common: torch.Tensor):
        self.batches, self.common = batches, common

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        return (kept(*batch, self.common, self.common.device) for batch in self.batches)


def kept(
    features: torch.Tensor, labels: torch.Tensor, common: torch.Tensor | None, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """A batch on a device, the samples of common classes alone; None: all of them."""
    features, labels = features.to(device), labels.to(device)
    if common is None:
        return features, labels
    kept = common[labels]
    return features[kept], labels[kept]
