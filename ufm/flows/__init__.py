"""The dynamics that theory knows, each integrated beside its closed form or its limit.

approach       minimisers of cross-entropy as the decays vanish (no flow in time, but in lambda)
without_decay  gradient flow of cross-entropy with no decay, which turns to the largest margin
central_path   squared error whose classifier is always optimal: the renormalised flow of the features
"""

from .approach import Approach, approach, extrapolated, rate
from .central_path import Station, central_path, random_features, singular_value
from .without_decay import Moment, without_decay

__all__ = [
    "Approach",
    "Moment",
    "Station",
    "approach",
    "central_path",
    "extrapolated",
    "random_features",
    "rate",
    "singular_value",
    "without_decay",
]
