"""What every model answers, and the records of the answers."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, Generic, Protocol, TypeVar

import torch

from .. import losses
from ..errors import Setting, require
from ..losses.loss import Loss
from ..losses.tables import Table
from ..results import PointVerdict, Result, Shown
from ..results.plain import plain
from ..spectra import Spectrum

GAP = 1e-8  # a duality gap below this fraction of f certifies a global minimiser
RESIDUAL = 1e-7  # above this a point is not critical

P = TypeVar("P")  # what a point of the model is: a `ufm.Point`, but for models with more factors


@dataclass(frozen=True, eq=False)
class Minimum(Result, Generic[P]):
    """Where a minimisation of a model ended.

    point      collapsed: one row of H a type        value      f there
    residual   of the conditions of first order, relative: what `tol` is compared with
    iterations of the solver                         converged  whether residual <= tol
    """

    point: P
    value: float
    residual: float
    iterations: int
    converged: bool


@dataclass(frozen=True, eq=False)
class Judgement(Shown, Result):
    """What a point of a model is, certified in floating point.

    verdict      a `PointVerdict`
    value        f                          lower_bound  a number below f at every point of the model
    duality_gap  value - lower_bound        residual     of the conditions of first order, relative
    note         how it is known, or what is not covered
    """

    verdict: PointVerdict
    value: float
    lower_bound: float
    duality_gap: float
    residual: float
    note: str = ""


class Model(Protocol[P]):
    """A model beside `ufm.Problem`. Its points are `ufm.Point`s (H (N, d), or collapsed (T, d)), or records of its own.

    What a model cannot do raises InputError, naming it.
    """

    @property
    def name(self) -> str:
        """What records and the command call it."""

    @property
    def class_counts(self) -> tuple[int, ...]:
        """How many samples of each type there are."""

    @property
    def loss(self) -> Loss:
        """The loss of the logits."""

    @property
    def num_variables(self) -> int:
        """How many numbers are free, with all features."""

    def require_decidable(self) -> None:
        """Raise InputError where the settings are too small for verdicts in float64."""

    def random_point(self, seed: int = 0, scale: float = 1.0) -> P:
        """A collapsed point of the model drawn at random, of about that size."""

    def objective(self, point: P) -> torch.Tensor:
        """0-d f at a point, which has to be one of the model."""

    def minimize(self, seed: int = 0, tol: float = 1e-10) -> Minimum[P]:
        """Descend from a random start."""

    def residual(self, point: P) -> float:
        """How far the conditions of first order are from holding, relative to the decays' share of f."""

    def lower_bound(self, point: P) -> float:
        """A number below f everywhere, from any point of the model, by duality."""

    def certify(self, point: P) -> Judgement:
        """What a point is."""

    def spectrum(self, point: P) -> Spectrum:
        """The spectrum of the Hessian at a critical point, over all variables that are free there."""

    def closed_form(self) -> P:
        """The global minimiser, collapsed; NoClosedForm where none is known."""

    def to_plain(self) -> dict[str, Any]:
        """What defines the model, as plain data for JSON: `ufm.models.of_plain` reads it."""


class Recorded:
    """A dataclass of settings that goes to plain data and back; `name` is its class's."""

    name: str

    def to_plain(self) -> dict[str, Any]:
        """The settings as plain data for JSON, under the model's name."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]
        return {"model": self.name} | {name: _plain(value) for name, value in values.items()}

    @classmethod
    def of_plain(cls, settings: dict[str, Any]) -> Any:
        """The model that `to_plain` described. Raises InputError for settings that it cannot have."""
        given = {name: value for name, value in settings.items() if name != "model"}
        return cls(**given | ({"loss": losses.of_plain(given["loss"])} if "loss" in given else {}))


def _plain(value: Any) -> Any:
    if isinstance(value, Table):
        return value.tolist()
    return value.to_plain() if hasattr(value, "to_plain") else plain(value)


NOTES = {
    PointVerdict.STRICT_SADDLE: "f falls at second order",
    PointVerdict.LOCAL_MINIMIZER: "f is least nearby; the duality gap does not close",
    PointVerdict.DEGENERATE: "the duality gap does not close, and second order decides nothing",
}


def judge(model: Model[P], point: P, second_order: Callable[[P], PointVerdict], least: float = 0.0) -> Judgement:
    """The judgement of a point: global by its gap, else critical or not, and then what second order says.

    second_order  gives one of `NOTES` for a critical point
    least         a gap below it is rounding, however small f is
    """
    value, residual = float(model.objective(point)), model.residual(point)
    bound = model.lower_bound(point)
    gap = value - bound
    if residual > RESIDUAL:
        verdict, note = PointVerdict.NOT_CRITICAL, "the conditions of first order do not hold"
    elif abs(gap) <= max(GAP * abs(value), least):
        verdict, note = PointVerdict.GLOBAL_MINIMIZER, "by its duality gap"
    else:
        verdict = second_order(point)
        note = NOTES[verdict]
    return Judgement(verdict, value, bound, gap, residual, note)


def by_spectrum(levels: Spectrum, explained: int) -> PointVerdict:
    """What the Hessian's signs say, where symmetries explain so many zeros."""
    if levels.index:
        return PointVerdict.STRICT_SADDLE
    return PointVerdict.LOCAL_MINIMIZER if levels.nullity == explained else PointVerdict.DEGENERATE


def require_tol(tol: float) -> None:
    require(0 < tol < 1, (Setting("tol"), f" must lie in (0, 1), got {tol}"))
