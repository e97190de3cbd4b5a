"""validate.layers: the collapse of every layer of a torch classifier, all of them together."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields
from typing import Any

from torch import nn

from ufm.errors import require

from ..metrics.cka import cka
from ..metrics.neural_collapse import ROWS, collapse
from ..metrics.principal_angles import principal_angles
from ..metrics.ranks import numerical_rank, stable_rank
from ..metrics.separation import separation_fuzziness, separation_law
from ..models.heads import Head
from ..models.tracing import device_of, torch_module
from ..statistics.moments import Moments
from .deviations import Deviation, Pair, second_pass, unseen
from .layer import Layer, Layers
from .means import class_moments
from .pooling import POOLINGS, Pool
from .stream import Stream

KEEP = 2**29  # bytes
WIDE = 2048  # dimensions
NAMES = {field.name for field in fields(Layer)}


def layers(
    model: nn.Module,
    loader: Iterable[Any],
    names: Iterable[str] | None = None,
    *,
    pool: Pool | None = None,
    head: str | Head | None = None,
    num_classes: int | None = None,
    absent: str = "error",
    rows: int = ROWS,
    wide: int = WIDE,
    keep: int = KEEP,
) -> Layers:
    """The collapse of every layer, in the order in which they run, and the law of data separation over them.

    loader       as for `validate.collect`, without random augmentation
    names        of modules, whose outputs are measured, with patterns: "layer*", "blocks.*.mlp", "**.relu" ("*" stays
                 within a part of a name, "**" does not). "NAME:input" is what a module sees. None: the blocks of the
                 model, each with the activations and pooling that follow it, and last what the head sees, the features
                 of `validate.collect`
    pool         how maps and sequences become features: "mean" over positions, "flatten", "first" or "last" position,
                 "token" (every position is a sample), or a function of what the module says that gives (m, d). None:
                 "token" where labels have shape (samples, positions), else "mean". On which side of a shape the
                 features are is told as `validate.layerwise.layout` says
    head         the head, where names is None and `validate.collect` would have to be told
    num_classes  K; None: one more than the largest label
    absent, rows as for `validate.neural_collapse`
    wide         features of more dimensions are not multiplied with each other, which would take d x d: their alignment
                 is estimated from sketches, with its error, and their own ranks (not their means') are NaN
    keep         bytes of pooled features that are kept for the second pass

    Two passes: class means, then deviations from them. While the pooled features of all layers take no more than `keep`
    bytes, they are kept and the model runs once over the loader; beyond, it runs twice, and the loader has to give the
    same samples again. Beside them memory is O(K d + min(K, d)^2 + min(d, wide)^2) a layer, whatever N is; no d x d is
    formed of wide features, no map is kept. All sums are float64. Of a module that runs several times, the last counts.

    Where torch.distributed is initialised, each process passes its share of the data, at least a batch, and all return
    the numbers of the whole. Raises InputError for names that match nothing, shapes that give no features, labels that
    do not fit, a class without samples (see absent), and a loader that cannot be passed over twice where it has to be.

    >>> import torch, validate
    >>> model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 3))
    >>> loader = [(torch.randn(30, 8), torch.arange(30) % 3)]
    >>> found = validate.layers(model, loader, names=["0", "1"])
    >>> [(layer.name, layer.dim) for layer in found]
    [('0', 16), ('1', 16)]
    >>> found["1"].nc1 > 0
    True
    """
    require(absent in ("error", "drop"), f'absent must be "error" or "drop", got {absent!r}')
    known = callable(pool) or pool is None or pool in POOLINGS
    require(known, f"pool must be one of {', '.join(POOLINGS)}, or a function; got {pool!r}")
    require(num_classes is None or num_classes >= 2, f"num_classes must be >= 2, got {num_classes}")
    require(rows >= 2, f"rows must be >= 2 classes, got {rows}")
    require(wide >= 64, f"wide must be >= 64 dimensions, got {wide}")
    model = torch_module(model)
    if isinstance(model, nn.DataParallel | nn.parallel.DistributedDataParallel):
        model = model.module
    names = names if names is None or isinstance(names, str) else list(names)
    require(names is None or len(names) > 0, "names lists no module; leave it out, or name one")
    stream = Stream(model, loader, names, head=head, pool=pool, keep=keep)
    place = device_of(model)
    moments = class_moments(stream, num_classes, place)
    for one in moments:
        _require_classes(one, absent)
    found, pairs = second_pass(stream, moments, rows, wide, place)
    before: Sequence[Pair | None] = (None, *pairs)
    made = [
        _row(name, pooling, layer, found[i - 1], before[i], rows)
        for i, (name, pooling, layer) in enumerate(zip(stream.names, stream.poolings, found, strict=True))
    ]
    return Layers(tuple(made), separation_law([row.separation_fuzziness for row in made]))


def _require_classes(moments: Moments, absent: str) -> None:
    statistics = unseen(moments, moments.spreads)
    if absent == "error":
        statistics.require_present()
    K = len(statistics.present()[1])
    require(K >= 2, f"collapse is of at least 2 classes, got {K}")


def _row(name: str, pooling: str, layer: Deviation, before: Deviation, pair: Pair | None, rows: int) -> Layer:
    statistics, squares = layer.statistics, layer.squares
    shared = {key: value for key, value in asdict(collapse(statistics, rows=rows)).items() if key in NAMES}
    own = {
        "name": name,
        "pooling": pooling,
        "dim": statistics.means.shape[1],
        "samples": statistics.num_samples,
        "separation_fuzziness": separation_fuzziness(statistics, layer.within, layer.coordinates),
        "nearest_center_accuracy": layer.nearest.accuracy if statistics.sees_within else math.nan,
        "stable_rank": stable_rank(statistics.between.sizes),
        "rank_features": math.nan if squares is None else numerical_rank(squares),
        "stable_rank_features": math.nan if squares is None else stable_rank(squares),
    }
    return Layer(**shared | own | _beside(before, layer, pair))


def _beside(before: Deviation, layer: Deviation, pair: Pair | None) -> dict[str, Any]:
    """What relates a layer to the one before."""
    if pair is None or not pair.alike:
        return {"cka": math.nan, "principal_angles": ()}
    return {
        "cka": cka(pair.products.square().sum((1, 2)), before.energy, layer.energy),
        "principal_angles": principal_angles(before.total, layer.total, pair.angles),
    }
