"""Checks that the claims of several models share."""

import math
from typing import Any

import torch

from ....errors import NoClosedForm
from ....losses.own import has_conjugate
from ....models import FixedClassifier, Model, Nonnegative
from ....results import PointVerdict
from ....spectra import Spectrum
from ...model_evidence import ModelEvidence
from ...theorem import EXACT, Finding, Hypothesis, worst_of


def _has_form(model: Model[Any]) -> bool:
    try:
        model.closed_form()
    except NoClosedForm:
        return False
    return True


CLOSED_FORM = Hypothesis("a minimiser in closed form", _has_form)
CONVEX = Hypothesis("a convex loss", lambda m: m.loss.convex)
CONJUGATE = Hypothesis("a loss whose conjugate is known", lambda m: has_conjugate(m.loss))
DENSE = 1000  # the most variables for which the dense Hessian is formed by autograd
SMALL = Hypothesis(f"at most {DENSE:,} variables (dense Hessian)", lambda m: m.num_variables <= DENSE)


def weak_duality(model: Model[Any], evidence: ModelEvidence) -> Finding:
    """The bound that any point gives is below f everywhere, so below the best f known."""
    points = [*evidence.random_points, *(end.point for end in evidence.ends)]
    finite = [bound for bound in map(model.lower_bound, points) if math.isfinite(bound)]
    level = evidence.level
    note = f"{len(finite)} points; largest bound / least f - 1, gap of the ends {_gap(evidence):.1e}"
    return Finding(worst_of((bound - level) / abs(level) for bound in finite), 1e-12, note)


def _gap(evidence: ModelEvidence) -> float:
    """The least gap of the ends over f."""
    return min(judged.duality_gap / abs(judged.value) for judged in evidence.judged)


def closed_form(model: Model[Any], evidence: ModelEvidence) -> Finding:
    """The closed form is critical and certified global, its f is that of the best ends, and no descent is below it."""
    form = evidence.closed_form
    judged = model.certify(form)
    below = [(judged.value - end.value) / abs(judged.value) for end in evidence.ends]
    missed = 0.0 if judged.verdict == PointVerdict.GLOBAL_MINIMIZER else math.inf
    same = [abs(float(model.objective(point)) / judged.value - 1) for point in evidence.minimizers]
    deviations = [judged.residual, missed, *below, *same]
    return Finding(worst_of(deviations), EXACT, f"{evidence.looked_at}; f* = {judged.value:.10g}, {judged.note}")


def exact_spectrum(model: Nonnegative | FixedClassifier, evidence: ModelEvidence) -> Finding:
    """The blocks' eigenvalues are those of the dense Hessian by autograd, over what is free and at no bound."""
    moves, nonnegative = isinstance(model, Nonnegative), getattr(model, "nonnegative", True)
    deviations = []
    for end in evidence.ends:
        point = model.free.expand(end.point)
        f, x = model.free.landscape_at(point)
        dense = torch.autograd.functional.hessian(f.value, x, vectorize=True)
        inside = (point.H > 0) if nonnegative else torch.ones_like(point.H)
        free = f.pack(torch.full_like(point.W, moves), inside.to(x), torch.ones_like(point.b)) > 0
        deviations.append(spectrum_deviation(model.spectrum(end.point), torch.linalg.eigvalsh(dense[free][:, free])))
    return Finding(worst_of(deviations), 1e-11, f"{model.num_variables} variables at {len(evidence.ends)} ends")


def spectrum_deviation(levels: Spectrum, dense: torch.Tensor) -> float:
    """The largest deviation from dense eigenvalues, over the largest of them; infinite if there are more or fewer."""
    same = levels.size == len(dense)
    return float((levels.expanded() - dense).abs().max() / dense.abs().max()) if same else math.inf
