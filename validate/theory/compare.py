"""What the unconstrained feature model predicts, beside what a network's last layer did."""

from dataclasses import dataclass, field, replace

import torch

import ufm
from ufm import InputError, Point, Problem
from ufm.errors import Setting, require
from ufm.losses import CrossEntropy, Loss
from ufm.losses.own import completed, has_conjugate
from ufm.results import Result
from ufm.results.plain import OMITTED

from ..statistics.classes import resolve_labels
from .prediction import NOT_CERTIFIED, measured, minimizer, without_rounding

MEANINGS = {  # those first whose agreement nothing arranges
    "mean_margin": "mean margin: own logit - mean of the others",
    "least_margin": "least margin: own logit - largest other",
    "norm_w": "|W|_F",
    "mean_loss": "mean loss: {loss}",
    "loss": "mean cross-entropy",
    "accuracy": "accuracy",
    "nc1": "NC1 within-class variability",
    "nc2": "NC2 classifier to simplex ETF",
    "nc3": "NC3 classifier to class means",
    "nc4": "NC4 bias |b + W h_G|",
    "objective": "objective f",
    "lower_bound": "lower bound D on f, by duality at the point",
    "gap": "duality gap f - D",
    "norm_h": "|H - h_G|_F / sqrt(N)",
    "norm_ratio": "ratio of the two norms, W : H",
}
IMPLIED = ("norm_ratio",)  # agree by construction where balance implied lambda_h


class NotComparable(InputError):
    """There is nothing in theory to compare a last layer with; the message says why."""


@dataclass(frozen=True)
class Row(Result):
    """One quantity: its name, its meaning, and its value at the theory's minimiser and in the network.

    theory   0 where the minimiser's value is rounding; NaN where it is not defined there
    implied  whether the two agree by construction: lambda_h was chosen for it
    """

    name: str
    meaning: str
    theory: float
    network: float
    implied: bool = False


@dataclass(frozen=True)
class Comparison(Result):
    """A network's last layer against the minimiser of its own unconstrained feature model.

    problem       the model implied by the class counts, d, the loss, the weight decay, and the feature decay
                  lambda_h = lambda_w |W|^2/|H|^2 that balance (lW W^T W = lH H H^T, in trace) implies
    implied       whether balance implied lambda_h; else it was given
    point         the network's point, shifted to the least penalty (see `compare`), labelled; not in plain data
    minimizer     the minimiser, collapsed; not in plain data
    method        "closed form", or "minimised, certified" / "minimised, not certified"
    rows          theory beside network; what agrees by construction comes last
    certificate   of the network's own point in that problem: its duality gap bounds, with no theorem
                  about ETFs at all, how far it is above the best last layer
    balance_residual  |lW W^T W - lH H H^T|_F / |lW W^T W|_F: how far balance fails beyond its trace
    """

    problem: Problem
    implied: bool
    point: Point = field(metadata=OMITTED)
    minimizer: Point = field(metadata=OMITTED)
    method: str
    rows: tuple[Row, ...]
    certificate: ufm.Certificate
    balance_residual: float

    @property
    def certified(self) -> bool:
        """Whether the minimiser is known to be a global one, in closed form or by its certificate."""
        return self.method != NOT_CERTIFIED


def compare(
    point: Point,
    labels: torch.Tensor | None = None,
    *,
    lambda_w: float,
    lambda_b: float | None = None,
    lambda_h: float | None = None,
    bias: bool = True,
    loss: Loss | None = None,
) -> Comparison:
    """Put a trained network's Point beside the unconstrained feature model's minimiser.

    lambda_w   the weight decay that W was trained with (penalty lambda_w/2 |W|^2 beside the mean loss:
               torch.optim.SGD's weight_decay is exactly this)
    lambda_b   that of the bias; None means lambda_w        lambda_h  None means implied by balance
    bias       whether the head has a bias
    loss       the loss of the training, one of `ufm.losses` or your own (`ufm.losses.own`), of which a sample's type is
               its class; None means cross-entropy

    A shift h -> h + v, b -> b - W v keeps all logits. Features behind a ReLU are far from zero on average
    and those of the model are not, so where there is a bias the point is first shifted to the v of least
    lambda_h |H|^2 + lambda_b |b|^2, which is 0 at every critical point of the model. Where neither the loss nor a decay
    sees the mean of b, the minimiser is the one of the network's mean. Where minimisers differ by more than a rotation
    of feature space (mean squares with too small a d for all classes of equal n_k), the rows are those of one of them.

    Works for imbalanced classes; the minimiser is computed where no closed form is known. Raises NotComparable (an
    InputError) for a class without samples, a layer that implies no lambda_h, and a loss without a lower bound.
    """
    loss = _of_classes(loss, point.num_classes)
    labels = resolve_labels(point, labels)
    counts = torch.bincount(labels, minlength=point.num_classes)
    empty = (counts == 0).nonzero().flatten().tolist()
    if empty:
        raise NotComparable(
            f"no sample of class {empty[0]} ({len(empty)} of {len(counts)} classes are empty): the model's objective "
            "needs samples of every class that W has a row for"
        )
    lambda_b = lambda_w if lambda_b is None else lambda_b
    Problem((1, 1), 1, lambda_w, 1.0 if lambda_h is None else lambda_h, lambda_b)  # refuses decays that none can have
    if not bias and bool(point.b.any()):
        raise InputError("the point has a bias b that is not zero", ("leave ", Setting("bias", False), " out"))
    point, implied = _full(point.double(), labels), lambda_h is None
    if implied and not (point.W.any() and (point.H - point.H[0]).any()):
        raise NotComparable(
            "W is zero or all features are equal: balance implies no feature decay", ("pass ", Setting("lambda_h"))
        )
    point, lambda_h = _at_rest(point, lambda_w, lambda_h, lambda_b, bias)
    problem = Problem(
        class_counts=tuple(counts.tolist()),
        dim=point.dim,
        lambda_w=lambda_w,
        lambda_h=lambda_h,
        lambda_b=lambda_b,
        bias=bias,
        loss=loss,
    )
    best, method = minimizer(problem)
    best = _of_the_networks_mean(problem, best, point)
    certificate = ufm.certify(problem, point)
    known = float(problem.objective(best)), ufm.lower_bound(problem, best).value
    theory = without_rounding(problem, measured(problem, best, problem.labels, *known))
    network = measured(problem, point, labels, certificate.value, certificate.lower_bound)
    residual = lambda_w * point.W.T @ point.W - lambda_h * point.H.T @ point.H
    return Comparison(
        problem=problem,
        implied=implied,
        point=point,
        minimizer=best,
        method=method,
        rows=tuple(
            Row(name, meaning, theory[name], network[name], implied and name in IMPLIED)
            for name, meaning in _meanings(loss).items()
        ),
        certificate=certificate,
        balance_residual=float(residual.norm() / (lambda_w * point.W.T @ point.W).norm()),
    )


def _of_classes(loss: Loss | None, num_classes: int) -> Loss:
    """The loss, if it has a lower bound and its types of sample are the classes; cross-entropy for None."""
    loss = CrossEntropy() if loss is None else completed(loss)
    if not has_conjugate(loss):
        raise NotComparable(f"no lower bound is known for the loss {loss.name!r}, which has no conjugate")
    T, K = loss.shape or (num_classes, num_classes)
    require(
        T == K == num_classes,
        f"the loss {loss.name!r} has {T} types of sample and {K} classes; a last layer of {num_classes} classes is "
        "compared under a loss whose types are these classes",
    )
    return loss


def _meanings(loss: Loss) -> dict[str, str]:
    """The rows by name, in order, with what they mean under this loss."""
    left_out = "mean_loss" if isinstance(loss, CrossEntropy) else None
    return {name: meaning.format(loss=loss.name) for name, meaning in MEANINGS.items() if name != left_out}


def _of_the_networks_mean(problem: Problem, best: Point, point: Point) -> Point:
    """Of the minimisers that differ in the mean of b alone, if there are such, the one with the mean of b + W h_G."""
    if not (problem.bias and problem.lambda_b == 0 and problem.loss.shift_invariant):
        return best
    mean = (point.b + point.W @ point.H.mean(0)).mean().to(best.b)
    return replace(best, b=best.b - best.b.mean() + mean)


def _full(point: Point, labels: torch.Tensor) -> Point:
    """The point with one row of H a sample, and its labels."""
    H = point.H if len(point.H) == len(labels) else point.H[labels]
    return Point(point.W, H, point.b, labels.to(H.device))


def _at_rest(point: Point, lambda_w: float, lambda_h: float | None, lambda_b: float, bias: bool) -> tuple[Point, float]:
    """(the point shifted to the least penalty, lambda_h: as given, or implied by balance after the shift).

    Balance is lW W^T W = lH H H^T, in trace. The features enter by their mean, which the shift moves, and their
    scatter about it, which stays.
    """
    N, mean, weight = len(point.H), point.H.mean(0), lambda_w * float(point.W.square().sum())
    scatter, v = float((point.H - mean).square().sum()), torch.zeros_like(mean)

    def implied() -> float:
        return lambda_h or weight / (scatter + N * float((mean + v).square().sum()))

    found = implied()
    for _ in range(200 if bias else 0):
        v = _least_penalty(point, N * mean, N, found, lambda_b)
        previous, found = found, implied()
        if abs(found - previous) <= 1e-14 * found:
            break
    return (_shifted(point, v) if bias else point), found


def shifted_to_least_penalty(
    point: Point, total: torch.Tensor, num_samples: int, lambda_h: float, lambda_b: float
) -> Point:
    """The point after the shift h -> h + v, b -> b - W v of least penalty, which keeps all logits.

    total (d,) is the sum of the features of all samples.
    """
    return _shifted(point, _least_penalty(point, total, num_samples, lambda_h, lambda_b))


def _least_penalty(
    point: Point, total: torch.Tensor, num_samples: int, lambda_h: float, lambda_b: float
) -> torch.Tensor:
    """v (d,) of that shift: (N lH I + lb W^T W) v = lb W^T b - lH total."""
    W = point.W
    matrix = num_samples * lambda_h * torch.eye(point.dim).to(W) + lambda_b * W.T @ W
    return torch.linalg.solve(matrix, lambda_b * W.T @ point.b - lambda_h * total)


def _shifted(point: Point, v: torch.Tensor) -> Point:
    return replace(point, H=point.H + v, b=point.b - point.W @ v)
