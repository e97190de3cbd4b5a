"""Models beside the free one (`ufm.Problem`): what the features or the classifier may be is restricted.

model             what every model answers, and the records of the answers
fixed_classifier  W is given, H and b are free: convex
nonnegative       H >= 0, as behind a ReLU
ridgeless         the largest margin for given norms, where minimisers lead as decays vanish
max_margin        margins and their multipliers
orthant, within   the largest quadratic form over u >= 0; the Hessian within types
"""

from typing import Any

from ..errors import require
from ..problem import Problem
from .fixed_classifier import FixedClassifier
from .model import Judgement, Minimum, Model
from .nonnegative import Nonnegative
from .ridgeless import Ridgeless

MODELS = {model.name: model for model in (Nonnegative, FixedClassifier, Ridgeless)}

__all__ = ["MODELS", "Judgement", "Minimum", "Model", "of_plain", *(model.__name__ for model in MODELS.values())]


def of_plain(settings: dict[str, Any]) -> Any:
    """The model, or Problem, that its `to_plain` described. Raises InputError for settings that it cannot have."""
    name = settings.get("model")
    if name is None:
        return Problem.of_plain(settings)
    require(name in MODELS, f"unknown model {name!r}; choose one of: {', '.join(MODELS)}")
    return MODELS[str(name)].of_plain(settings)
