"""The global minimiser in closed form, by the class of the loss."""

from collections.abc import Callable
from typing import Any

from ..errors import NoClosedForm
from ..losses import BinaryCrossEntropy, CrossEntropy, LabelSmoothing, MeanSquare
from ..point import Point
from ..problem import Problem
from . import binary_cross_entropy, cross_entropy, label_smoothing, mean_square

FORMS: dict[type[Any], Callable[[Problem], Point]] = {
    CrossEntropy: cross_entropy.global_minimizer,
    LabelSmoothing: label_smoothing.global_minimizer,
    BinaryCrossEntropy: binary_cross_entropy.global_minimizer,
    MeanSquare: mean_square.global_minimizer,
}


def global_minimizer(problem: Problem) -> Point:
    """The global minimiser in closed form: a collapsed float64 Point on the CPU, W (K, d), H (T, d), b (K,).

    One representative of its O(d) orbit. For cross-entropy it is the simplex ETF when K sqrt(n lW lH) < 1, else the
    origin; the modules of FORMS state the others. Raises NoClosedForm (an InputError) where none is known, naming why:
    imbalanced classes, a narrow d, or another loss.

    >>> import ufm
    >>> problem = ufm.Problem.balanced(num_classes=3, per_class=2, dim=2, lambda_w=5e-3, lambda_h=5e-3)
    >>> frame = ufm.global_minimizer(problem).W  # rows of one length, at 120 degrees
    >>> [round(float(product), 4) for product in (frame @ frame.T)[0] / frame[0].square().sum()]
    [1.0, -0.5, -0.5]
    """
    form = FORMS.get(type(problem.loss))
    if form is None:
        raise NoClosedForm(f"no closed form for the loss {problem.loss.name!r}; use ufm.minimize")
    return form(problem)
