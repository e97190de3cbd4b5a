"""A network whose last layer has unit rows and features of one norm, beside the minimiser of the model on spheres."""

from dataclasses import dataclass, field, replace

import torch

import ufm
from ufm import InputError, Point
from ufm.errors import require
from ufm.losses import Loss
from ufm.models import Spheres
from ufm.results.plain import READ

from ..runs.run import Run
from ..statistics.classes import resolve_labels
from ..statistics.inputs import measurable
from .compare import Beside, Comparison, NotComparable, Row, counts_of, full, meanings, of_classes
from .compare_run import compare_run, not_covered, why_not
from .prediction import measured, minimizer, without_rounding

LENGTHS = 1e-2  # the most by which lengths of rows may differ, relative: those of a training in bfloat16 do by 4e-3
COSINE = "mean cosine of a feature with its class's row of W"
BIASED = (
    "the head has a bias, and points of the model on spheres have none: train the head without one (balanced classes "
    "under cross-entropy lose nothing by it if d >= K - 1)"
)


@dataclass(frozen=True)
class OnSpheres(Beside):
    """A network's last layer against the minimiser of its own model on spheres.

    model       `ufm.models.Spheres` of the class counts, d, the loss, and the product of the two lengths as its scale
    point       each row at length 1
    one_sign    whether no feature of the network has a negative entry: then it is behind a ReLU, and the model is not
    """

    model: Spheres = field(metadata={READ: ufm.models.of_plain})
    one_sign: bool


def compare_on_spheres(point: Point, labels: torch.Tensor | None = None, *, loss: Loss | None = None) -> OnSpheres:
    """Put a last layer whose rows of W have one length, and whose features have one, beside the model's minimiser.

    loss  of the training, as for `compare`. Norms and margins are those with features at the length of the scale.

    Raises InputError for a bias, and NotComparable (an InputError) for lengths that differ by more than 1% (features
    that are 0 have none), a class without samples and a loss without a lower bound.
    """
    point = measurable(point)
    loss = of_classes(loss, point.num_classes)
    labels = resolve_labels(point, labels)
    require(not bool(point.b.any()), "the model on spheres has no bias, and the point has one: train its head without")
    point = full(point.double(), labels)
    scale = _length("rows of W", point.W) * _length("features", point.H)
    model = Spheres(counts_of(point, labels), point.dim, scale, loss)
    model.require_decidable()
    here = model.normalised(point)
    certificate, (best, method) = model.certify(here), minimizer(model)
    theory = _numbers(model, best, model.free.labels, float(model.objective(best)), model.lower_bound(best))
    network = _numbers(model, here, labels, certificate.value, certificate.lower_bound)
    theory = without_rounding(model.free, theory)
    said = {"cosine": COSINE} | meanings(loss)
    rows = (Row(name, meaning, theory[name], network[name], name == "norm_w") for name, meaning in said.items())
    ordered = tuple(sorted(rows, key=lambda row: row.implied))
    return OnSpheres(model, here, best, method, ordered, certificate, one_sign=bool((here.H >= 0).all()))


def _length(what: str, rows: torch.Tensor) -> float:
    """The length that all rows have. Raises NotComparable where they differ."""
    lengths = rows.norm(dim=1)
    least, most = float(lengths.min()), float(lengths.max())
    if not (least > 0 and most <= least * (1 + LENGTHS)):
        raise NotComparable(f"the {what} are to have one length, and theirs are from {least:.4g} to {most:.4g}")
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


def why_not_on_spheres(run: Run) -> str | None:
    """Why nothing on spheres is beside such a run; None where there is."""
    facts = run.minimised
    if facts is None or not is_on_spheres(run):
        return "the run's rows of W and features are not of one length each"
    return next(why_not(facts), BIASED if facts.head.bias else None)


def compare_run_on_spheres(run: Run) -> OnSpheres:
    """The comparison of the last recorded point of such a run, with the loss that it was trained with.

    Raises InputError where the run has no point, and NotComparable (an InputError) where its training minimised
    something else, its head has a bias, or some features are 0 (a ReLU may leave none of their entries).
    """
    reason = why_not_on_spheres(run)
    if run.minimised is None or reason is not None:
        raise NotComparable(reason or "")
    if not run.last_point.is_file():
        raise InputError(f"the run {run.path} has recorded no point yet")
    return compare_on_spheres(Point.load(run.last_point), loss=run.minimised.loss.of_theory)


def beside_run(run: Run) -> Comparison | OnSpheres:
    """The comparison of a run's last point with the model of its own head: on spheres, or `compare_run`."""
    return compare_run_on_spheres(run) if is_on_spheres(run) else compare_run(run)


def nothing_beside(run: Run) -> str | None:
    """Why `beside_run` has no model of what the run minimised; None where it has one."""
    return why_not_on_spheres(run) if is_on_spheres(run) else not_covered(run)
