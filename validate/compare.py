"""What the unconstrained feature model predicts, beside what a network's last layer did."""

import math
from dataclasses import dataclass

import torch

import ufm
from ufm import InputError, NoClosedForm, Point, Problem

from .metrics import class_statistics, resolve_labels


@dataclass(frozen=True)
class Row:
    """One quantity: the theory's value (None where it has none) and the network's."""

    quantity: str
    theory: float | None
    network: float


@dataclass(frozen=True)
class Comparison:
    """A network's last layer against the global minimiser of its own unconstrained feature model.

    problem       the model implied by the class counts, d, the weight decay, and the feature decay
                  lambda_h = lambda_w |W|^2/|H|^2 that balance (lW W^T W = lH H H^T, in trace) implies
    minimizer     "closed form", or "minimised, certified" / "minimised, not certified"
    rows          theory beside network
    certificate   of the network's own point in that problem: its duality gap bounds, with no theorem
                  about ETFs at all, how far it is above the best last layer
    balance_residual  |lW W^T W - lH H H^T|_F / |lW W^T W|_F: how far balance holds beyond its trace
    """

    problem: Problem
    minimizer: str
    rows: tuple[Row, ...]
    certificate: ufm.Certificate
    balance_residual: float


def compare(
    point: Point,
    labels: torch.Tensor | None = None,
    *,
    lambda_w: float,
    lambda_b: float | None = None,
    lambda_h: float | None = None,
    bias: bool = True,
) -> Comparison:
    """Put a trained network's Point beside the unconstrained feature model's minimiser.

    lambda_w   the weight decay that W was trained with (penalty lambda_w/2 |W|^2 beside the mean loss:
               torch.optim.SGD's weight_decay is exactly this)
    lambda_b   that of the bias; None means lambda_w        lambda_h  None means implied by balance
    bias       whether the head has a bias

    Features are centred first, H - h_G, and W h_G moves into the bias: the logits are the same, and the
    model's own minimisers are centred. Works for imbalanced classes (the minimiser is then computed).
    """
    labels = resolve_labels(point, labels)
    centred = _centred(point.double(), labels)
    squares = float(centred.W.square().sum()), float(centred.H.square().sum())
    if lambda_h is None:
        if min(squares) == 0:
            raise InputError("W or the centred features are all zero: balance implies no feature decay; pass lambda_h")
        lambda_h = lambda_w * squares[0] / squares[1]
    problem = Problem(
        class_counts=tuple(torch.bincount(labels, minlength=point.num_classes).tolist()),
        dim=point.dim,
        lambda_w=lambda_w,
        lambda_h=lambda_h,
        lambda_b=lambda_w if lambda_b is None else lambda_b,
        bias=bias,
    )
    best, origin = _minimizer(problem)
    theory, network = _measure(problem, best), _measure(problem, centred)
    residual = lambda_w * centred.W.T @ centred.W - lambda_h * centred.H.T @ centred.H
    return Comparison(
        problem=problem,
        minimizer=origin,
        rows=tuple(Row(name, theory[name], network[name]) for name in network),
        certificate=ufm.certify(problem, centred),
        balance_residual=float(residual.norm() / (lambda_w * centred.W.T @ centred.W).norm()),
    )


def _centred(point: Point, labels: torch.Tensor) -> Point:
    mean = class_statistics(point, labels).global_mean
    return Point(point.W, point.H - mean, point.b + point.W @ mean, labels)


def _minimizer(problem: Problem) -> tuple[Point, str]:
    try:
        return ufm.global_minimizer(problem), "closed form"
    except NoClosedForm:
        point = ufm.minimize(problem).point
    certified = ufm.certify(problem, point).verdict == "global minimizer"
    return point, "minimised, certified" if certified else "minimised, not certified"


def _measure(problem: Problem, point: Point) -> dict[str, float]:
    """The quantities compared, by name."""
    point = problem.expand(point)
    labels = problem.labels if point.labels is None else point.labels
    logits = point.logits
    own = logits.gather(1, labels[:, None]).squeeze(1)
    others = logits.scatter(1, labels[:, None], -torch.inf)
    mean_other = (logits.sum(1) - own) / (problem.num_classes - 1)
    loss = float(problem.loss.values(logits, labels).mean())
    bound, _ = ufm.lower_bound(problem, point)
    value = float(problem.objective(point))
    return {
        "mean margin (own logit - mean of others)": float((own - mean_other).mean()),
        "least margin (own logit - largest other)": float((own - others.amax(1)).min()),
        "|W|_F": float(point.W.norm()),
        "|H|_F / sqrt(N)": float(point.H.norm()) / math.sqrt(problem.num_samples),
        "|b|": float(point.b.norm()),
        "mean loss": loss,
        "objective f": value,
        "lower bound D on f": bound,
        "duality gap f - D": value - bound,
    }
