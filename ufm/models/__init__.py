"""Models beside the free one (`ufm.Problem`): what the features or the classifier may be is restricted.

model             what every model answers, and the records of the answers
fixed_classifier  W is given, H and b are free: convex
nonnegative       H >= 0, as behind a ReLU
deep_linear       L factors in place of two, the features among them; a point is a record of `factors`
"""

from .deep_linear import DeepLinear
from .factors import Factors
from .fixed_classifier import FixedClassifier
from .model import Judgement, Minimum, Model
from .nonnegative import Nonnegative

__all__ = ["DeepLinear", "Factors", "FixedClassifier", "Judgement", "Minimum", "Model", "Nonnegative"]
