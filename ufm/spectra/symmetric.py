"""The spectrum in closed form, at minimisers of balanced classes and at the balanced origin, as a record."""

from collections.abc import Iterable

import torch

from ..closed_forms.hessian_levels import minimizer_levels, symmetric_levels
from ..closed_forms.levels import Level
from ..point import Point
from ..problem import Problem
from .spectrum import SYMMETRIC, Spectrum, listed


def minimizer_spectrum(problem: Problem) -> Spectrum | None:
    """The spectrum at the closed-form global minimiser, without forming it.

    None where the spectrum has no closed form; may raise NoClosedForm where the minimiser has none.
    """
    levels = minimizer_levels(problem)
    return None if levels is None else _of(problem, levels)


def symmetric_spectrum(problem: Problem, means: Point) -> Spectrum | None:
    """The spectrum at a collapsed critical point that is the simplex ETF or the balanced origin; None elsewhere."""
    levels = symmetric_levels(problem, means)
    return None if levels is None else _of(problem, levels)


def _of(problem: Problem, levels: Iterable[Level]) -> Spectrum:
    values, counts = zip(*levels, strict=True)
    eigenvalues = torch.tensor(values, dtype=torch.float64, device="cpu")
    return listed(problem, eigenvalues, torch.tensor(counts, device="cpu"), 1e-15, SYMMETRIC)
