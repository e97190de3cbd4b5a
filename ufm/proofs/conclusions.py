"""What kind of critical point a box holds, decided in balls.

The box `jet.x` holds an exact critical point x* = (X, Y, b) of the reduced problem with X of rank r (proved before).
With orthonormal Q (d, r), (X Q^T, Y Q^T, b) is a critical point of the full problem for every d >= r: the gradients
G~^T Y Q^T + lW X Q^T and G~ X Q^T + lH Y Q^T stay in the row space of Q^T, and the samples of a class, which share
their feature, share their gradient. What can be said of it needs the exact identities

    G~^T Y = -lW X,   G~ X = -lH Y,   hence   G~^T G~ X = lW lH X   and   lW X^T X = lH Y^T Y.

Global minimisers. By the last identity lW |X|^2 = sqrt(lW lH) |X Y^T|_*, and <G~^T, X Y^T> = -lW |X|^2; so if
|G~|_2 <= sqrt(lW lH), then -G~^T is a subgradient of sqrt(lW lH) |Z|_* at Z = X Y^T, and (Z, b) minimises the convex
function g(Z + b) + sqrt(lW lH) |Z|_* + lb/2 |b|^2, which is below f everywhere (docs/theory.md, section 3). The
inequality is an equality on the range of X and no enclosure could decide it there. But G~^T G~ is symmetric and equal
to lW lH on that range, so it leaves the complement alone, and |G~|_2 <= sqrt(lW lH) follows when

    lW lH (I + P) - G~^T G~,      P = X (X^T X)^-1 X^T the projection to the range of X,

is positive definite: on the range it is lW lH I, on the complement the strict inequality. If r = K - 1 the complement
is spanned by 1, where G~ vanishes: such a point is always global, and the test passes with room to spare.

Strict saddles. Where r < d there is a unit v with X Q^T v = 0, and dW = a u v^T, dH~ = -c t v^T does not move the
logits: its second form is lW a^2 |u|^2 + lH c^2 |t|^2 - 2 a c t^T G~ u, for any u, t, a, c. Where r = d the reduced
Hessian is the full one on collapsed directions, and any direction in it will do.

Local minimisers. Where r = d the full Hessian is the reduced one and, for features that move within class k, the
blocks X^T S_k X/N + lH I, which are positive definite (docs/theory.md, section 6.1). T(x*) spans the orbit's tangent,
which is in the null space; if Hessian + T T^T is positive definite, that is the whole null space, the Hessian is
positive on its complement, and f is strictly larger near the orbit.

The whole argument is in docs/theory.md, section 9.
"""

import math

import numpy as np
from flint import arb, arb_mat

from ..results import PointVerdict
from .balls import exact, floats, identity, positive_definite, square_norm
from .enclosure import BallJet
from .krawczyk import NotProved

SLACK = 1e-9  # by how much a proved bound on |G~|_2 exceeds its floating-point approximation


def conclude(jet: BallJet) -> tuple[PointVerdict, arb | None]:
    """(verdict, curvature): what the point is; the curvature along a direction, for a strict saddle.

    Raises NotProved when nothing is proved.
    """
    if not positive_definite(jet.X.transpose() * jet.X):
        raise NotProved(f"the rank of W is not proved to be {jet.reduced.rank}")
    if is_global(jet):
        return PointVerdict.GLOBAL_MINIMIZER, None
    full = jet.reduced.rank == jet.reduced.problem.dim
    curvature = reduced_curvature(jet) if full else explicit_curvature(jet)
    if curvature < 0:
        return PointVerdict.STRICT_SADDLE, curvature
    if full and is_minimal(jet):
        return PointVerdict.LOCAL_MINIMIZER, None
    raise NotProved("a critical point is there, but no curvature is proved negative and no minimum either")


def is_global(jet: BallJet) -> bool:
    """Whether |G~|_2 <= sqrt(lW lH) is proved, with equality on the range of X."""
    lW, lH, _ = jet.reduced.decays
    gram = (jet.X.transpose() * jet.X).inv(nonstop=True)
    projection = jet.X * gram * jet.X.transpose()
    return positive_definite((identity(jet.reduced.num_classes) + projection) * (lW * lH) - square(jet.G))


def explicit_curvature(jet: BallJet) -> arb:
    """The second form along dW = a u v^T, dH~ = -c t v^T over its squared norm, (u, t) the top singular pair of G~."""
    lW, lH, _ = jet.reduced.decays
    rows, sizes, columns = np.linalg.svd(floats(jet.G))
    least = (float(lW) + float(lH)) / 2 - math.hypot((float(lW) - float(lH)) / 2, sizes[0])
    dW = exact(sizes[0] * columns[:1].T)
    dH = exact((float(lW) - least) * rows[:, :1])
    form = lW * square_norm(dW) + lH * square_norm(dH) - 2 * (dH.transpose() * jet.G * dW)[0, 0]
    to_W, to_H = jet.reduced.scales
    return form / (square_norm(dW * to_W) + square_norm(dH * to_H))


def reduced_curvature(jet: BallJet) -> arb:
    """The second form along an approximate lowest eigenvector of the reduced Hessian, over its squared norm."""
    direction = exact(np.linalg.eigh(floats(jet.hessian))[1][:, :1])
    return (direction.transpose() * jet.hessian * direction)[0, 0] / jet.reduced.square_norm(direction)


def is_minimal(jet: BallJet) -> bool:
    """Whether the reduced Hessian is proved positive definite across the orbit."""
    tangents = jet.reduced.tangents(jet.x)
    return positive_definite(jet.hessian + tangents * tangents.transpose())


def lower_bound(jet: BallJet, tight: bool) -> arb | None:
    """The dual value of `ufm.lower_bound` at the exact critical point; None where |G~|_2 is not bounded.

    tight   |G~|_2 <= sqrt(lW lH) is proved: t = 1. Else t = sqrt(lW lH)/sigma for a proved sigma >= |G~|_2.
    The dual's bias term is |t G 1|^2/(2 lb), absent without a bias and zero at a critical point with lb = 0.
    """
    reduced = jet.reduced
    t = arb(1) if tight else feasible(jet)
    if t is None:
        return None
    entropy = arb(0)
    for k, (n, error) in enumerate(zip(reduced.problem.class_counts, jet.errors, strict=True)):
        wrong = [t * p for j, p in enumerate(jet.probabilities[k]) if j != k]
        entropy -= n * sum((q * q.log() for q in [1 - t * error, *wrong]), arb(0))
    bound = entropy / reduced.num_samples
    if reduced.problem.bias and not reduced.free_shift:
        bound -= sum((t * t * g * g for g in jet.total_slope), arb(0)) / (2 * reduced.decays[2])
    return bound


def feasible(jet: BallJet) -> arb | None:
    """t in (0, 1] with t |G~|_2 <= sqrt(lW lH) proved; None where it is not."""
    lW, lH, _ = jet.reduced.decays
    top = arb(float(np.linalg.norm(floats(jet.G), 2)) * (1 + SLACK))
    if not positive_definite(identity(jet.reduced.num_classes) * (top * top) - square(jet.G)):
        return None
    t = (lW * lH).sqrt() / top
    return t if t < 1 else None


def square(G: arb_mat) -> arb_mat:
    """G^T G."""
    return G.transpose() * G
