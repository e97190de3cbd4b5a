"""From curves to branches: a curve is cut at its events into branches along which t moves one way and nothing changes.

An event is a place where an eigenvalue of the Hessian passes 0 or t turns:

fold           t turns, and the point has no more symmetries than its curve: two branches meet and end
pitchfork      t turns where the point has more symmetries: the curve's two halves are copies of each other, and end on
               a branch with these symmetries
crossing       t does not turn where the point has more symmetries: the curve crosses such a branch (transcritical)
loss           an eigenvalue of a direction that breaks the curve's own symmetries passes 0: seen from this branch,
               what the others see as pitchfork or crossing
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import permutations

import numpy as np
import torch

from ..atlas.symmetry import MATCH
from .curve import Curve, Place, Step
from .path import Path

FOLD, PITCHFORK, CROSSING, LOSS = "fold", "pitchfork", "crossing", "loss"
ENDS = (PITCHFORK, CROSSING)  # here a branch ends on one with more symmetries
SAME = 1e-6  # events of one curve this near in t are one
NOTHING = 1e-9  # the largest entry of W and H~ at the origin
CLOSE = 1e-4  # differences of classes, relative to the largest, that are 0 at an event: t is exact to their squares


@dataclass(frozen=True, eq=False)
class Event:
    """One event as one curve sees it: its place, kind, and how many eigenvalues pass 0 there."""

    place: Place
    kind: str
    zeros: int


@dataclass(frozen=True, eq=False)
class Piece:
    """Places of one curve in order, with what ends it on both sides; None for the end of the path, or the start."""

    places: list[Place]
    first: Event | None
    last: Event | None


def curve_through(path: Path, x: torch.Tensor, t: float) -> Curve:
    """The curve of critical points through x, in the subspace that x's own symmetries fix."""
    K, symmetric = path.num_classes, kept(path, x, t)
    mean = x.new_zeros(len(x), len(x))
    for order, sign in symmetric:
        P = torch.eye(K, dtype=x.dtype, device=x.device)[list(order)]
        mean += torch.block_diag(sign * P, sign * P, *([P] if path.bias else [])) / len(symmetric)
    values, vectors = torch.linalg.eigh((mean + mean.T) / 2)
    return Curve(path, vectors[:, values > 0.5])


def pieces(start: Place) -> Iterator[Piece]:
    """The pieces of the curve from a place on, until it leaves the path or meets a branch with more symmetries."""
    path, own = start.curve.path, symmetries(start)
    places, first = [start], None
    for step in start.curve.steps(start, lambda place: symmetries(place) <= own):
        for event in (event for event in _events(step, own) if path.begin <= event.place.t <= path.end):
            places.append(event.place)
            yield Piece(places, first, event)
            if event.kind in ENDS:
                return
            places, first = [event.place], event
        if not path.begin <= step.last.t <= path.end:
            bound = path.end if step.last.t > path.end else path.begin
            end = step.first.curve.zero(step, lambda place, bound=bound: place.t - bound)  # type: ignore[misc]
            last = end and end.curve.start(end.x, bound, bound == path.end)
            yield Piece([*places, *([last] if last else [])], first, None)
            return
        places.append(step.last)
    yield Piece(places, first, None)


def _events(step: Step, own: int) -> list[Event]:
    """What happens on a step, in order."""
    found: list[tuple[Place, bool]] = []
    if step.first.turn * step.last.turn < 0:
        found += [(place, True) for place in [step.first.curve.turning(step)] if place]
    low, high = sorted((step.first.index, step.last.index))
    for k in range(low, high):
        place = step.first.curve.zero(step, lambda p, k=k: float(p.eigenvalues[k]))  # type: ignore[misc]
        found += [(place, False)] if place else []
    merged: list[list[tuple[Place, bool]]] = []
    for place, turns in sorted(found, key=lambda pair: float(step.first.tangent @ _flat(pair[0]))):
        if merged and abs(merged[-1][0][0].t - place.t) <= SAME:
            merged[-1].append((place, turns))
        else:
            merged.append([(place, turns)])
    return [_event(group, own) for group in merged]


def _event(group: list[tuple[Place, bool]], own: int) -> Event:
    turns = any(turned for _, turned in group)
    place = next((p for p, turned in group if turned), group[0][0])
    more = symmetries(place, CLOSE) > own
    zeros = max(1, sum(not turned for _, turned in group))
    kind = (PITCHFORK if more else FOLD) if turns else (CROSSING if more else LOSS)
    return Event(place, kind, zeros)


def _flat(place: Place) -> torch.Tensor:
    return torch.cat([place.y, place.y.new_tensor([place.t])])


def symmetries(place: Place, near: float = MATCH) -> int:
    """How many permutations of the classes keep the point, up to the sign of (W, H)."""
    return len({order for order, _ in kept(place.curve.path, place.x, place.t, near)})


def kept(path: Path, x: torch.Tensor, t: float, near: float = MATCH) -> list[tuple[tuple[int, ...], int]]:
    """The permutations of the classes and signs of (W, H) that keep x; at the origin with the sign 1 alone.

    near  differences of W and H~, relative to the largest entry, and of b, relative to 1 + |b|, that count as none
    """
    W, scaled, b = path.family(t).landscape.split(x)
    lines = torch.cat([W, scaled], 1).numpy()
    unit = float(np.abs(lines).max())
    lines = lines / (unit if unit > NOTHING else math.inf)
    bias, orders = (b / (1 + b.abs().max())).numpy(), _orders(path.num_classes)
    level = np.abs(bias[orders] - bias).max(1) <= near
    found = []
    for sign in (1, -1) if unit > NOTHING else (1,):
        alike = level & (np.abs(lines[orders] - sign * lines).max((1, 2)) <= near)
        found += [(tuple(order), sign) for order in orders[alike].tolist()]
    return found


@cache
def _orders(K: int) -> np.ndarray:
    """(K!, K) every permutation of the classes."""
    return np.array(list(permutations(range(K))))
