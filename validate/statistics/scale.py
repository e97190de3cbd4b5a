"""Features whose fourth powers leave float64's range, in units of a power of two: nothing is rounded by it.

Metrics have products of four features in them (the norm of a Gram matrix). Those that do not depend on the scale of the
features are the same in any unit.
"""

import math
import sys

import torch

RANGE = 150  # binary exponents up to which nothing is scaled; all of float32 and of the half precisions lies within
LARGEST = 1000  # exponents go up to this: 2^-LARGEST and 2^LARGEST are float64 numbers


def exponent_of(*tensors: torch.Tensor) -> int:
    """e such that the largest entry, in absolute value, lies in [2^(e-1), 2^e); 0 where |e| <= RANGE or all are 0."""
    ends = [torch.aminmax(x) for x in tensors if x.dtype == torch.float64 and x.numel()]
    largest = max((max(-float(low), float(high)) for low, high in ends), default=0.0)
    if not largest or not math.isfinite(largest):
        return 0
    exponent = math.frexp(largest)[1]
    return 0 if abs(exponent) <= RANGE else max(-LARGEST, min(LARGEST, exponent))


def scaled(x: torch.Tensor, exponent: int) -> torch.Tensor:
    """x 2^-exponent in float64; x itself where the exponent is 0."""
    return x.double() * power(-exponent) if exponent else x


def to_size_one(x: torch.Tensor) -> torch.Tensor:
    """x times a power of two that brings its largest entry near 1, where that is out of RANGE; else x itself."""
    return scaled(x, exponent_of(x))


def power(exponent: float) -> float:
    """2^exponent; 0 and the largest float64 where that is no float64."""
    try:
        return 2.0**exponent
    except OverflowError:
        return sys.float_info.max


def logits_in_units(W: torch.Tensor, b: torch.Tensor, exponent: int) -> tuple[torch.Tensor, torch.Tensor, int]:
    """(W, b, e) that give the logits in units of 2^e, none too large, from features in units of 2^exponent.

    W (K, d), b (K,) float64. At ordinary sizes e = 0, and W and b are as they were.
    """
    has_bias = bool(b.any())
    unit = exponent_of(W) + exponent
    unit = max(unit, exponent_of(b)) if has_bias else unit
    return scaled(W, unit - exponent), scaled(b, unit) if has_bias else b, unit
