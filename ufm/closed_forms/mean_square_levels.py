"""The spectrum at the balanced minimiser of the squared error, one-hot targets (docs/theory, section 11.2).

W = Q diag(a), H~ = Q diag(b), the columns of Q orthonormal: K - 1 that span the complement of 1, and u = 1/sqrt K
where level > 0. With a_i b_i = sqrt n m_i, lW a_i^2 = lH b_i^2, m_i = margin or level, N = K n, s0 = sqrt(lW lH) and
G~ = -Q diag(g) Q^T, directions dW = Q X, dH~ = Q Y, db = Q v have the second form

    (1/N) |X diag(b) + diag(a) Y^T + sqrt N v e_u^T|^2 - 2 <diag(g) X, Y> + lW |X|^2 + lH |Y|^2 + lb |v|^2.

g = s0 but on u where level = 0: s0 t there, t the tension. S = I, so pairs (i, j) of columns split, and symmetric
from antisymmetric parts where m_i = m_j:

    antisymmetric   0 and Tr,  Tr = (a^2 + b^2)/N + lW + lH             symmetric   roots of x^2 - Tr x + 4 a b s0/N

That is all without a bias, where m_i is one number: each symmetric root K (K+1)/2 times, Tr and 0 each K (K-1)/2.
"""

from collections.abc import Iterator

import numpy as np
from scipy.linalg import null_space

from ..losses import MeanSquare
from ..problem import Problem
from .balanced import rank
from .levels import Level
from .mean_square import minimizer_form


def minimizer_levels(problem: Problem) -> Iterator[Level] | None:
    """(eigenvalue, multiplicity) at the closed-form global minimiser of balanced classes, weight 1, d >= its rank.

    None elsewhere. Multiplicities add up to problem.num_variables.
    """
    loss = problem.loss
    assert isinstance(loss, MeanSquare)
    if not problem.is_balanced or loss.targets is not None or loss.weight != 1:
        return None
    form = minimizer_form(problem)
    if problem.dim < rank(problem, form):
        return None
    if form.margin == 0:
        return _origin(problem, form.tension)
    if not problem.bias:
        return _square(problem, form.margin, problem.num_classes)
    if form.level:
        return _full(problem, form.margin, form.level)
    return _frame(problem, form.margin, form.tension)


def _amplitudes(problem: Problem, size: float) -> tuple[float, float]:
    """(a, b) with a b = sqrt n size and lW a^2 = lH b^2."""
    product = problem.per_class**0.5 * size
    tilt = (problem.lambda_h / problem.lambda_w) ** 0.25
    return product**0.5 * tilt, product**0.5 / tilt


def _pairs(problem: Problem, size: float, columns: int) -> Iterator[Level]:
    """X and Y on `columns` columns of one m_i."""
    (a, b), N = _amplitudes(problem, size), problem.num_samples
    trace = (a * a + b * b) / N + problem.lambda_w + problem.lambda_h
    product = 4 * a * b * problem.ridge / N
    high = trace / 2 + (trace**2 / 4 - product) ** 0.5
    both, turned = columns * (columns + 1) // 2, columns * (columns - 1) // 2
    yield from ((product / high, both), (high, both), (trace, turned), (0.0, turned))


def _out(problem: Problem, pull: float, directions: int) -> Iterator[Level]:
    """W and H off the row space along one left and right singular vector of G~ of size `pull`, and `directions`."""
    lW, lH = problem.lambda_w, problem.lambda_h
    if pull == problem.ridge:
        yield from ((0.0, directions), (lW + lH, directions))
    else:
        for value in np.linalg.eigvalsh([[lW, -pull], [-pull, lH]]):
            yield float(value), directions


def _within(problem: Problem, sizes: list[tuple[float, int]]) -> Iterator[Level]:
    """Features within a class: a_i^2/N + lH on each column, lH off them."""
    deviations, left = problem.num_samples - problem.num_classes, problem.dim
    for size, columns in sizes:
        a, _ = _amplitudes(problem, size)
        yield problem.lambda_h + a * a / problem.num_samples, deviations * columns
        left -= columns
    yield problem.lambda_h, deviations * left


def _square(problem: Problem, size: float, columns: int) -> Iterator[Level]:
    """No bias: W W^T a multiple of I."""
    yield from _pairs(problem, size, columns)
    yield from _out(problem, problem.ridge, columns * (problem.dim - columns))
    yield from _within(problem, [(size, columns)])


def _frame(problem: Problem, size: float, tension: float) -> Iterator[Level]:
    """A bias, level = 0: on u, X and Y (a row) meet db in three by three blocks."""
    K, N, d = problem.num_classes, problem.num_samples, problem.dim
    lW, lH, lb = problem.lambda_w, problem.lambda_h, problem.lambda_b
    (a, b), pull = _amplitudes(problem, size), problem.ridge * tension
    row = np.array(
        [[lW + b * b / N, -pull, 0], [-pull, lH + a * a / N, a / N**0.5], [0, a / N**0.5, 1 + lb]],
    )
    yield from _pairs(problem, size, K - 1)
    yield from ((float(value), K - 1) for value in np.linalg.eigvalsh(row))
    yield 1 + lb, 1
    yield from _out(problem, problem.ridge, (K - 1) * (d - K + 1))
    yield from _out(problem, pull, d - K + 1)
    yield from _within(problem, [(size, K - 1)])


def _full(problem: Problem, margin: float, level: float) -> Iterator[Level]:
    """A bias, level > 0: blocks of (X_iu, X_ui, Y_iu, Y_ui, v_i), less the rotation of i and u, and of (X, Y, v)_uu."""
    K, N, d = problem.num_classes, problem.num_samples, problem.dim
    lW, lH, lb, s0 = problem.lambda_w, problem.lambda_h, problem.lambda_b, problem.ridge
    (a, b), (a0, b0) = _amplitudes(problem, margin), _amplitudes(problem, level)
    mixed = np.diag([lW, lW, lH, lH, lb])
    mixed[[0, 2, 1, 3], [2, 0, 3, 1]] = -s0
    for seen in ([b0, 0, 0, a, N**0.5], [0, b, a0, 0, 0]):
        mixed += np.outer(seen, seen) / N
    across = null_space([[a, -a0, b, -b0, 0]])
    same = [b0, a0, N**0.5]
    alone = np.array([[lW, -s0, 0], [-s0, lH, 0], [0, 0, lb]]) + np.outer(same, same) / N
    yield from _pairs(problem, margin, K - 1)
    yield 0.0, K - 1
    yield from ((float(value), K - 1) for value in np.linalg.eigvalsh(across.T @ mixed @ across))
    yield from ((float(value), 1) for value in np.linalg.eigvalsh(alone))
    yield from _out(problem, s0, K * (d - K))
    yield from _within(problem, [(margin, K - 1), (level, 1)])


def _origin(problem: Problem, tension: float) -> Iterator[Level]:
    """W = H = 0: G~ = -(sqrt n/N) (m Pi + pull J)."""
    K, n, N, d = problem.num_classes, problem.per_class, problem.num_samples, problem.dim
    loss = problem.loss
    assert isinstance(loss, MeanSquare)
    yield from _out(problem, loss.target * n**0.5 / N, d * (K - 1))
    yield from _out(problem, problem.ridge * tension, d)
    yield from _within(problem, [])
    if problem.bias:
        yield 1 + problem.lambda_b, K
