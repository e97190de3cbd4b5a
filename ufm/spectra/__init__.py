"""Spectra of the Hessian: the record, its exact blocks, its two ends, and what they say of convergence."""

from .blocks import orbit_dimension
from .spectrum import Spectrum

__all__ = ["Spectrum", "orbit_dimension"]
