"""How far a numerical point is from a reduced one, enclosed over all K d + d N + K variables."""

import torch
from flint import arb, arb_mat

from ..point import Point
from .balls import column, diagonal, exact, orthonormal, square_norm
from .enclosure import Reduced


class Distance:
    """Distances from the given point to (W, H~, b) = (2^-power X Q^T, 2^power Y Q^T, b).

    Q (d, r) is the Gram-Schmidt basis of the float64 matrix `basis` (d, r), enclosed: which orthonormal one next to it
    is taken does not matter, since distances are meant modulo O(d).
    """

    def __init__(self, reduced: Reduced, point: Point, means: Point, basis: torch.Tensor):
        self.reduced = reduced
        self.frame = orthonormal(basis.numpy()).transpose()
        self.W, self.H, self.b = exact(means.W), exact(means.H), exact(means.b[:, None])
        self.roots = diagonal(reduced.roots)
        self.spread = within_class_spread(reduced, point, means)

    def to(self, x: arb_mat) -> arb:
        """An exact upper bound on the distance to every reduced point in the box x (size, 1)."""
        (X, Y, b), (to_W, to_H) = self.reduced.split(x), self.reduced.scales
        total = square_norm(self.W - X * to_W * self.frame) + square_norm(self.roots * self.H - Y * to_H * self.frame)
        if self.reduced.problem.bias:
            total += square_norm(self.b - column(b))
        return (total.upper().sqrt() + self.spread).upper()


def within_class_spread(reduced: Reduced, point: Point, means: Point) -> arb:
    """An upper bound on the root of sum_i |h_i - m_i|^2, m_i the float64 mean of sample i's type.

    In float64, at once for all N d entries: the sum of n squares has a relative error below (n + 3) 2^-53 and
    loses less than 2^-1074 a square to underflow. Source: Higham, "Accuracy and Stability of Numerical
    Algorithms", 2002, section 3.1; the bound below is twice that.
    """
    landscape, _ = reduced.problem.landscape_at(point)
    total = arb(float((point.H - means.H[landscape.labels]).square().sum()))
    count = point.H.numel()
    return (total * (1 + arb(count + 3) * arb(2) ** -52) + count * arb(2) ** -1073).upper().sqrt().upper()
