"""What every model answers, and the records of the answers."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch

from ..errors import Setting, require
from ..losses.loss import Loss
from ..point import Point
from ..results import PointVerdict, Result
from ..spectra import Spectrum

GAP = 1e-8  # a duality gap below this fraction of f certifies a global minimiser
RESIDUAL = 1e-7  # above this a point is not critical


@dataclass(frozen=True, eq=False)
class Minimum(Result):
    """Where a minimisation of a model ended.

    point      collapsed: one row of H a type        value      f there
    residual   of the conditions of first order, relative: what `tol` is compared with
    iterations of the solver                         converged  whether residual <= tol
    """

    point: Point
    value: float
    residual: float
    iterations: int
    converged: bool


@dataclass(frozen=True, eq=False)
class Judgement(Result):
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


class Model(Protocol):
    """A restricted model: W (K, d), H (N, d) or collapsed (T, d), b (K,) as in a `ufm.Point`.

    What a model cannot do raises InputError, naming it.
    """

    @property
    def name(self) -> str:
        """What records call it."""

    @property
    def loss(self) -> Loss:
        """The loss of the logits."""

    def objective(self, point: Point) -> torch.Tensor:
        """0-d f at a point, which has to be one of the model."""

    def minimize(self, seed: int = 0, tol: float = 1e-10) -> Minimum:
        """Descend from a random start."""

    def residual(self, point: Point) -> float:
        """How far the conditions of first order are from holding, relative to the decays' share of f."""

    def lower_bound(self, point: Point) -> float:
        """A number below f everywhere, from any point of the model, by duality."""

    def spectrum(self, point: Point) -> Spectrum:
        """The spectrum of the Hessian at a critical point, over all variables that are free there."""

    def closed_form(self) -> Point:
        """The global minimiser, collapsed; NoClosedForm where none is known."""


def judge(model: Model, point: Point, minimal: Callable[[Point], bool]) -> Judgement:
    """The judgement of a point: global by its gap, else critical or not; minimal says whether f is least nearby."""
    value, residual = float(model.objective(point)), model.residual(point)
    bound = model.lower_bound(point)
    gap = value - bound
    if residual > RESIDUAL:
        verdict, note = PointVerdict.NOT_CRITICAL, "the conditions of first order do not hold"
    elif abs(gap) <= GAP * abs(value):
        verdict, note = PointVerdict.GLOBAL_MINIMIZER, "by its duality gap"
    elif minimal(point):
        verdict, note = PointVerdict.LOCAL_MINIMIZER, "by the Hessian; the duality gap does not close"
    else:
        verdict, note = PointVerdict.DEGENERATE, "the duality gap does not close, and second order decides nothing"
    return Judgement(verdict, value, bound, gap, residual, note)


def require_tol(tol: float) -> None:
    require(0 < tol < 1, (Setting("tol"), f" must lie in (0, 1), got {tol}"))
