"""Where descents of a deep linear model start: balanced factors of a given rank, at a scale that pays.

From three factors on the origin is a strict local minimiser, which attracts small starts, and no descent raises its
rank: a start has to have the rank and about the size of the minima that it is to find.
"""

import math

import numpy as np
import torch

from .chain import Chain
from .factors import Factors, balanced_factors

SCALES = 40  # of which the best is taken
LARGEST_LOGIT = (0.25, 64.0)  # the range of the scales
SPREAD = 0.3  # of the logarithms of a start's stretch along its directions
SCATTER = 0.1  # of a factor's size: how far free features begin from their type's


def generator(seed: int) -> torch.Generator:
    return torch.Generator("cpu").manual_seed(seed)


def drawn(chain: Chain, seed: int, scale: float) -> Factors:
    """Normal numbers over sqrt(d), times the scale."""
    x = torch.randn(chain.size, generator=generator(seed), dtype=torch.float64, device="cpu")
    return chain.unpack(scale * x / math.sqrt(chain.inner.dim))


def balanced_start(chain: Chain, rank: int, seed: int) -> Factors:
    """Balanced factors, of width their rank, one row of H a type: `chain` has such rows.

    The logits are -G~(0), the direction in which the loss falls, projected to `rank` random directions and stretched a
    little along these, at the scale at which f with the least decay of such factors is lowest.
    """
    f, draws, power = chain.inner, generator(seed), 2 / chain.depth
    zero = torch.zeros(len(f.labels), f.num_classes, dtype=torch.float64, device="cpu")
    slopes = f.loss.expand(zero, f.labels)[1]
    normal = torch.randn(f.num_classes, rank, generator=draws, dtype=torch.float64, device="cpu")
    stretch = torch.randn(rank, generator=draws, dtype=torch.float64, device="cpu").mul(SPREAD).exp()
    directions = torch.linalg.qr(normal)[0]
    Z = -(slopes @ directions * stretch) @ directions.T
    Z = Z / Z.abs().max().clamp_min(1e-300)
    norm = float((torch.linalg.svdvals(f.roots * Z)[:rank] ** power).sum())

    def value(scale: float) -> float:
        loss = float(f.counts @ f.loss.values(scale * Z, f.labels)) / f.num_samples
        return loss + chain.depth / 2 * f.lambda_h * norm * scale**power

    scale = min(np.geomspace(*LARGEST_LOGIT, SCALES), key=value)
    return balanced_factors(scale * Z, f.roots, rank, chain.depth)


def scattered(point: Factors, types: torch.Tensor, seed: int) -> Factors:
    """One row of H a sample, of these types (N,), and all factors moved by a tenth of their size at random."""
    draws, moved = generator(seed), []
    for part in (*point.layers, point.H[types]):
        noise = torch.randn(part.shape, generator=draws, dtype=torch.float64, device="cpu")
        moved.append(part + SCATTER * part.norm() / noise.norm().clamp_min(1e-300) * noise)
    return Factors(tuple(moved[:-1]), moved[-1])
