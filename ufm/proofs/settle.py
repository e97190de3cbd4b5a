"""Newton's method in balls' midpoints, to a critical point whose existence and index are then proved.

Each step is one on a slice across the orbit of O(r), through the place where it begins (`ufm.proofs.krawczyk`). Steps
are capped: in a curved valley a long one leaves the bottom. Krawczyk's test at the place where the steps end encloses
the critical point, and Sylvester's law of inertia tells its index.
"""

from contextlib import suppress

import numpy as np
import torch
from flint import acb_mat, arb, arb_mat

from .balls import column, diagonal, exact, floats, identity, inertia, positive_definite, square_norm, working_precision
from .conclusions import square
from .enclosure import BallJet, Reduced
from .krawczyk import NotProved, Sliced, find_zero

BITS = 256
ROOM = 2.0**-30
UNDECIDED = (NotProved, ZeroDivisionError, ValueError)  # the last two come of singular matrices
CAPS = (0.05, 0.02, 0.005)  # the longest Newton step, relative to |x|: a shorter one where longer ones led round
STEPS = 100  # of Newton's method, with each
SETTLED = 2.0**-180  # a step below this, relative to |x|, ends it
NOTHING = 1e-60  # an eigenvalue below this is one of the orbit's, which are 0
FAR = 1e-13  # of the largest: an eigenvalue that float64's is so much below has not converged


def settled(reduced: Reduced, x: torch.Tensor) -> tuple[torch.Tensor, int, int, float, torch.Tensor, float] | None:
    """The fields of a `Followed` from the place x (size,); None where Newton's method or the index are not decided."""
    with working_precision(BITS), suppress(*UNDECIDED):
        units, start = _units(reduced), _start(reduced, x)
        found = next((y for cap in CAPS if (y := _by_newton(reduced, start, cap)) is not None), None)
        return None if found is None else _proved(reduced, units, start, found)
    return None


def excludes(reduced: Reduced, x: torch.Tensor) -> bool:
    """Whether no critical point lies within ROOM |x| of the place x (size,).

    A copy of it on the slice through x0 would lie no farther, and be a zero of F with mu = 0. By the mean value theorem
    C F(x, 0) is in C F(x0, 0) + C F'(box) (x - x0) for every x in the box: one row without 0 is enough.
    """
    with working_precision(BITS), suppress(*UNDECIDED):
        x0 = _start(reduced, x)
        system, zeros = Sliced(reduced, x0), [arb(0)] * reduced.num_symmetries
        there, radius = column(x0.entries() + zeros), square_norm(x0).sqrt() * ROOM
        inverse = system.jacobian(there).inv().mid()
        box = column([v + arb(0, radius.upper()) for v in x0.entries()] + zeros)
        slopes = (inverse * system.jacobian(box)).table()
        reach = [sum((v.abs_upper() for v in row[: reduced.size]), arb(0)) * radius for row in slopes]
        return any(abs(v) > most for v, most in zip((inverse * system.residual(there)).entries(), reach, strict=True))
    return False


def _proved(
    reduced: Reduced, units: list[arb], start: arb_mat, found: arb_mat
) -> tuple[torch.Tensor, int, int, float, torch.Tensor, float] | None:
    size = float(square_norm(found).sqrt())
    jet = reduced.at(find_zero(reduced, found, near=SETTLED * size, wide=SETTLED * size).x)
    if not positive_definite(jet.X.transpose() * jet.X):
        return None
    signs, further = _signs(jet, units), _further(jet)
    if signs is None or further is None:
        return None
    index, least, lowest = signs
    end = torch.from_numpy(floats(diagonal(units) * found)[:, 0])
    return end, index, further, least, lowest, float(square_norm(found - start).sqrt()) / size


def _start(reduced: Reduced, x: torch.Tensor) -> arb_mat:
    """The place x (size,) of (W, H~, b) in the variables of the reduced problem, exact: units are powers of two."""
    units = _units(reduced)
    return column(v / unit for v, unit in zip(exact(x[:, None]).entries(), units, strict=True))


def _units(reduced: Reduced) -> list[arb]:
    """What each variable of the reduced problem is to be multiplied by for (W, H~, b)."""
    to_W, to_H = reduced.scales
    bias = reduced.size - reduced.features
    return [to_W] * reduced.half + [to_H] * (reduced.features - reduced.half) + [arb(1)] * bias


def _by_newton(reduced: Reduced, y: arb_mat, cap: float) -> arb_mat | None:
    """Where Newton's method with steps of at most cap |y| comes to, exact; None where it settles nowhere."""
    for _ in range(STEPS):
        system, zeros = Sliced(reduced, y), [arb(0)] * reduced.num_symmetries
        here = column(y.entries() + zeros)
        step = column(system.jacobian(here).mid().solve(system.residual(here).mid()).mid().entries()[: reduced.size])
        length, size = square_norm(step).sqrt().mid(), square_norm(y).sqrt().mid()
        if not (length.is_finite() and size > 0):
            return None
        y = (y - step * min(arb(1), cap * size / length if length > 0 else arb(1))).mid()
        if length <= SETTLED * size:
            return y
    return None


def _signs(jet: BallJet, units: list[arb]) -> tuple[int, float, torch.Tensor] | None:
    """(negative eigenvalues of the Hessian in (W, H~, b), the least one, its direction); None where one may be 0.

    Those of the orbit are: its tangents T span a part of the null space at the critical point, and are raised by T T^T.
    """
    moved, back = diagonal(units), diagonal([1 / unit for unit in units])
    H, tangents = back * jet.hessian * back, moved * jet.reduced.tangents(jet.x)
    found = inertia(H + tangents * tangents.transpose())
    return None if found is None else (found, *_lowest(H))


def _lowest(H: arb_mat) -> tuple[float, torch.Tensor]:
    """(the least eigenvalue, a unit vector of it), approximately; 0 where rounding decides its sign.

    FLINT's iteration may end without having converged: float64's eigenvalue is taken where its own is not as low.
    """
    plain, eigenvectors = np.linalg.eigh(floats(H))
    values, vectors = acb_mat(H.mid()).eig(right=True, algorithm="approx")
    least = min(range(H.nrows()), key=lambda i: float(values[i].real))
    value, nothing = float(values[least].real), NOTHING
    direction = torch.tensor([float(vectors[i, least].real) for i in range(H.nrows())], dtype=torch.float64)
    rounding = FAR * np.abs(plain).max()
    if not value <= plain[0] + rounding:
        value, direction, nothing = float(plain[0]), torch.from_numpy(eigenvectors[:, 0].copy()), rounding
    return value if abs(value) > nothing else 0.0, direction / direction.norm()


def _further(jet: BallJet) -> int | None:
    """How many singular values of G~ exceed sqrt(lW lH), beside the r that are equal to it; None where one may be."""
    lW, lH, _ = jet.reduced.decays
    gram = (jet.X.transpose() * jet.X).inv(nonstop=True)
    projection = jet.X * gram * jet.X.transpose()
    found = inertia((identity(jet.reduced.num_classes) + projection) * (lW * lH) - square(jet.G))
    return found
