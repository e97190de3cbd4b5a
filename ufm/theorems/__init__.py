"""What is claimed of the unconstrained feature model and of its kin, by whom, and whether it holds on a given problem.

theorem, hypotheses  what a claim is, and when it is about a problem
claims               each under its check, a file a subject (`atlas`: of all points at once)
registry             every claim, in order
evidence, model_evidence   what checks look at, made once: of a problem, of another model
verification         the verdicts, `verify`
"""

from .evidence import Evidence, Undecided
from .model_evidence import ModelEvidence
from .registry import ATLAS, LINE, MODELS, OTHER_ATLAS, OTHER_LOSSES, RIGOROUS, THEOREMS
from .theorem import Finding, Hypothesis, Theorem, worst_of
from .verification import Verdict, judge, verify

__all__ = [
    "ATLAS",
    "LINE",
    "MODELS",
    "OTHER_ATLAS",
    "OTHER_LOSSES",
    "RIGOROUS",
    "THEOREMS",
    "Evidence",
    "Finding",
    "Hypothesis",
    "ModelEvidence",
    "Theorem",
    "Undecided",
    "Verdict",
    "judge",
    "verify",
    "worst_of",
]
