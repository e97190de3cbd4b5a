"""The definition of a deep linear model's f, by loops, for autograd and scipy; and points to try it at."""

import torch

from tests.ufm.losses.naive import NAIVE
from ufm.models import DeepLinear, Factors


def naive(model: DeepLinear, name: str):
    """f of a list of factors (layers, then H with all N rows), from the definition."""
    types = [t for t, n in enumerate(model.class_counts) for _ in range(n)]

    def f(*parts: torch.Tensor) -> torch.Tensor:
        *layers, H = parts
        total = 0.0
        for h, t in zip(H, types, strict=True):
            z = h
            for W in layers:
                z = W @ z
            total = total + NAIVE[name][1](z, t) / len(types)
        return total + model.decay / 2 * sum((part**2).sum() for part in parts)

    return f


def flat(model: DeepLinear, name: str):
    """(f of one flat vector, a function from factors with all N rows to it)."""
    d, K, N = model.dim, model.free.num_classes, model.free.num_samples
    shapes = [*[(d, d)] * (model.depth - 2), (K, d), (N, d)]
    f = naive(model, name)

    def of(x: torch.Tensor) -> torch.Tensor:
        parts = x.split([a * b for a, b in shapes])
        return f(*(part.view(shape) for part, shape in zip(parts, shapes, strict=True)))

    def packed(point: Factors) -> torch.Tensor:
        H = point.H if len(point.H) == N else point.H[model.free.labels]
        return torch.cat([part.reshape(-1) for part in (*point.layers, H)])

    return of, packed


def random_factors(model: DeepLinear, seed: int = 0, scale: float = 0.7, collapsed: bool = False) -> Factors:
    generator = torch.Generator().manual_seed(seed)
    d, K = model.dim, model.free.num_classes
    rows = model.free.num_types if collapsed else model.free.num_samples
    shapes = [*[(d, d)] * (model.depth - 2), (K, d), (rows, d)]
    *layers, H = [scale * torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]
    return Factors(tuple(layers), H)
