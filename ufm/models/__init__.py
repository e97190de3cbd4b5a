"""Models beside the free one (`ufm.Problem`): what the features or the classifier may be is restricted.

model             what every model answers, and the records of the answers
fixed_classifier  W is given, H and b are free: convex
nonnegative       H >= 0, as behind a ReLU
deep_linear       L factors in place of two, the features among them; a point is a record of `factors`
chain, deep_spectrum, deep_starts   f of the factors to second order; the exact Hessian; where descents start
schatten, codes   the least decay of L factors and what it bounds; simplices and groups of them
spheres           rows of W and features of unit length
ridgeless         the largest margin for given norms, where minimisers lead as decays vanish
max_margin        margins and their multipliers
orthant, within   the largest quadratic form over u >= 0; the Hessian within types
unit_rows, multipliers  f on a product of spheres, Riemannian; a number below it
"""

from typing import Any

from ..errors import require
from ..problem import Problem
from .deep_linear import DeepLinear
from .factors import Factors
from .fixed_classifier import FixedClassifier
from .model import Judgement, Minimum, Model
from .nonnegative import Nonnegative
from .ridgeless import Ridgeless
from .spheres import Spheres

MODELS = {model.name: model for model in (Nonnegative, FixedClassifier, Spheres, DeepLinear, Ridgeless)}

__all__ = [
    "MODELS",
    "Factors",
    "Judgement",
    "Minimum",
    "Model",
    "of_plain",
    *(model.__name__ for model in MODELS.values()),
]


def of_plain(settings: dict[str, Any]) -> Any:
    """The model, or Problem, that its `to_plain` described. Raises InputError for settings that it cannot have."""
    name = settings.get("model")
    if name is None:
        return Problem.of_plain(settings)
    require(name in MODELS, f"unknown model {name!r}; choose one of: {', '.join(MODELS)}")
    return MODELS[str(name)].of_plain(settings)
