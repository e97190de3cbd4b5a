"""From what a module says of a batch to features: a row a sample, or a row a position."""

from collections.abc import Callable
from typing import NamedTuple

import torch

from ufm.errors import require

from ..models.collect import IGNORED

Pool = str | Callable[[torch.Tensor], torch.Tensor]

POOLINGS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {  # of (m, positions, d)
    "mean": lambda X: X.mean(1, dtype=torch.float64) if X.shape[1] > 1 else X[:, 0],
    "flatten": lambda X: X.flatten(1),
    "first": lambda X: X[:, 0],
    "last": lambda X: X[:, -1],
    "token": lambda X: X.flatten(0, 1),
}
OWN = "own"  # the name of a function of the caller's


class Samples(NamedTuple):
    """features (m, d) of any floating dtype, labels (m,), and how they were pooled ("" where nothing was)."""

    features: torch.Tensor
    labels: torch.Tensor
    pooling: str


def pooled(said: torch.Tensor, labels: torch.Tensor, last: bool, pool: Pool | None) -> Samples:
    """The samples of what a module says of a batch, a copy, without the positions or samples of label -100.

    said     (m, d), (m, *positions, d) or (m, d, *positions)
    labels   (m,), or (m, *positions) where each position has its own
    last     whether the features are last: `layout.features_last`
    pool     a name of POOLINGS, or a function of what the module says that gives (m, d); None: "token" where each
             position has a label, else "mean"
    """
    require(said.ndim > 1, f"shape {tuple(said.shape)} has no features")
    if callable(pool):
        features, name = pool(said), OWN
    else:
        X = _positions(said, last)
        name = pool or ("token" if labels.ndim > 1 else "mean")
        features = POOLINGS[name](X)
        if name == "token" and labels.ndim == 1 and len(X) == len(labels):
            labels = labels.repeat_interleave(X.shape[1])
        name = name if X.shape[1] > 1 else ""
    labels = labels.flatten().to(features.device)
    require(
        features.ndim == 2 and len(features) == len(labels),
        f"shape {tuple(said.shape)} gives features of shape {tuple(features.shape)}{f' by {name!r}' * bool(name)}, and "
        f"there are {len(labels)} labels; pool= takes {', '.join(map(repr, POOLINGS))} or a function that gives (m, d)",
    )
    kept = labels != IGNORED
    everyone = bool(kept.all())
    return Samples(features.clone() if everyone else features[kept], labels if everyone else labels[kept], name)


def _positions(said: torch.Tensor, last: bool) -> torch.Tensor:
    """(m, positions, d) of what a module says; (m, 1, d) of (m, d)."""
    if said.ndim == 2:
        return said[:, None]
    return said.flatten(1, -2) if last else said.flatten(2).movedim(1, -1)
