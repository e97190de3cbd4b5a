"""The unconstrained feature model: optimise it, certify it, and read its Hessian exactly."""

from . import losses
from .certificates import Certificate, certify, lower_bound
from .closed_form import global_minimizer
from .errors import InputError, NoClosedForm
from .point import Point
from .problem import Problem
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
    "Solution",
    "Spectrum",
    "Theorem",
    "Verdict",
    "certify",
    "global_minimizer",
    "losses",
    "lower_bound",
    "minimize",
    "spectrum",
    "verify",
]
