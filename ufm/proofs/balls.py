"""Ball arithmetic: matrices of balls [m ± r] that contain the real numbers they stand for (python-flint, Arb).

Every operation rounds outward, and a comparison is true only when it holds for every choice of numbers in the
balls; with a NaN it is false. Source: Johansson, "Arb: efficient arbitrary-precision midpoint-radius interval
arithmetic", IEEE Transactions on Computers 2017.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from flint import arb, arb_mat, ctx

GRADES = 5  # rounds of `inertia`


@contextmanager
def working_precision(bits: int) -> Iterator[None]:
    """Midpoints of so many bits inside the context; as before after it."""
    before, ctx.prec = ctx.prec, bits
    try:
        yield
    finally:
        ctx.prec = before


def exact(array: torch.Tensor | np.ndarray) -> arb_mat:
    """A matrix of floats (torch or numpy, two axes) as balls of radius 0: a double is exact at any precision."""
    rows, columns = array.shape
    return arb_mat(rows, columns, [arb(value) for value in array.reshape(-1).tolist()])


def floats(matrix: arb_mat) -> np.ndarray:
    """The midpoints rounded to float64: approximations, which prove nothing."""
    entries = [float(entry) for entry in matrix.entries()]
    return np.array(entries, dtype=np.float64).reshape(matrix.nrows(), matrix.ncols())


def column(entries: Iterable[arb]) -> arb_mat:
    """A matrix of one column."""
    entries = list(entries)
    return arb_mat(len(entries), 1, entries)


def upper(ball: arb) -> float:
    """A float64 at or above every number in the ball, the next one or two; NaN or infinite without bounds."""
    bound = ball.upper()
    value = float(bound)
    return value if arb(value) >= bound else math.nextafter(value, math.inf)


def lower(ball: arb) -> float:
    """A float64 at or below every number in the ball, likewise."""
    return -upper(-ball)


def square_norm(matrix: arb_mat) -> arb:
    """The squared Frobenius norm."""
    return sum((entry * entry for entry in matrix.entries()), arb(0))


def largest(matrix: arb_mat) -> arb:
    """An exact upper bound on the entries' absolute values; infinite where an entry has none."""
    bound = arb(0)
    for entry in matrix.entries():
        size = entry.abs_upper()
        if not size.is_finite():
            return arb("inf")
        bound = size if size > bound else bound
    return bound


def row_sums(matrix: arb_mat) -> arb:
    """An exact upper bound on the operator norm for the maximum norm: the largest row sum of absolute values."""
    sums = column(sum((entry.abs_upper() for entry in row), arb(0)) for row in matrix.table())
    return largest(sums)


def identity(size: int) -> arb_mat:
    return arb_mat(size, size, [arb(int(i == j)) for i in range(size) for j in range(size)])


def diagonal(entries: Sequence[arb]) -> arb_mat:
    size = len(entries)
    return arb_mat(size, size, [entries[i] if i == j else arb(0) for i in range(size) for j in range(size)])


def orthonormal(basis: torch.Tensor | np.ndarray) -> arb_mat:
    """The exact Gram-Schmidt basis of the columns of a float matrix (d, r), enclosed."""
    found: list[arb_mat] = []
    for vector in basis.T:
        left = exact(vector[:, None])
        for unit in found:
            left = left - unit * (unit.transpose() * left)
        found.append(left * (1 / square_norm(left).sqrt()))
    rows = [[unit[i, 0] for unit in found] for i in range(len(basis))]
    return arb_mat(len(basis), len(found), [entry for row in rows for entry in row])


def positive_definite(matrix: arb_mat) -> bool:
    """Whether every symmetric matrix in the balls is proved positive definite; False decides nothing.

    With R the inverse of a floating-point Cholesky factor of the midpoint, R A R^T is near the identity;
    when its rows are proved diagonally dominant it is positive definite (Gershgorin), hence so is A.
    Source: Rump, "Verification of positive definiteness", BIT 2006, with Gershgorin's discs in place of
    the bound on rounding errors.
    """
    try:
        factor = exact(np.linalg.inv(np.linalg.cholesky(floats(matrix))))
    except np.linalg.LinAlgError:
        return False
    rows = (factor * matrix * factor.transpose()).table()
    return all(_dominates(row, i, row[i]) for i, row in enumerate(rows))


def inertia(matrix: arb_mat) -> int | None:
    """How many eigenvalues are negative, of every symmetric matrix A in the balls, none being 0; None: undecided.

    By Sylvester's law of inertia: the rows of R^T A R are proved diagonally dominant, so it is regular, as many of its
    eigenvalues are negative as diagonal entries are (Gershgorin), and R is regular too. The columns of R are
    approximate eigenvectors, made anew of what the ones before left, scaled to a diagonal of ones: so eigenvalues of
    1e-30 are told beside those of 1.
    """
    factor = identity(matrix.nrows())
    for _ in range(GRADES):
        image = factor.transpose() * matrix * factor
        rows = image.table()
        if all(_dominates(row, i, row[i].abs_lower()) for i, row in enumerate(rows)):
            return sum(bool(row[i] < 0) for i, row in enumerate(rows))
        approximate = floats(image)
        if not np.isfinite(approximate).all():
            return None
        sizes = np.sqrt(np.abs(np.diag(approximate)))
        scale = 1 / np.where(sizes > 0, sizes, 1)
        vectors = np.linalg.eigh(scale[:, None] * approximate * scale)[1]
        factor = factor * exact(scale[:, None] * vectors)
    return None


def _dominates(row: list[arb], i: int, diagonal: arb) -> bool:
    rest = sum((entry.abs_upper() for j, entry in enumerate(row) if j != i), arb(0))
    return bool(diagonal > rest)
