"""The unconstrained feature model: optimise it, certify it, and read its Hessian exactly."""

from typing import Any

from . import losses
from .certificates import Certificate, certify, lower_bound
from .closed_form import global_minimizer
from .errors import InputError, NoClosedForm
from .point import Point
from .problem import Problem
from .rigorous import Proof, prove
from .solver import Solution, minimize
from .spectra import Spectrum, spectrum
from .theorems import THEOREMS, Theorem
from .verification import Verdict, verify

__all__ = [
    "THEOREMS",
    "Certificate",
    "InputError",
    "NoClosedForm",
    "Point",
    "Problem",
    "Proof",
    "Solution",
    "Spectrum",
    "Theorem",
    "Verdict",
    "certify",
    "derive",
    "global_minimizer",
    "losses",
    "lower_bound",
    "minimize",
    "prove",
    "spectrum",
    "verify",
]


def __getattr__(name: str) -> Any:
    """`ufm.derive` imports sympy, so it waits until it is asked for."""
    if name == "derive":
        from .symbolic import derive

        return derive
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
