"""The unconstrained feature model: optimise it, certify it, read its Hessian exactly, list its critical points."""

from typing import Any

from . import losses
from .atlas import Atlas, CriticalPoint, critical_points, explore, partition_points
from .certificates.certificate import Certificate, certify, lower_bound
from .closed_forms.cross_entropy import global_minimizer
from .errors import InputError, NoClosedForm
from .point import Point
from .problem import Problem
from .proofs import Proof, prove
from .solvers.minimize import Solution, minimize
from .spectra.spectrum import Spectrum, spectrum
from .theorems import THEOREMS, Theorem, Verdict, verify
from .version import __version__

__all__ = [
    "THEOREMS",
    "Atlas",
    "Certificate",
    "CriticalPoint",
    "InputError",
    "NoClosedForm",
    "Point",
    "Problem",
    "Proof",
    "Solution",
    "Spectrum",
    "Theorem",
    "Verdict",
    "__version__",
    "certify",
    "critical_points",
    "derive",
    "explore",
    "global_minimizer",
    "losses",
    "lower_bound",
    "minimize",
    "partition_points",
    "prove",
    "spectrum",
    "verify",
]


def __getattr__(name: str) -> Any:
    """`ufm.derive` imports sympy, so it waits until it is asked for."""
    if name == "derive":
        from .derivations import derive

        return derive
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
