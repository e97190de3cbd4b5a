"""Classes that turn into each other: where critical points come as manifolds, and what those are.

For half the squared error with targets that are multiples of e_k, a rotation U of the classes of equal n_k that keeps
(1, ..., 1) (any U where there is no bias) leaves f alone: (U W, U H~, U b) has the value of (W, H~, b). So a critical
point with r_g dimensions among m_g in each such group stands for a product of Grassmannians Gr(r_g, m_g), modulo O(d)
(docs/theory, section 10.6).
"""

import math
from dataclasses import dataclass

import numpy as np
import torch

from ..problem import Problem
from .family import Family

PRESENT = 1e-6  # a singular value of a group's part of H~ W^T above this, relative to the largest, counts


@dataclass(frozen=True)
class Group:
    """Classes of one kind; basis (K, m) is orthonormal and spans the space in which they turn."""

    classes: tuple[int, ...]
    basis: np.ndarray


def groups(problem: Problem) -> list[Group]:
    """The groups that turn in two dimensions or more; none for a loss that only lets classes be exchanged."""
    if not getattr(problem.loss, "turns", False):
        return []
    found = []
    for kind in sorted(set(problem.kinds)):
        classes = tuple(k for k, one in enumerate(problem.kinds) if one == kind)
        m = len(classes)
        inside = np.eye(m) - (1 / m if problem.bias else 0.0)
        axes = np.linalg.eigh(inside)[1][:, int(problem.bias) :]
        if axes.shape[1] >= 2:
            basis = np.zeros((problem.num_classes, axes.shape[1]))
            basis[list(classes)] = axes
            found.append(Group(classes, basis))
    return found


def grassmannian(turning: list[Group], family: Family, x: torch.Tensor) -> tuple[tuple[int, int], ...]:
    """((r, m), ...): the critical point x (size,) stands for the product of the Gr(r, m), one for each group."""
    if not turning:
        return ()
    W, scaled, _ = family.landscape.split(x)
    M = (scaled @ W.T).numpy()
    unit = np.linalg.norm(M, 2)
    found = []
    for group in turning:
        sizes = np.linalg.svd(group.basis.T @ M @ group.basis, compute_uv=False)
        found.append((int((sizes > PRESENT * unit).sum()), group.basis.shape[1]))
    return tuple(found)


def dimension(spaces: tuple[tuple[int, int], ...]) -> int:
    """The dimension of the product of the Grassmannians."""
    return sum(r * (m - r) for r, m in spaces)


def characteristic(spaces: tuple[tuple[int, int], ...]) -> int:
    """The Euler characteristic of the product of real Grassmannians.

    chi(Gr(r, m)) is C(floor(m/2), floor(r/2)), and 0 where r is odd and m even (Schubert cells counted with signs).
    """
    return math.prod(0 if r % 2 and not m % 2 else math.comb(m // 2, r // 2) for r, m in spaces)


def named(spaces: tuple[tuple[int, int], ...]) -> str:
    """The manifold in words: "Gr(2, 4) x Gr(1, 3)"; empty for a point."""
    return " x ".join(f"Gr({r}, {m})" for r, m in spaces if 0 < r < m)
