"""What kind of critical point a box holds, decided in balls.

The box `jet.x` holds an exact critical point x* = (X, Y, b) of the reduced problem with X of rank r (proved before).
With orthonormal Q (d, r), (X Q^T, Y Q^T, b) is a critical point of the full problem for every d >= r: the gradients
G~^T Y Q^T + lW X Q^T and G~ X Q^T + lH Y Q^T stay in the row space of Q^T, and the samples of a type, which share
their feature, share their gradient. What can be said of it needs the exact identities

    G~^T Y = -lW X,   G~ X = -lH Y,   hence   G~^T G~ X = lW lH X   and   lW X^T X = lH Y^T Y,

which need a differentiable loss and nothing else: any number T of types, any d.

Global minimisers. By the last identity lW |X|^2 = sqrt(lW lH) |X Y^T|_*, and <G~^T, X Y^T> = -lW |X|^2; so if
|G~|_2 <= sqrt(lW lH), then -G~^T is a subgradient of sqrt(lW lH) |Z|_* at Z = X Y^T, and (Z, b) minimises the convex
function g(Z + b) + sqrt(lW lH) |Z|_* + lb/2 |b|^2, which is below f everywhere (docs/theory, section 3). The
inequality is an equality on the range of X and no enclosure could decide it there. But G~^T G~ (K, K) is symmetric and
equal to lW lH on that range, so it leaves the complement alone, and |G~|_2 <= sqrt(lW lH) follows when

    lW lH (I + P) - G~^T G~,      P = X (X^T X)^-1 X^T the projection to the range of X,

is positive definite: on the range it is lW lH I, on the complement the strict inequality. Where r is the most that it
can be (K - 1 for a shift-invariant loss, else K; or T) G~ vanishes on the complement: such a point is always global,
and the test passes with room to spare. A loss that is not convex is replaced by its convex envelope, which is below
it: the argument holds where the two are equal at every z_t, with the same slope there. That is l_t(z) + l_t*(u) =
<u, z>, which is proved or the point is not proved global.

Strict saddles. Where r < d there is a unit v with X Q^T v = 0, and dW = a u v^T, dH~ = -c t v^T does not move the
logits: its second form is lW a^2 |u|^2 + lH c^2 |t|^2 - 2 a c t^T G~ u, for any u, t, a, c. For a convex loss nothing
else is needed there: if no such direction descends the point is global. Where r = d, or the loss is not convex, the
reduced Hessian is the full one on collapsed directions in the row space, and any direction in it will do; and where
the loss is not convex so will two samples of a type moved apart, +-v/sqrt 2, whose second form is
v^T (X^T S_t X/N + lH I) v.

Local minimisers. The full Hessian is the reduced one and two more kinds of blocks (docs/theory, section 6.1, which
needs a collapsed point and no convexity): X^T S_t X/N + lH I for features that move within type t, where n_t >= 2,
positive definite for a convex loss and else proved so; and, d - r times, [[lW I, G~^T], [G~, lH I]], which is positive
semidefinite with a null space of dimension r where the test of |G~|_2 above goes through: the rotations of the row
space. T(x*) spans the tangent of the other symmetries, which is in the null space of the reduced Hessian; if that plus
T T^T is positive definite, there is no more of it, the Hessian is positive across the orbit, and f is strictly larger
near it.

The whole argument is in docs/theory, section 9.
"""

import math
from collections.abc import Iterator

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
    for curvature in curvatures(jet):
        if curvature < 0:
            return PointVerdict.STRICT_SADDLE, curvature
    if is_minimal(jet):
        return PointVerdict.LOCAL_MINIMIZER, None
    raise NotProved("a critical point is there, but no curvature is proved negative and no minimum either")


def is_global(jet: BallJet) -> bool:
    """Whether |G~|_2 <= sqrt(lW lH) is proved, and that the loss equals its convex envelope at all logits."""
    return all(row.touches_envelope for row in jet.rows) and is_bounded(jet)


def is_bounded(jet: BallJet) -> bool:
    """Whether |G~|_2 <= sqrt(lW lH) is proved, with equality on the range of X and nowhere else."""
    lW, lH, _ = jet.reduced.decays
    gram = (jet.X.transpose() * jet.X).inv(nonstop=True)
    projection = jet.X * gram * jet.X.transpose()
    return positive_definite((identity(jet.reduced.num_classes) + projection) * (lW * lH) - square(jet.G))


def curvatures(jet: BallJet) -> Iterator[arb]:
    """The second forms along directions that may descend, over their squared norms."""
    problem = jet.reduced.problem
    full, convex = jet.reduced.rank == problem.dim, problem.loss.convex
    if not full:
        yield explicit_curvature(jet)
    if jet.reduced.size and (full or not convex):
        yield reduced_curvature(jet)
    if jet.reduced.rank and not convex:
        yield from (within_curvature(jet, t) for t, n in enumerate(problem.class_counts) if n >= 2)


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


def within_block(jet: BallJet, t: int) -> arb_mat:
    """X^T S_t X/N + lH I (r, r): the second form in features that move within type t."""
    block = jet.X.transpose() * (jet.rows[t].curvature / arb(jet.reduced.num_samples)) * jet.X
    return block + identity(jet.reduced.rank) * jet.reduced.decays[1]


def within_curvature(jet: BallJet, t: int) -> arb:
    """The second form along an approximate lowest eigenvector of that block, over its squared norm."""
    block = within_block(jet, t)
    direction = exact(np.linalg.eigh(floats(block))[1][:, :1])
    return (direction.transpose() * block * direction)[0, 0] / square_norm(direction * jet.reduced.scales[1])


def is_minimal(jet: BallJet) -> bool:
    """Whether the Hessian is proved positive definite across the orbit."""
    problem = jet.reduced.problem
    if jet.reduced.rank < problem.dim and not is_bounded(jet):
        return False
    spread = [t for t, n in enumerate(problem.class_counts) if n >= 2 and not problem.loss.convex]
    if not all(positive_definite(within_block(jet, t)) for t in spread):
        return False
    tangents = jet.reduced.tangents(jet.x)
    return positive_definite(jet.hessian + tangents * tangents.transpose())


def lower_bound(jet: BallJet, tight: bool) -> arb | None:
    """The dual value of `ufm.lower_bound` at the exact critical point; None where |G~|_2 is not bounded.

    tight   the point is proved global: t = 1. Else t = sqrt(lW lH)/sigma for a proved sigma >= |G~|_2, or less where
            the slopes would leave the domain of the conjugate.
    The dual's bias term is |t G 1|^2/(2 lb), absent without a bias and zero at a critical point with lb = 0.
    """
    problem = jet.reduced.problem
    t = arb(1) if tight else feasible(jet)
    if t is None:
        return None
    terms = zip(problem.class_counts, jet.rows, strict=True)
    bound = sum((n * row.negative_conjugate(t) for n, row in terms), arb(0)) / jet.reduced.num_samples
    if problem.bias and problem.lambda_b > 0:
        bound -= sum((t * t * g * g for g in jet.total_slope), arb(0)) / (2 * jet.reduced.decays[2])
    return bound if bound.is_finite() else None


def feasible(jet: BallJet) -> arb | None:
    """t in (0, 1] with t |G~|_2 <= sqrt(lW lH) proved, and t u_t in the domain of l_t*; None where there is none."""
    lW, lH, _ = jet.reduced.decays
    top = arb(float(np.linalg.norm(floats(jet.G), 2)) * (1 + SLACK))
    if not positive_definite(identity(jet.reduced.num_classes) * (top * top) - square(jet.G)):
        return None
    t = (lW * lH).sqrt() / top
    most = min((row.most.lower() for row in jet.rows), default=arb(1))
    if t > most:
        return most
    return t if t <= most else None


def square(G: arb_mat) -> arb_mat:
    """G^T G."""
    return G.transpose() * G
