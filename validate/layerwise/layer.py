"""What `validate.layers` finds: a row a layer, and the law of data separation over them."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import overload

from ufm import InputError
from ufm.errors import require
from ufm.results import Result, Shown, Table
from ufm.results.table import cell
from ufm.storage.files import read_json, write_json

from ..metrics.formulas import OF_LAYERS
from ..metrics.separation import SeparationLaw

FIRST = ("name", "dim", "nc1", "separation_fuzziness", "cdnv", "rank", "stable_rank", "cka", "largest_angle")


@dataclass(frozen=True)
class Layer(Shown, Result):
    """The features of one layer, and how they relate to those of the layer before.

    name      of the module, with ":input" where its input was measured
    pooling   how positions became features; "" where there were none
    dim, samples   d and N of the features (N, d)

    Fields that `NeuralCollapse` has mean the same here, of the layer's features; none needs a classifier.

    nearest_center_accuracy  fraction of samples nearest to the mean of their own class; NaN where all means are equal,
         and where no class has two samples
    separation_fuzziness     D = tr(SS_w SS_b^+), SS_b weighted by the class counts
    stable_rank              |Hbar|_F^2/|Hbar|_2^2 of the centred class means, whose numerical rank is `rank`
    stable_rank_features, rank_features   of the features less their mean: |X|_F^2/|X|_2^2, and the number of
         eigenvalues of their covariance above 1e-3 of the largest; NaN where d > wide
    cka                      linear centred kernel alignment with the layer before; an `Estimate` where d > wide in one
         of the two
    principal_angles         radians, ascending, between this layer's and the one before: of the spans, in the space R^N
         of functions on the samples, of the features projected on their class means

    The first layer's cka is NaN and its principal_angles are (); so are those of two layers that do not have the same
    samples, as where one has a sample a position and the other has not. Formulas and sources: the files of
    `validate/metrics` that have these names.
    """

    formulas = OF_LAYERS

    name: str
    pooling: str
    dim: int
    samples: int
    nc1: float
    nc1_quotient: float
    nc1_worst_class: float
    cdnv: float
    separation_fuzziness: float
    nearest_center_accuracy: float
    nc2_means: float
    equinorm_means: float
    equiangularity_means: float
    simplex_angles_means: float
    coherence_means: float
    rank: int
    condition: float
    effective_rank: float
    stable_rank: float
    rank_features: float
    stable_rank_features: float
    cka: float
    principal_angles: tuple[float, ...]

    @property
    def largest_angle(self) -> float:
        """The largest of the principal angles, radians; NaN where there are none."""
        return max(self.principal_angles, default=math.nan)


@dataclass(frozen=True)
class Layers(Shown, Result):
    """The layers in the order in which they run: a sequence, by number or by name, and the law fitted over all.

    >>> layers[-1].nc1, layers["layer3"].cdnv, layers.law.rate                  # doctest: +SKIP
    >>> layers.to_pandas().plot(y="nc1", logy=True)                             # doctest: +SKIP
    """

    formulas = OF_LAYERS

    rows: tuple[Layer, ...]
    law: SeparationLaw

    def as_table(self) -> Table:
        """A row a layer, what fits a screen first; below, the law."""
        columns = (*FIRST, *(one.name for one in fields(Layer) if one.name not in (*FIRST, "principal_angles")))
        rows = [[getattr(row, column) for column in columns] for row in self]
        law = self.law
        r = f"correlation {cell(law.correlation)}"
        fit = f"a layer multiplies D by {law.rate:.6g} ({r}, {law.layers} layers)"
        return Table(f"{len(self)} layers", columns, rows, self.formulas, notes=[fit] if law.layers > 1 else [])

    def __iter__(self) -> Iterator[Layer]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, which: int | str) -> Layer: ...

    @overload
    def __getitem__(self, which: slice) -> tuple[Layer, ...]: ...

    def __getitem__(self, which: int | str | slice) -> Layer | tuple[Layer, ...]:
        """The layer of that number or name, or those of a slice. Raises InputError for a name that none has."""
        if not isinstance(which, str):
            return self.rows[which]
        found = [row for row in self.rows if row.name == which]
        require(bool(found), f"no layer named {which!r}; there are {', '.join(row.name for row in self.rows)}")
        return found[0]


@dataclass(frozen=True)
class AtEpoch(Result):
    """The layers of a run's network after an epoch."""

    epoch: int
    layers: Layers


@dataclass(frozen=True)
class LayersOfRun(Result):
    """The layers of a run's network after some epochs, ascending, on its training set.

    names, pool, most   what was asked: names and pooling as for `validate.layers` (no names: the blocks), and at how
                        many epochs at most
    """

    epochs: tuple[AtEpoch, ...]
    names: tuple[str, ...]
    pool: str | None
    most: int

    def save(self, path: Path) -> None:
        """Write it as JSON."""
        write_json(path, self.plain())

    @classmethod
    def load(cls, path: Path) -> "LayersOfRun":
        """What `save` wrote. Raises InputError where the file is something else."""
        try:
            return cls.from_plain(read_json(path))
        except InputError as error:
            raise InputError(f"{path}: {error}") from error
