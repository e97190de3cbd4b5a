"""The unconstrained feature model: optimise it, certify it, read its Hessian exactly, list its critical points."""

from typing import Any

from . import losses, models
from .analysis import spectrum
from .atlas import Atlas, CriticalPoint, critical_points, explore, partition_points
from .certificates import Certificate, LowerBound, certify, lower_bound
from .closed_forms.minimizer import global_minimizer
from .completeness import Completeness, prove_complete
from .errors import InputError, NoClosedForm
from .losses.check import check_loss
from .point import Point
from .problem import Problem
from .proofs import Proof, prove
from .results import PointVerdict, Status
from .solvers.minimize import Solution, minimize
from .spectra import Spectrum
from .sweeps import Sweep, sweep
from .theorems import THEOREMS, Theorem, Verdict, verify
from .version import __version__

__all__ = [
    "THEOREMS",
    "Atlas",
    "Certificate",
    "Completeness",
    "CriticalPoint",
    "InputError",
    "LowerBound",
    "NoClosedForm",
    "Point",
    "PointVerdict",
    "Problem",
    "Proof",
    "Solution",
    "Spectrum",
    "Status",
    "Sweep",
    "Theorem",
    "Verdict",
    "__version__",
    "certify",
    "check_loss",
    "critical_points",
    "derive",
    "explore",
    "global_minimizer",
    "losses",
    "lower_bound",
    "minimize",
    "models",
    "partition_points",
    "prove",
    "prove_complete",
    "spectrum",
    "sweep",
    "verify",
]


def __getattr__(name: str) -> Any:
    """`ufm.derive` imports sympy, so it waits until it is asked for."""
    if name == "derive":
        from .derivations import derive

        return derive
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
