"""The rows of W and the features of a point as a picture: in the plane, or in the axes that hold the most of W."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ufm.point import Point
from ufm.results import Result

SEEN = 3  # axes that a picture can have
SAME = 1e-6  # rows nearer than this, relative to the longest, are drawn as one


@dataclass(frozen=True)
class Tip(Result):
    """Rows that coincide: their numbers, from 1 on, and where they are (one number an axis)."""

    rows: tuple[int, ...]
    at: tuple[float, ...]


@dataclass(frozen=True)
class Scene(Result):
    """A picture of one point.

    rank      of W; a picture has min(rank, 3) axes, the leading principal ones of the rows of W about 0
    share     of |W|^2 that these axes hold
    rows      of W        features  class means (or means of types), scaled: the longest is as long as the longest row
    """

    title: str
    rank: int
    share: float
    rows: tuple[Tip, ...]
    features: tuple[Tip, ...]


def scene(point: Point, rank: int, title: str = "rows of W") -> Scene:
    """The picture of a collapsed point (H with a row a class or type) whose W has this rank."""
    W, H = (matrix.detach().cpu().double() for matrix in (point.W, point.H))
    axes = min(rank, SEEN)
    sizes, right = torch.linalg.svd(W, full_matrices=False)[1:]
    basis = right[:axes].T
    basis = basis * (W @ basis).gather(0, (W @ basis).abs().argmax(0, keepdim=True)).sign() if axes else basis
    longest, most = float(W.norm(dim=1).max()), float(H.norm(dim=1).max())
    features = H * (longest / most) if most else H
    held = float(sizes[:axes].square().sum() / sizes.square().sum()) if rank > SEEN else 1.0
    return Scene(title, rank, held, *(tuple(_tips(rows, rows @ basis, longest)) for rows in (W, features)))


def _tips(rows: torch.Tensor, places: torch.Tensor, longest: float) -> Sequence[Tip]:
    """A tip for each set of equal rows."""
    found: list[list[int]] = []
    for k, row in enumerate(rows):
        home = next((tip for tip in found if float((row - rows[tip[0]]).norm()) <= SAME * longest), None)
        if home is None:
            found.append([k])
        else:
            home.append(k)
    return [Tip(tuple(k + 1 for k in tip), tuple(places[tip[0]].tolist())) for tip in found]
