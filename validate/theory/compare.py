"""What the unconstrained feature model, or one of its kin, predicts, beside what a network's last layer did."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import torch

import ufm
from ufm import Certificate, InputError, Point, Problem
from ufm.errors import Setting, given, require
from ufm.losses import CrossEntropy, Loss
from ufm.losses.own import completed, has_conjugate
from ufm.losses.tables import table
from ufm.models import FixedClassifier, Judgement, Model, Nonnegative
from ufm.results import Result, Shown, Table
from ufm.results.plain import OMITTED, READ, from_plain

from ..metrics.formulas import FORMULAS
from ..statistics.classes import resolve_labels
from ..statistics.inputs import measurable
from .implied import at_rest, by_scale
from .prediction import LOOSER, NOT_CERTIFIED, ROUNDING, measured, minimizer, without_rounding

FEATURES, CLASSIFIERS = ("free", "nonnegative"), ("free", "fixed")
Kin = Nonnegative | FixedClassifier

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
IMPLIED = {  # what agrees by construction, by what W is
    "free": ("norm_ratio",),  # where balance implied lambda_h
    "fixed": ("norm_w", "nc2"),  # is of W alone
}


class NotComparable(InputError):
    """There is nothing in theory to compare a last layer with; the message says why."""


@dataclass(frozen=True)
class Row(Result):
    """One quantity: its name, its meaning, and its value at the theory's minimiser and in the network.

    theory   0 where the minimiser's value is rounding; NaN where it is not defined there
    implied  whether the two agree by construction: lambda_h was chosen for it, or it is of what is given of W
    """

    name: str
    meaning: str
    theory: float
    network: float
    implied: bool = False

    @property
    def deviation(self) -> float | None:
        """network/theory - 1; None where theory has 0, and where the two agree by construction."""
        return None if self.implied or not self.theory else self.network / self.theory - 1


def _certificate(data: Any) -> Certificate | Judgement:
    kind = Judgement if "residual" in data else Certificate
    return from_plain(kind, data)


@dataclass(frozen=True)
class Beside(Shown, Result):
    """A network's last layer against the minimiser of a model of its own.

    model         the model of its class counts, d, loss and settings
    point         the network's point in it, labelled; not in plain data
    minimizer     the minimiser, collapsed; not in plain data
    method        "closed form", or "minimised, certified" / "minimised, not certified"
    rows          theory beside network; what agrees by construction comes last
    certificate   of the network's own point in that model: its duality gap bounds, with no theorem
                  about ETFs at all, how far it is above the best last layer
    """

    model: Problem | Model[Any] = field(metadata={READ: ufm.models.of_plain})
    point: Point = field(metadata=OMITTED)
    minimizer: Point = field(metadata=OMITTED)
    method: str
    rows: tuple[Row, ...]
    certificate: Certificate | Judgement = field(metadata={READ: _certificate})

    def as_table(self) -> Table:
        """A row a quantity; below, what the network's last layer is certified to be."""
        rows = [(row.meaning, row.theory, row.network, row.deviation) for row in self.rows]
        formulas = {row.meaning: FORMULAS[row.name] for row in self.rows if row.name in FORMULAS}
        own = self.certificate
        said = f"the network's last layer: {own.verdict}, f within {own.duality_gap:.3g} of the minimum, by duality"
        columns = ("quantity", "theory", "network", "network/theory - 1")
        return Table(f"theory ({self.method}) beside network", columns, rows, formulas=formulas, notes=[said])

    @property
    def settings(self) -> dict[str, Any]:
        """What defines the model, as plain data, but for a W that is given."""
        return {name: value for name, value in self.model.to_plain().items() if name != "W"}

    @property
    def certified(self) -> bool:
        """Whether the minimiser is known to be a global one, in closed form or by its certificate."""
        return self.method != NOT_CERTIFIED

    @property
    def fixed(self) -> bool:
        """Whether W is given: then nothing balances it against H, and what is of W alone agrees by construction."""
        return isinstance(self.model, FixedClassifier)


@dataclass(frozen=True)
class Comparison(Beside):
    """A network's last layer against the minimiser of its own unconstrained feature model, or of one of its kin.

    model         a `Problem`, or one of `ufm.models`, implied by the class counts, d, the loss, the weight decay, and
                  the feature decay lambda_h = lambda_w |W|^2/|H|^2 that balance (lW W^T W = lH H H^T, in trace)
                  implies; where W is given, the one at which the features' length is stationary
    point         shifted to the least penalty (see `compare`)
    implied       whether lambda_h is implied; else it was given
    balance_residual  |lW W^T W - lH H H^T|_F / |lW W^T W|_F: how far balance fails beyond its trace; NaN where W is
                      given
    """

    model: Problem | Kin = field(metadata={READ: ufm.models.of_plain})
    implied: bool
    balance_residual: float

    @property
    def problem(self) -> Problem:
        """The same with W and H free; lambda_h is the decay of both where W is given."""
        return self.model if isinstance(self.model, Problem) else self.model.free

    @property
    def lambda_h(self) -> float:
        return self.problem.lambda_h


def compare(
    point: Point,
    labels: torch.Tensor | None = None,
    *,
    lambda_w: float | None = None,
    lambda_b: float | None = None,
    lambda_h: float | None = None,
    bias: bool = True,
    loss: Loss | None = None,
    features: str = "free",
    classifier: str = "free",
) -> Comparison:
    """Put a trained network's Point beside the minimiser of the unconstrained feature model, or of one of its kin.

    lambda_w   the weight decay that W was trained with (penalty lambda_w/2 |W|^2 beside the mean loss:
               torch.optim.SGD's weight_decay is exactly this); not for a fixed classifier
    lambda_b   that of the bias; None means lambda_w (0 where W is fixed)        lambda_h  None means implied
    bias       whether the head has a bias
    loss       the loss of the training, one of `ufm.losses` or your own (`ufm.losses.own`), of which a sample's type is
               its class; None means cross-entropy
    features   "free", or "nonnegative": the model with H >= 0, which is that of features behind a ReLU
    classifier "free", or "fixed": W is as it is, as a frozen frame

    A shift h -> h + v, b -> b - W v keeps all logits. Features behind a ReLU are far from zero on average
    and those of the free model are not, so where there is a bias and both W and H are free the point is first shifted
    to the v of least lambda_h |H|^2 + lambda_b |b|^2, which is 0 at every critical point of the model. Where neither
    the loss nor a decay sees the mean of b, the minimiser is the one of the network's mean. Where minimisers differ by
    more than a rotation of feature space (mean squares with too small a d for all classes of equal n_k), the rows are
    those of one.

    Works for imbalanced classes; the minimiser is computed where no closed form is known. Raises NotComparable (an
    InputError) for a class without samples, a layer that implies no lambda_h, and a loss without a lower bound;
    InputError for negative features where they are to be nonnegative.

    >>> import torch, ufm, validate
    >>> problem = ufm.Problem.balanced(num_classes=3, per_class=2, dim=2, lambda_w=5e-3, lambda_h=5e-3)
    >>> point, labels = ufm.minimize(problem).point, torch.tensor([0, 0, 1, 1, 2, 2])
    >>> comparison = validate.compare(point, labels, lambda_w=5e-3, lambda_b=0)
    >>> print(comparison.method, "beside", comparison.certificate.verdict)
    closed form beside global minimizer
    >>> all(abs(row.deviation) < 1e-6 for row in comparison.rows if row.deviation is not None)
    True
    """
    for name, value, known in (("features", features, FEATURES), ("classifier", classifier, CLASSIFIERS)):
        require(value in known, f"unknown {name} {value!r}; choose one of: {', '.join(known)}")
    point = measurable(point)
    loss = of_classes(loss, point.num_classes)
    labels = resolve_labels(point, labels)
    if not bias and bool(point.b.any()):
        raise InputError("the point has a bias b that is not zero", ("leave ", Setting("bias", False), " out"))
    point, fixed = full(point.double(), labels), classifier == "fixed"
    decay = _decay_of_w(lambda_w, fixed)
    asked = _Asked(counts_of(point, labels), decay, lambda_h, (decay if lambda_b is None else lambda_b), bias, loss)
    # Decays that no model can have are refused; that of the features of a fixed W, by its own model.
    asked.problem(1, 1.0 if fixed or lambda_h is None else lambda_h, 1.0 if fixed else None)
    if lambda_h is None and not (point.W.any() and (point.H - point.H[0]).any()):
        raise NotComparable(
            "W is zero or all features are equal: they imply no feature decay", ("pass ", Setting("lambda_h"))
        )
    build = MODELS[classifier, features]
    model, point = build(asked, point)
    return _beside(model, point, labels, implied=lambda_h is None)


def _decay_of_w(lambda_w: float | None, fixed: bool) -> float:
    """lambda_w; 0 where W is fixed."""
    if fixed:
        require(lambda_w is None, ("a fixed classifier has no weight decay; leave ", Setting("lambda_w"), " out"))
        return 0.0
    return given(lambda_w, ("pass ", Setting("lambda_w"), ", the weight decay that W was trained with"))


def counts_of(point: Point, labels: torch.Tensor) -> tuple[int, ...]:
    """n_k of each class. Raises NotComparable for one without samples."""
    counts = torch.bincount(labels, minlength=point.num_classes)
    empty = (counts == 0).nonzero().flatten().tolist()
    if empty:
        raise NotComparable(
            f"no sample of class {empty[0]} ({len(empty)} of {len(counts)} classes are empty): the model's objective "
            "needs samples of every class that W has a row for"
        )
    return tuple(counts.tolist())


@dataclass(frozen=True)
class _Asked:
    """What a comparison is asked with: as for `compare`."""

    class_counts: tuple[int, ...]
    lambda_w: float
    lambda_h: float | None
    lambda_b: float
    bias: bool
    loss: Loss

    def problem(self, dim: int, lambda_h: float, lambda_w: float | None = None) -> Problem:
        lambda_w = self.lambda_w if lambda_w is None else lambda_w
        return Problem(self.class_counts, dim, lambda_w, lambda_h, self.lambda_b, self.bias, self.loss)


Built = tuple[Problem | Kin, Point]  # the model, and the network's point in it


def _free(asked: _Asked, point: Point) -> Built:
    point, lambda_h = at_rest(point, asked.lambda_w, asked.lambda_h, asked.lambda_b, asked.bias)
    return asked.problem(point.dim, lambda_h), point


def _nonnegative(asked: _Asked, point: Point) -> Built:
    balanced = asked.lambda_w * float(point.W.square().sum() / point.H.square().sum())
    p = asked.problem(point.dim, asked.lambda_h or balanced)
    return Nonnegative(p.class_counts, p.dim, p.lambda_w, p.lambda_h, p.lambda_b, p.bias, p.loss), point


def _fixed(asked: _Asked, point: Point, nonnegative: bool = False) -> Built:
    lambda_h = asked.lambda_h
    if lambda_h is None:
        lambda_h = by_scale(asked.problem(point.dim, 1.0, 1.0), point)
        if not lambda_h > 0:
            raise NotComparable(
                "longer features would raise the loss: they imply no decay", ("pass ", Setting("lambda_h"))
            )
    parts = asked.class_counts, lambda_h, asked.lambda_b, asked.bias, asked.loss
    return FixedClassifier(table("W", point.W, 2), *parts, nonnegative=nonnegative), point


MODELS: dict[tuple[str, str], Callable[[_Asked, Point], Built]] = {  # by what W and H may be
    ("free", "free"): _free,
    ("free", "nonnegative"): _nonnegative,
    ("fixed", "free"): _fixed,
    ("fixed", "nonnegative"): lambda asked, point: _fixed(asked, point, nonnegative=True),
}


def _beside(model: Problem | Kin, point: Point, labels: torch.Tensor, implied: bool) -> Comparison:
    """The comparison of a point with the minimiser of a model that it is a point of."""
    model.require_decidable()
    certificate = ufm.certify(model, point) if isinstance(model, Problem) else model.certify(point)
    problem = model if isinstance(model, Problem) else model.free
    best, method = minimizer(model)
    best = _of_the_networks_mean(problem, best, point)
    bound = ufm.lower_bound(model, best).value if isinstance(model, Problem) else model.lower_bound(best)
    theory = measured(problem, best, problem.labels, float(model.objective(best)), bound)
    theory = without_rounding(problem, theory, ROUNDING if model is problem else LOOSER)
    network = measured(problem, point, labels, certificate.value, certificate.lower_bound)
    given_W = isinstance(model, FixedClassifier)
    arranged = IMPLIED["fixed"] if given_W else IMPLIED["free"] if implied else ()
    rows = (
        Row(name, said, theory[name], network[name], name in arranged) for name, said in meanings(problem.loss).items()
    )
    return Comparison(
        model=model,
        implied=implied,
        point=point,
        minimizer=best,
        method=method,
        rows=tuple(sorted(rows, key=lambda row: row.implied)),
        certificate=certificate,
        balance_residual=_balance(model, point),
    )


def _balance(model: Problem | Kin, point: Point) -> float:
    if isinstance(model, FixedClassifier):
        return float("nan")
    problem = model if isinstance(model, Problem) else model.free
    of_W, of_H = problem.lambda_w * point.W.T @ point.W, problem.lambda_h * point.H.T @ point.H
    return float((of_W - of_H).norm() / of_W.norm())


def of_classes(loss: Loss | None, num_classes: int) -> Loss:
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


def meanings(loss: Loss) -> dict[str, str]:
    """The rows by name, in order, with what they mean under this loss."""
    left_out = "mean_loss" if isinstance(loss, CrossEntropy) else None
    return {name: meaning.format(loss=loss.name) for name, meaning in MEANINGS.items() if name != left_out}


def _of_the_networks_mean(problem: Problem, best: Point, point: Point) -> Point:
    """Of the minimisers that differ in the mean of b alone, if there are such, the one with the mean of b + W h_G."""
    if not (problem.bias and problem.lambda_b == 0 and problem.loss.shift_invariant):
        return best
    mean = (point.b + point.W @ point.H.mean(0)).mean().to(best.b)
    return replace(best, b=best.b - best.b.mean() + mean)


def full(point: Point, labels: torch.Tensor) -> Point:
    """The point with one row of H a sample, and its labels."""
    H = point.H if len(point.H) == len(labels) else point.H[labels]
    return Point(point.W, H, point.b, labels.to(H.device))
