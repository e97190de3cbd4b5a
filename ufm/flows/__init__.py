"""The dynamics that theory knows, each integrated beside its closed form or its limit.

seli     minimisers of cross-entropy as the decays vanish (no flow in time, but in lambda)
margin   gradient flow of cross-entropy with no decay, which turns to the largest margin
central  squared error whose classifier is always optimal: the renormalised flow of the features
"""

from .central import Station, central_path, random_features, singular_value
from .margin import Moment, without_decay
from .seli import Approach, approach, extrapolated, rate

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
