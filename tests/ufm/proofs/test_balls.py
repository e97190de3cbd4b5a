"""Balls round outward, and what they prove is so."""

from fractions import Fraction

import numpy as np
import pytest
from flint import arb, arb_mat, ctx
from hypothesis import given
from hypothesis import strategies as st

from ufm.proofs import balls

REAL = st.floats(-1e300, 1e300).filter(lambda x: x == 0 or abs(x) > 1e-290)


def fraction(exact: arb) -> Fraction:
    mantissa, exponent = exact.man_exp()
    return Fraction(int(mantissa)) * Fraction(2) ** int(exponent)


@given(middle=REAL, divisor=st.integers(1, 999), radius=st.floats(0, 1e9), bits=st.integers(20, 200))
def test_bounds_round_outward(middle, divisor, radius, bits):
    with balls.working_precision(bits):
        ball = arb(middle) / divisor + arb(0, radius)
    low, high = fraction(ball.mid()) - fraction(ball.rad()), fraction(ball.mid()) + fraction(ball.rad())
    with balls.working_precision(200):
        assert Fraction(balls.lower(ball)) <= low
        assert Fraction(balls.upper(ball)) >= high
        # And no farther than two steps from the nearest double, beyond the rounding to 200 bits.
        assert Fraction(balls.upper(ball)) <= high + abs(high) * Fraction(2) ** -51 + Fraction(2) ** -1070
    with balls.working_precision(bits):
        assert Fraction(balls.lower(ball)) <= Fraction(middle) / divisor <= Fraction(balls.upper(ball))


@given(x=REAL)
def test_doubles_are_exact_at_any_precision(x):
    with balls.working_precision(4):
        assert fraction(balls.exact(np.array([[x]]))[0, 0]) == Fraction(x)


def test_working_precision_is_restored_after_an_error():
    before = ctx.prec
    with pytest.raises(ZeroDivisionError), balls.working_precision(before + 24):
        ctx.prec // (ctx.prec - before - 24)
    assert ctx.prec == before


def test_largest_and_row_sums():
    matrix = arb_mat([[arb(1), arb(-4, 0.5)], [arb(0), arb(2)]])
    assert 4.5 <= balls.upper(balls.largest(matrix)) < 4.5000001
    assert 5.5 <= balls.upper(balls.row_sums(matrix)) < 5.5000001
    matrix[1, 0] = arb("nan")
    assert not balls.largest(matrix) < arb(10) ** 99
    assert not balls.row_sums(matrix) < arb(10) ** 99


@pytest.mark.parametrize("size", [0, 1, 5, 20])
def test_positive_definite_agrees_with_eigenvalues(size):
    root = np.random.default_rng(size).standard_normal((size, size))
    gram = root @ root.T
    least = np.linalg.eigvalsh(gram).min(initial=1.0)
    eye = np.eye(size)
    assert balls.positive_definite(balls.exact(gram - 0.999 * least * eye))
    if size:
        assert not balls.positive_definite(balls.exact(gram - 1.001 * least * eye))


@pytest.mark.parametrize("entry", [arb(1, 1.01), arb(0), arb("nan"), arb(-1)])
def test_a_ball_with_a_singular_matrix_is_not_positive_definite(entry):
    assert not balls.positive_definite(arb_mat([[arb(2), arb(0)], [arb(0), entry]]))


def test_every_matrix_of_the_ball_counts():
    """The midpoint is well conditioned; with its radius the off-diagonal reaches 1 and the matrix is singular."""
    for radius, expected in ((0.4, True), (0.6, False)):
        off = arb(0.5, radius)
        assert balls.positive_definite(arb_mat([[arb(1), off], [off, arb(1)]])) is expected


def test_orthonormal_encloses_an_orthonormal_basis_of_the_same_space():
    basis = np.linalg.qr(np.random.default_rng(0).standard_normal((7, 3)))[0] * [1.0, 0.5, 2.0]
    with balls.working_precision(128):
        frame = balls.orthonormal(basis)
        gram = frame.transpose() * frame
        assert gram.contains(balls.identity(3))
        assert balls.largest(gram - balls.identity(3)) < arb(2) ** -110
        left = balls.exact(basis) - frame * (frame.transpose() * balls.exact(basis))
        assert balls.largest(left) < arb(2) ** -110


@pytest.mark.parametrize("values", [[3.0, -2.0, 1.0], [1.0, 1e-30, -1e-30, -1e-25], [-1e-14, 1e-14, 1.0, 1.0], []])
def test_inertia_counts_negative_eigenvalues_of_any_size(values):
    """Q diag(values) Q^T with an exact orthogonal Q: I - 2 v v^T/|v|^2 for v = (1, 2, ...)."""
    n = len(values)
    with balls.working_precision(256):
        v = balls.column(arb(i + 1) for i in range(n))
        Q = balls.identity(n) - v * v.transpose() * (arb(2) / balls.square_norm(v)) if n else balls.identity(0)
        A = Q * balls.diagonal([arb(value) for value in values]) * Q.transpose()
        assert balls.inertia(A) == sum(value < 0 for value in values)
        for i, value in enumerate(values):
            unit = Q * balls.column(arb(int(i == j)) for j in range(n))
            assert balls.inertia(A - unit * unit.transpose() * arb(value)) is None
            assert balls.inertia(A + unit * unit.transpose() * arb(0, 2 * abs(value))) is None


def test_inertia_of_what_is_no_number_is_undecided():
    assert balls.inertia(arb_mat([[arb("nan"), arb(0)], [arb(0), arb(1)]])) is None
