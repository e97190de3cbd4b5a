"""The last layer, by name: Linear layers whose weight W and input H are what the theory speaks about.

Each head is an nn.Linear: logits = H W^T + b with W = head.weight and H what goes into it, so that whatever
reads the last layer of a classifier reads these too.
"""

import math
from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils import parametrize

from ufm import closed_form
from ufm.errors import require


def simplex_frame(num_classes: int, dim: int) -> torch.Tensor:
    """A simplex equiangular tight frame in random position: W float64 (K, d), unit rows, W W^T = K/(K-1) (I - 11^T/K).

    W = sqrt(K/(K-1)) F Q^T with F (K, K-1) the frame of `ufm.closed_form` and Q (d, K-1) with orthonormal columns,
    uniform over all such. It exists for every d >= K - 1; InputError for a smaller one.
    """
    require(num_classes >= 2, f"a simplex frame needs at least 2 classes, got {num_classes}")
    require(
        dim >= num_classes - 1,
        f"{num_classes} classes have no simplex frame in {dim} dimensions; give feature_dim >= {num_classes - 1}",
    )
    Q, R = torch.linalg.qr(torch.randn(dim, num_classes - 1, dtype=torch.float64))
    rotation = Q * R.diagonal().sign()
    frame = closed_form.simplex_frame(num_classes, num_classes - 1)
    return math.sqrt(num_classes / (num_classes - 1)) * frame @ rotation.T


class UnitRows(nn.Module):
    """W with each row scaled to unit length."""

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        return functional.normalize(weight, dim=1)


class UnitFeatures(nn.Module):
    """h / (temperature |h|): features (N, d) on the sphere of radius 1 / temperature; h = 0 stays 0."""

    def __init__(self, temperature: float):
        super().__init__()
        self.temperature = temperature

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return functional.normalize(features, dim=1) / self.temperature

    def extra_repr(self) -> str:
        return f"temperature={self.temperature:g}"


def linear(dim: int, num_classes: int, bias: bool, temperature: float) -> tuple[nn.Module, nn.Linear]:
    """W and b are learned."""
    return nn.Identity(), nn.Linear(dim, num_classes, bias=bias)


def etf(dim: int, num_classes: int, bias: bool, temperature: float) -> tuple[nn.Module, nn.Linear]:
    """W is a `simplex_frame`, drawn from torch's global generator and frozen; b is learned.

    Features behind a ReLU are >= 0, so for d close to K they meet a rotated frame only up to a shift that all
    classes share; b takes that up.
    """
    frame = simplex_frame(num_classes, dim)
    head = nn.Linear(dim, num_classes, bias=bias)
    head.weight = nn.Parameter(frame.to(head.weight.dtype), requires_grad=False)
    return nn.Identity(), head


def normalized(dim: int, num_classes: int, bias: bool, temperature: float) -> tuple[nn.Module, nn.Linear]:
    """logits_k = cos(w_k, h) / temperature + b_k: rows and features on spheres (arXiv 2209.09211).

    The temperature goes with the features: H has rows of length 1 / temperature, W of length 1.
    """
    head = nn.Linear(dim, num_classes, bias=bias)
    parametrize.register_parametrization(head, "weight", UnitRows())
    return UnitFeatures(temperature), head


# Each returns (what features pass through last, the layer that they enter).
HEADS: dict[str, Callable[[int, int, bool, float], tuple[nn.Module, nn.Linear]]] = {
    "linear": linear,
    "etf": etf,
    "normalized": normalized,
}
