"""One curve of critical points (x, t), followed by arclength in a subspace that a symmetry fixes.

Predictor and corrector (Keller 1977; Allgower and Georg, "Numerical Continuation Methods", 1990, chapter 6): a step
along the tangent, the kernel of [H, dg/dt], then Newton's method across it. The curve goes on around a fold, where t
turns. A place on a step is solved again at any part of it, so what changes sign there is located by Brent's method.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import scipy.optimize
import torch

from .path import Path

SETTLED = 1e-11  # a Newton step below this, relative to 1 + |(x, t)|, ends the corrector
AT_REST = 1e-14  # and a gradient below this: where two curves cross, Newton's method only halves the distance
SWEEPS = 25
WAY = 1e-3  # along which dt/ds is taken as linear: t is exact to its cube
LEAST, MOST = 1e-7, 0.05  # length of a step
BEND = 0.98  # the least cosine between the tangents at both ends of a step
STEPS = 4000


@dataclass(frozen=True, eq=False)
class Place:
    """A critical point on the curve: y (m,) in the subspace, t, and the unit tangent (m + 1,) of the curve."""

    curve: "Curve"
    y: torch.Tensor
    t: float
    tangent: torch.Tensor

    @cached_property
    def x(self) -> torch.Tensor:
        return self.curve.basis @ self.y

    @cached_property
    def eigenvalues(self) -> torch.Tensor:
        """All eigenvalues of the Hessian over (W, H~, b), ascending."""
        return torch.linalg.eigvalsh(self.curve.path.local(self.x, self.t).hessian)

    @property
    def index(self) -> int:
        return int((self.eigenvalues < 0).sum())

    @property
    def level(self) -> float:
        return self.curve.path.local(self.x, self.t).value

    @property
    def turn(self) -> float:
        """dt/ds, 0 where t turns."""
        return float(self.tangent[-1])


class Step(NamedTuple):
    """From one place to the next; length is the predictor's."""

    first: Place
    last: Place
    length: float


@dataclass(frozen=True, eq=False)
class Curve:
    """The critical points along a path within span(basis), basis (size, m) orthonormal."""

    path: Path
    basis: torch.Tensor

    def start(self, x: torch.Tensor, t: float, forward: bool) -> Place | None:
        """The critical point near x at this t, its tangent towards larger t (or smaller); None without one."""
        y = self.basis.T @ x
        for _ in range(30):
            _, g, H, _ = self.path.local(self.basis @ y, t)
            step = torch.linalg.lstsq(self.basis.T @ H @ self.basis, self.basis.T @ g).solution
            y = y - step
            if float(step.norm()) <= SETTLED * (1 + float(y.norm())):
                sign = torch.zeros(len(y) + 1, dtype=y.dtype, device=y.device)
                sign[-1] = 1.0 if forward else -1.0
                return Place(self, y, t, self._tangent(y, t, sign))
        return None

    def steps(self, place: Place, proper: Callable[[Place], bool]) -> Iterator[Step]:
        """Step by step along the tangent to places that are proper, until the caller has enough or none can be made."""
        length = 0.01
        for _ in range(STEPS):
            following = None
            while following is None and length >= LEAST:
                following = self.beyond(place, length)
                if following and (float(following.tangent @ place.tangent) < BEND or not proper(following)):
                    following = None
                if following is None:
                    length /= 2
            if following is None:
                return
            yield Step(place, following, length)
            place, length = following, min(1.5 * length, MOST)

    def beyond(self, place: Place, length: float) -> Place | None:
        """The place of the curve on the hyperplane across the tangent at that distance; None where none is found."""
        begin = torch.cat([place.y, place.y.new_tensor([place.t])])
        z = begin + length * place.tangent
        for _ in range(SWEEPS if z[-1] > 0 else 0):
            F, J = self._system(z[:-1], float(z[-1]))
            F = torch.cat([F, (place.tangent @ (z - begin) - length)[None]])
            try:
                step = torch.linalg.solve(torch.cat([J, place.tangent[None]]), F)
            except RuntimeError:
                return None
            z = z - step
            if not float((z - begin).norm()) <= 2 * length or not z[-1] > 0:
                return None
            if float(step.norm()) <= SETTLED * (1 + float(z.norm())) or float(F.norm()) <= AT_REST:
                return Place(self, z[:-1], float(z[-1]), self._tangent(z[:-1], float(z[-1]), place.tangent))
        return None

    def zero(self, step: Step, measured: Callable[[Place], float]) -> Place | None:
        """Where on a step something that has another sign at its two ends is 0; None where it cannot be located."""
        places: dict[float, Place] = {0.0: step.first, step.length: step.last}

        def at(part: float) -> float:
            if part not in places:
                found = self.beyond(step.first, part)
                if found is None:
                    raise _Lost
                places[part] = found
            return measured(places[part])

        try:
            root = scipy.optimize.brentq(at, 0.0, step.length, xtol=1e-13, rtol=1e-12)
            at(root)
        except (_Lost, ValueError):
            return None
        return places[root]

    def turning(self, step: Step) -> Place | None:
        """Where t turns on a step at whose ends it goes two ways; None where that cannot be located.

        Where the turn is another curve's as well Newton's method is singular: dt/ds is halved down to a short way,
        and is linear on it.
        """
        low, high, first, last = 0.0, step.length, step.first, step.last
        while high - low > WAY:
            for share in (0.5, 0.35, 0.65, 0.2, 0.8):
                middle = self.beyond(step.first, low + share * (high - low))
                if middle is not None and middle.tangent @ first.tangent > BEND:
                    break
            else:
                return None
            if middle.turn * first.turn > 0:
                low, first = low + share * (high - low), middle
            else:
                high, last = low + share * (high - low), middle
        part = first.turn / (first.turn - last.turn)
        tangent = first.tangent + part * (last.tangent - first.tangent)
        along = part * float((last.y - first.y).norm()) / float(tangent[:-1].norm())
        t = first.t + first.turn * along / 2
        return Place(self, first.y + part * (last.y - first.y), t, tangent / tangent.norm())

    def _system(self, y: torch.Tensor, t: float) -> tuple[torch.Tensor, torch.Tensor]:
        """(the gradient in the subspace (m,), its derivative in (y, t), (m, m + 1))."""
        _, g, H, change = self.path.local(self.basis @ y, t)
        J = torch.cat([self.basis.T @ H @ self.basis, (self.basis.T @ change)[:, None]], 1)
        return self.basis.T @ g, J

    def _tangent(self, y: torch.Tensor, t: float, like: torch.Tensor) -> torch.Tensor:
        kernel = torch.linalg.svd(self._system(y, t)[1])[2][-1]
        return kernel * math.copysign(1.0, float(kernel @ like))


class _Lost(Exception):
    """The corrector found no place."""
