"""A critical point near a numerical one: proved to exist, and to be the only one, by Krawczyk's operator.

The symmetries of `ufm.proofs.enclosure` make critical points come in orbits, on which Newton's matrix is singular. The
orbit is cut by a slice through an anchor x0, with a multiplier for each symmetry: with T(x) (size, m) the tangent
vectors at x,

    F(x, mu) = (grad f(x) + T(x) mu,  T(x0)^T (x - x0)),      m + size equations in as many unknowns.

* A zero has mu = 0 where T(x) has full rank: f is constant along orbits, so T(x)^T grad f(x) = 0 at every x, hence
  T(x)^T T(x) mu = 0. (X A, Y A) = 0 with A skew means A = 0 where X has rank r, and (0, 0, s) is orthogonal to the
  other tangents, so the rank of X decides. The zero is then a critical point.
* Every critical point x near x0 has a rotated and shifted copy on the slice, no farther from x0: the one nearest to
  x0, where the derivative of the distance along the orbit vanishes. With mu = 0 it is a zero of F.

For a preconditioner C (any matrix; here the midpoint of the inverse of F' at x0), a centre y and a box of radius rho
about it in the maximum norm: if  |C F(y)| + |I - C F'(box)| rho < rho,  then F has exactly one zero in the box, and
it lies within the left side of y (docs/theory, section 9.1). Sources: Krawczyk 1969; Neumaier, "Interval Methods for
Systems of Equations", 1990, Theorem 5.1.8; Rump, "Verification methods", Acta Numerica 2010, Theorem 13.2.
"""

from dataclasses import dataclass

import numpy as np
from flint import arb, arb_mat, ctx

from .balls import column, floats, identity, largest, row_sums
from .enclosure import Reduced

NEARLY_SINGULAR = "the derivative has condition {:.0e}, as at points that are degenerate beyond the symmetries"
SINGULAR = 1e12  # a condition from which on that is said
SWEEPS = 40  # of the simplified Newton iteration; each gains many digits near a regular zero


@dataclass(frozen=True, eq=False)
class Zero:
    """One zero of F.

    x      (size, 1) balls that hold the critical point
    alone  no other zero of F lies within it of (x0, 0), in the maximum norm: exact; not positive if none is shown
    """

    x: arb_mat
    alone: arb


class Sliced:
    """F and its derivative, anchored at x0 (size, 1), exact."""

    def __init__(self, reduced: Reduced, x0: arb_mat):
        self.reduced, self.x0 = reduced, x0
        self.slice = reduced.tangents(x0).transpose()

    def split(self, y: arb_mat) -> tuple[arb_mat, list[arb]]:
        """x (size, 1) and mu of the unknowns y = (x, mu)."""
        entries = y.entries()
        return column(entries[: self.reduced.size]), entries[self.reduced.size :]

    def residual(self, y: arb_mat) -> arb_mat:
        """F."""
        x, mu = self.split(y)
        first = self.reduced.at(x).gradient + self.reduced.tangents(x) * column(mu)
        return column(first.entries() + (self.slice * (x - self.x0)).entries())

    def jacobian(self, y: arb_mat) -> arb_mat:
        """F' = [[Hessian + (T mu)', T(x)], [T(x0)^T, 0]]."""
        x, mu = self.split(y)
        upper = self.reduced.at(x).hessian + self.reduced.tangent_derivative(mu)
        rows = [a + b for a, b in zip(upper.table(), self.reduced.tangents(x).table(), strict=True)]
        rows += [row + [arb(0)] * len(mu) for row in self.slice.table()]
        return arb_mat(len(rows), len(rows), [entry for row in rows for entry in row])


class NotProved(Exception):
    """A step of a proof that did not go through; the message says which."""


def find_zero(reduced: Reduced, x0: arb_mat, near: float, wide: float) -> Zero:
    """The zero of F near x0; raises NotProved when none is proved to exist there.

    near   how far Newton's method may move from x0 (Euclidean): it is there to sharpen x0, not to search
    wide   a first guess of the radius in which the zero is alone, in the maximum norm
    """
    system = Sliced(reduced, x0)
    start = column(x0.entries() + [arb(0)] * reduced.num_symmetries)
    try:
        inverse = system.jacobian(start).inv().mid()
    except ZeroDivisionError:
        raise NotProved(
            "the derivative is not proved regular: degenerate beyond the symmetries, or too few bits"
        ) from None
    centre = _sharpen(system, inverse, start, near)
    offset = largest(inverse * system.residual(centre))
    spread = _contraction(system, inverse, centre, radius := _inflated(offset, centre))
    reach = offset + spread * radius
    if not reach < radius:
        failure = (
            f"the existence test fails: a box of radius {float(radius):.1e} is mapped to one of {float(reach):.1e}"
        )
        condition = float(row_sums(inverse) * row_sums(system.jacobian(start)))
        raise NotProved(f"{failure}; {NEARLY_SINGULAR.format(condition)}" if condition >= SINGULAR else failure)
    box = column(entry + arb(0, reach.upper()) for entry in system.split(centre)[0].entries())
    alone = _alone(system, inverse, centre, offset, radius, wide)
    return Zero(x=box, alone=(alone - largest(centre - start)).lower())


def _sharpen(system: Sliced, inverse: arb_mat, y: arb_mat, near: float) -> arb_mat:
    """y after Newton steps with a fixed inverse, until they stop shrinking: an approximation, made exact."""
    start, previous = floats(y), np.inf
    for _ in range(SWEEPS):
        step = (inverse * system.residual(y)).mid()
        size = float(largest(step))
        if not size < previous:
            break
        y, previous = (y - step).mid(), size
        moved = float(np.linalg.norm((floats(y) - start)[: system.reduced.size]))
        if not moved <= near:
            raise NotProved(f"Newton's method moves the point by {moved:.1e}, allowed {near:.1e}")
    return y


def _inflated(offset: arb, centre: arb_mat) -> arb:
    """A radius above the offset that rounding cannot swallow (epsilon inflation)."""
    rounding = (1 + largest(centre)) * arb(2) ** (20 - ctx.prec)
    return (4 * offset + rounding).upper()


def _contraction(system: Sliced, inverse: arb_mat, centre: arb_mat, radius: arb) -> arb:
    """An upper bound on |I - C F'| over the box of that radius."""
    box = column(entry + arb(0, radius) for entry in centre.entries())
    return row_sums(identity(box.nrows()) - inverse * system.jacobian(box))


def _alone(system: Sliced, inverse: arb_mat, centre: arb_mat, offset: arb, radius: arb, wide: float) -> arb:
    """The largest radius tried for which the test holds: `wide`, then one where |I - C F'| should be 1/2."""
    found = radius
    for _ in range(2):
        trial = arb(wide)
        spread = _contraction(system, inverse, centre, trial)
        if trial > found and offset + spread * trial < trial:
            found = trial
        slope = float(spread)
        wide = wide / (2 * slope) if np.isfinite(slope) and slope > 0 else 1e-3 * wide
    return found
