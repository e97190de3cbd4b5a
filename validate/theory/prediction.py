"""What theory predicts of a last layer: the minimiser of its model, and the minimiser's numbers without rounding."""

import math
from dataclasses import asdict, replace
from typing import Any

import torch

import ufm
from ufm import Certificate, NoClosedForm, Point, PointVerdict, Problem
from ufm.models import Judgement, Model
from ufm.problem import LEAST

from ..metrics.last_layer import last_layer
from ..metrics.neural_collapse import neural_collapse

NOT_CERTIFIED = "minimised, not certified"
# Of a quantity's unit: a minimiser's value below it is 0. Descents leave up to 1e-10 of a unit where the value is 0,
# and one sample more in one of ten classes of 6,000 moves it by 1e-5.
ROUNDING = 1e-9
LOOSER = 1e-7  # where only H and b descend: their smallest curvature is lambda_h


def minimizer(model: Problem | Model[Any]) -> tuple[Point, str]:
    """(the minimiser, collapsed; how it is known).

    How: "closed form", "minimised, certified" (global by its duality gap) or NOT_CERTIFIED: the end of one
    descent. Where W is rounding, W = H = 0.
    """
    try:
        return _closed_form(model), "closed form"
    except NoClosedForm:
        point, judged = _descended(model) if isinstance(model, Problem) else _best(model)
    return point, "minimised, certified" if judged.verdict == PointVerdict.GLOBAL_MINIMIZER else NOT_CERTIFIED


def _closed_form(model: Problem | Model[Any]) -> Point:
    return ufm.global_minimizer(model) if isinstance(model, Problem) else model.closed_form()


def _best(model: Model[Any]) -> tuple[Point, Judgement]:
    point = model.minimize().point
    return point, model.certify(point)


def _descended(problem: Problem) -> tuple[Point, Certificate]:
    point = problem.class_means(ufm.minimize(problem).point)
    if float(point.W.norm()) <= ROUNDING * _units(problem)["norm_w"]:
        point = replace(point, W=torch.zeros_like(point.W), H=torch.zeros_like(point.H))
    return point, ufm.certify(problem, point)


def measured(problem: Problem, point: Point, labels: torch.Tensor, value: float, bound: float) -> dict[str, float]:
    """The numbers of a point: metrics, norms and their ratio, f = value, the bound under it, and the gap.

    labels (N,), also of a collapsed point. `mean_loss` is the problem's own; `loss` is the metric, mean cross-entropy.
    """
    f, x = problem.landscape_at(point)
    mean = f.counts @ f.loss.values(f.logits(x), f.labels) / f.num_samples
    found = asdict(last_layer(point, labels)) | asdict(neural_collapse(point, labels))
    ratio = found["norm_w"] / found["norm_h"] if found["norm_h"] else math.nan
    bounded = {"objective": value, "lower_bound": bound, "gap": value - bound}
    return found | bounded | {"norm_ratio": ratio, "mean_loss": float(mean)}


def without_rounding(problem: Problem, found: dict[str, float], rounding: float = ROUNDING) -> dict[str, float]:
    """What was `measured` at a minimiser, with an exact 0 where it is rounding, that part of its unit."""
    units = _units(problem) | {"gap": found["objective"]}
    least = (
        {}
        if getattr(problem.loss, "exact_slopes", False)
        else dict.fromkeys(("mean_loss", "objective", "gap"), LEAST * problem.drop)
    )
    return {
        name: 0.0 if abs(v) <= max(rounding * units.get(name, 0.0), least.get(name, 0.0)) else v
        for name, v in found.items()
    }


def _units(problem: Problem) -> dict[str, float]:
    """The natural sizes of the quantities that can be 0: logits count in ones (nats), NC1 to NC3 have no unit.

    A minimiser has f <= f(0), so |W|^2 <= 2 drop/lW and |H|^2 <= 2 drop/lH, drop = f(0) less the loss's infimum.
    """
    room, N = 2 * problem.drop, problem.num_samples
    norms = {"norm_w": math.sqrt(room / problem.lambda_w), "norm_h": math.sqrt(room / (problem.lambda_h * N))}
    return dict.fromkeys(("mean_margin", "least_margin", "nc1", "nc2", "nc3", "nc4"), 1.0) | norms
