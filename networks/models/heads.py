"""The last layer, by name: Linear layers whose weight W and input H are what the theory speaks about.

Each head is an nn.Linear: logits = H W^T + b with W = head.weight and H what goes into it, so that whatever
reads the last layer of a classifier reads these too.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils import parametrize

from ufm.closed_forms import simplex
from ufm.errors import Setting, require
from ufm.traps.code_search import SEARCHED, search_code
from validate.runs.minimised import HeadFacts

from .following import NearestFrame, Total, project, set_to_means
from .recipe import Frame, ModelRecipe


def simplex_frame(num_classes: int, dim: int, position: Frame | None = None) -> torch.Tensor:
    """A simplex equiangular tight frame: W float64 (K, d), unit rows, W W^T = K/(K-1) (I - 11^T/K).

    position  "standard": W = sqrt(K/(K-1)) (I - 11^T/K) with d - K columns of zeros after it. Needs d >= K.
              "rotated": W = sqrt(K/(K-1)) F Q^T with F (K, K-1) the frame of `ufm.closed_forms` and Q (d, K-1) with
              orthonormal columns, uniform over all such (torch's global generator). Needs d >= K - 1.
              None: standard where d >= K, rotated where d = K - 1, which has no standard position.

    The standard position is for features behind a ReLU, which are >= 0: means h_k = t e_k are, and h_k - h_G is then a
    multiple of w_k. A rotated frame asks for means of both signs, which such features reach after a large shift only,
    and training does not go there: it is for features of either sign (a last layer without a ReLU, a projection).
    Raises InputError for fewer than 2 classes, an unknown position, and a dimension that is too small for it.
    Source of the standard position: Zhu et al. 2021 (arXiv 2105.02375), section 4 and their released code.
    """
    require(num_classes >= 2, f"a simplex frame needs at least 2 classes, got {num_classes}")
    require(
        dim >= num_classes - 1,
        f"{num_classes} classes have no simplex frame in {dim} dimensions",
        ("give ", Setting("feature_dim"), f" >= {num_classes - 1}"),
    )
    position = position or ("standard" if dim >= num_classes else "rotated")
    require(position in FRAMES, f"unknown frame {position!r}; choose one of: {', '.join(FRAMES)}")
    return math.sqrt(num_classes / (num_classes - 1)) * FRAMES[position](num_classes, dim)


def _standard(num_classes: int, dim: int) -> torch.Tensor:
    """(K, d) I - 11^T/K, then zeros."""
    require(
        dim >= num_classes,
        (
            f"the standard frame of {num_classes} classes needs ",
            Setting("feature_dim"),
            f" >= {num_classes}, got {dim}",
        ),
        ("leave the frame out or ask for a rotated one: ", Setting("frame", "rotated")),
    )
    return simplex.standard_frame(num_classes, dim)


def _rotated(num_classes: int, dim: int) -> torch.Tensor:
    """(K, d) Q (K, K-1) of `ufm.closed_forms` times a uniform orthonormal (K-1, d)."""
    Q, R = torch.linalg.qr(torch.randn(dim, num_classes - 1, dtype=torch.float64))
    rotation = Q * R.diagonal().sign()
    return simplex.simplex_frame(num_classes, num_classes - 1) @ rotation.T


FRAMES: dict[str, Callable[[int, int], torch.Tensor]] = {"standard": _standard, "rotated": _rotated}


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


def linear(recipe: ModelRecipe, dim: int, num_classes: int) -> tuple[nn.Module, nn.Linear]:
    """W and b are learned."""
    return nn.Identity(), nn.Linear(dim, num_classes, bias=recipe.bias)


def etf(recipe: ModelRecipe, dim: int, num_classes: int) -> tuple[nn.Module, nn.Linear]:
    """W is the `simplex_frame` that the recipe names, frozen; b is learned."""
    head = nn.Linear(dim, num_classes, bias=recipe.bias)
    frame = simplex_frame(num_classes, dim, recipe.frame)
    head.weight = nn.Parameter(frame.to(head.weight.dtype), requires_grad=False)
    return nn.Identity(), head


def normalized(recipe: ModelRecipe, dim: int, num_classes: int) -> tuple[nn.Module, nn.Linear]:
    """logits_k = cos(w_k, h) / temperature + b_k: rows and features on spheres (arXiv 2209.09211).

    The temperature goes with the features: H has rows of length 1 / temperature, W of length 1.
    """
    head = nn.Linear(dim, num_classes, bias=recipe.bias)
    parametrize.register_parametrization(head, "weight", UnitRows())
    return UnitFeatures(recipe.temperature), head


def projected(recipe: ModelRecipe, dim: int, num_classes: int) -> tuple[nn.Module, nn.Linear]:
    """The logits of `normalized`; W itself is the parameter, and each step ends with its rows at length 1."""
    head = nn.Linear(dim, num_classes, bias=recipe.bias)
    project(head)
    return UnitFeatures(recipe.temperature), head


def code(recipe: ModelRecipe, dim: int, num_classes: int) -> tuple[nn.Module, nn.Linear]:
    """W is a softmax code, frozen: K unit rows in d < K - 1 dimensions, as far from each other's hull as is known.

    Source: Jiang et al. 2023 (arXiv 2310.05351); the code is the best that `ufm.traps.code_search.search_code` finds.
    """
    require(
        dim < num_classes - 1,
        f"{num_classes} classes have a simplex frame in {dim} dimensions, and no other code is better",
        ("pass ", Setting("head", "etf"), *((" or a smaller ", Setting("feature_dim")) if num_classes > 2 else ())),
    )
    require(
        num_classes <= SEARCHED,
        f"codes are searched for up to {SEARCHED} classes, got {num_classes}",
    )
    head = nn.Linear(dim, num_classes, bias=recipe.bias)
    head.weight = nn.Parameter(_code(num_classes, dim).to(head.weight.dtype, copy=True), requires_grad=False)
    return nn.Identity(), head


@cache
def _code(num_classes: int, dim: int) -> torch.Tensor:
    """Searched for once in a process: a run builds its model again to be measured."""
    return search_code(num_classes, dim)


def of_means(recipe: ModelRecipe, dim: int, num_classes: int) -> tuple[nn.Module, nn.Linear]:
    """Every epoch begins with the rows of W set to the directions of the centred class means; b is learned."""
    head = nn.Linear(dim, num_classes, bias=recipe.bias)
    head.weight.requires_grad_(False)
    project(head)
    return nn.Identity(), head


def near(recipe: ModelRecipe, dim: int, num_classes: int) -> tuple[nn.Module, nn.Linear]:
    """After every step W is the simplex frame nearest to running class means; b is learned."""
    return nn.Identity(), NearestFrame(simplex_frame(num_classes, dim, "rotated"), recipe.bias)


def follow(head: nn.Linear, features: torch.Tensor, labels: torch.Tensor, total: Total) -> None:
    assert isinstance(head, NearestFrame)
    head.follow(features, labels, total)


AfterStep = Callable[[nn.Linear, torch.Tensor, torch.Tensor, Total], None]


@dataclass(frozen=True)
class HeadKind:
    """build      (recipe, d, K) to (what features pass through last, the layer that they enter)
    facts      (recipe) to what theory may know of that layer
    learned    whether W is trained
    after_step changes W after a step, out of (layer, features (m, d) of this process, labels (m,), sum over processes)
    sees_labels   whether it does so by them
    on_means   changes W before an epoch, out of (layer, means (K, d) of the training features of each class)
    """

    build: Callable[[ModelRecipe, int, int], tuple[nn.Module, nn.Linear]]
    facts: Callable[[ModelRecipe], HeadFacts]
    learned: bool = True
    after_step: AfterStep | None = None
    sees_labels: bool = False
    on_means: Callable[[nn.Linear, torch.Tensor], None] | None = None


HEADS: dict[str, HeadKind] = {
    "linear": HeadKind(linear, lambda recipe: HeadFacts("free", recipe.bias)),
    "etf": HeadKind(etf, lambda recipe: HeadFacts("fixed", recipe.bias, frame=recipe.frame), learned=False),
    "normalized": HeadKind(
        normalized, lambda recipe: HeadFacts("of unit rows", recipe.bias, feature_norm=1 / recipe.temperature)
    ),
    "projected": HeadKind(
        projected,
        lambda recipe: HeadFacts("of unit rows", recipe.bias, feature_norm=1 / recipe.temperature),
        after_step=lambda head, features, labels, total: project(head),
    ),
    "code": HeadKind(code, lambda recipe: HeadFacts("fixed", recipe.bias), learned=False),
    "class-means": HeadKind(
        of_means, lambda recipe: HeadFacts("following the features", recipe.bias), learned=False, on_means=set_to_means
    ),
    "nearest-frame": HeadKind(
        near,
        lambda recipe: HeadFacts("following the features", recipe.bias),
        learned=False,
        after_step=follow,
        sees_labels=True,
    ),
}
