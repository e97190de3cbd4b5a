"""What is claimed of the unconstrained feature model, by whom, and whether it holds on a given problem.

registry             the claims and their checks, `THEOREMS`
atlas_theorems       those about all critical points at once; rigorous_theorems: those proved in ball arithmetic
evidence             what checks look at, made once
verification         the verdicts, `verify`
"""

from .atlas_theorems import ATLAS
from .evidence import Evidence
from .registry import THEOREMS, Finding, Hypothesis, Theorem, worst_of
from .rigorous_theorems import RIGOROUS
from .verification import Verdict, judge, verify

__all__ = [
    "ATLAS",
    "RIGOROUS",
    "THEOREMS",
    "Evidence",
    "Finding",
    "Hypothesis",
    "Theorem",
    "Verdict",
    "judge",
    "verify",
    "worst_of",
]
