"""A network whose last layer has unit rows and features of one norm, beside the minimiser of the model on spheres."""

from dataclasses import dataclass, field, replace

import torch

from ufm import InputError, Point
from ufm.errors import require
from ufm.losses import Loss
from ufm.models import Judgement, Spheres
from ufm.results import Result
from ufm.results.plain import OMITTED

from ..runs.run import Run
from ..statistics.classes import resolve_labels
from .compare import MEANINGS, NotComparable, Row, counts_of, full, of_classes
from .compare_run import why_not
from .prediction import NOT_CERTIFIED, measured, minimizer, without_rounding

LENGTHS = 1e-2  # the most by which lengths of rows may differ, relative: those of a training in bfloat16 do by 4e-3
COSINE = "mean cosine of a feature with its class's row of W"
LEFT_OUT = ("norm_w", "norm_ratio")  # are given, not found


@dataclass(frozen=True)
class OnSpheres(Result):
    """A network's last layer against the minimiser of its own model on spheres.

    model       `ufm.models.Spheres` of the class counts, d, the loss, and the product of the two lengths as its scale
    point       the network's, each row at length 1, labelled; not in plain data
    minimizer   collapsed; not in plain data
    method      "closed form", or "minimised, certified" / "minimised, not certified"
    rows        theory beside network
    certificate of the network's own point: its duality gap bounds how far it is above the best last layer
    one_sign    whether no feature of the network has a negative entry: then it is behind a ReLU, and the model is not
    """

    model: Spheres
    point: Point = field(metadata=OMITTED)
    minimizer: Point = field(metadata=OMITTED)
    method: str
    rows: tuple[Row, ...]
    certificate: Judgement
    one_sign: bool

    @property
    def certified(self) -> bool:
        """Whether the minimiser is known to be a global one, in closed form or by its certificate."""
        return self.method != NOT_CERTIFIED


def compare_on_spheres(point: Point, labels: torch.Tensor | None = None, *, loss: Loss | None = None) -> OnSpheres:
    """Put a last layer whose rows of W have one length, and whose features have one, beside the model's minimiser.

    loss  of the training, as for `compare`. Norms and margins are those with features at the length of the scale.

    Raises InputError for a bias and for lengths that differ by more than 1%, and NotComparable (an InputError) for a
    class without samples and a loss without a lower bound.
    """
    loss = of_classes(loss, point.num_classes)
    labels = resolve_labels(point, labels)
    require(not bool(point.b.any()), "the model on spheres has no bias, and the point has one")
    point = full(point.double(), labels)
    scale = _length("rows of W", point.W) * _length("features", point.H)
    model = Spheres(counts_of(point, labels), point.dim, scale, loss)
    model.require_decidable()
    here = model.normalised(point)
    certificate, (best, method) = model.certify(here), minimizer(model)
    theory = _numbers(model, best, model.free.labels, float(model.objective(best)), model.lower_bound(best))
    network = _numbers(model, here, labels, certificate.value, certificate.lower_bound)
    theory = without_rounding(model.free, theory)
    meanings = {name: meaning.format(loss=loss.name) for name, meaning in MEANINGS.items() if name not in LEFT_OUT}
    if loss.name == "cross-entropy":
        meanings.pop("mean_loss")
    rows = tuple(Row(name, said, theory[name], network[name]) for name, said in ({"cosine": COSINE} | meanings).items())
    return OnSpheres(model, here, best, method, rows, certificate, bool((here.H >= 0).all()))


def _length(what: str, rows: torch.Tensor) -> float:
    """The length that all rows have. Raises InputError where they differ."""
    lengths = rows.norm(dim=1)
    least, most = float(lengths.min()), float(lengths.max())
    require(
        least > 0 and most <= least * (1 + LENGTHS),
        f"the {what} are to have one length, and theirs are from {least:.4g} to {most:.4g}",
    )
    return float(lengths.mean())


def _numbers(model: Spheres, point: Point, labels: torch.Tensor, value: float, bound: float) -> dict[str, float]:
    """What is measured of a point with unit rows, the scale with its features."""
    types = labels if len(point.H) == len(labels) else torch.arange(len(point.H))
    cosines = (point.H * point.W[types.to(point.W.device)]).sum(1)
    weights = torch.bincount(labels).to(cosines) if len(point.H) != len(labels) else torch.ones_like(cosines)
    longer = replace(point, H=model.scale * point.H)
    return measured(model.free, longer, labels, value, bound) | {"cosine": float(weights @ cosines / weights.sum())}


def is_on_spheres(run: Run) -> bool:
    """Whether a run's rows of W have length 1 and its features one norm."""
    facts = run.minimised
    return facts is not None and facts.head.W == "of unit rows" and facts.head.feature_norm is not None


def compare_run_on_spheres(run: Run) -> OnSpheres:
    """The comparison of the last recorded point of such a run, with the loss that it was trained with.

    Raises InputError where the run has no point, and NotComparable (an InputError) where its training minimised
    something else, or its head has a bias.
    """
    facts = run.minimised
    if facts is None or not is_on_spheres(run):
        raise NotComparable("the run's rows of W and features are not of one length each")
    reason = next(why_not(facts), None)
    if reason is None and facts.head.bias:
        reason = "the head has a bias, and the model on spheres has none; train without it"
    if reason is not None:
        raise NotComparable(reason)
    if not run.last_point.is_file():
        raise InputError(f"the run {run.path} has recorded no point yet")
    return compare_on_spheres(Point.load(run.last_point), loss=facts.loss.of_theory)
