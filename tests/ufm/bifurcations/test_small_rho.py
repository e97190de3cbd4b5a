"""K = 3 far below the threshold: above which lb/s (a, 0, -a) breaks its sign symmetry, by mpmath and by the curve."""

import mpmath
import pytest
import torch

from ufm.bifurcations import Path
from ufm.bifurcations.branches import LOSS, curve_through, pieces

# rho: lb/s as noted, half a unit of its last digit, a and b_1 there
NOTED = {
    "0.03": ("48.61", "0.005", 2.0003, -0.1676),
    "1e-3": ("10.618", "0.0005", 3.3219, -1.3760),
    "1e-7": ("4.319", "0.0005", 5.4079, -4.3758),
    "1e-11": ("2.707", "0.0005", 6.8998, -7.4264),
}


def rows(w, h, b):
    """p (3, 3), row k that of class k's sample."""
    terms = [[mpmath.exp(h[k] * w[j] + b[j]) for j in range(3)] for k in range(3)]
    return [[term / mpmath.fsum(row) for term in row] for row in terms]


def symmetric(s, lb, guess):
    """(a, e) of w = h = (a, 0, -a), b = (e, -2e, e): the gradient in w_1 and b_1 vanishes."""

    def gradient(a, e):
        w, b = (a, 0, -a), (e, -2 * e, e)
        p = rows(w, w, b)
        in_w = mpmath.fsum(p[k][0] * w[k] for k in range(3)) - w[0]
        return [in_w / 3 + s * a, (mpmath.fsum(p[k][0] for k in range(3)) - 1) / 3 + lb * e]

    return mpmath.findroot(gradient, guess)


def least_curvature(s, lb, guess):
    """Over s, in the five moves that the symmetry (w, h, b) -> (-w, -h, b) with the ends exchanged reverses."""
    a, e = symmetric(s, lb, guess)
    w, b = (a, 0, -a), (e, -2 * e, e)
    p, r = rows(w, w, b), mpmath.sqrt(mpmath.mpf(1) / 2)
    ends, middle, nothing = (r, 0, r), (0, 1, 0), (0, 0, 0)
    moves = [(ends, nothing, nothing), (middle, nothing, nothing), (nothing, ends, nothing), (nothing, middle, nothing)]
    moves.append((nothing, nothing, (r, 0, -r)))
    form = mpmath.matrix(5)
    for i, first in enumerate(moves):
        for j, second in enumerate(moves):
            form[i, j] = second_form(p, w, first, second, s, lb) / s
    return min(mpmath.eigsy(form, eigvals_only=True))


def second_form(p, w, first, second, s, lb):
    total = 0
    for k in range(3):
        one, other = ([m[1][k] * w[j] + w[k] * m[0][j] + m[2][j] for j in range(3)] for m in (first, second))
        mean = [mpmath.fsum(q * v for q, v in zip(p[k], z, strict=True)) for z in (one, other)]
        total += mpmath.fsum(q * u * v for q, u, v in zip(p[k], one, other, strict=True)) - mean[0] * mean[1]
        slopes = [p[k][j] - (j == k) for j in range(3)]
        total += mpmath.fsum(
            g * (first[1][k] * second[0][j] + second[1][k] * first[0][j]) for j, g in enumerate(slopes)
        )
    decays = ((s, 0), (s, 1), (lb, 2))
    return total / 3 + mpmath.fsum(
        c * u * v for c, part in decays for u, v in zip(first[part], second[part], strict=True)
    )


@pytest.mark.parametrize("rho", NOTED)
def test_the_noted_thresholds_are_right_to_their_last_digit(rho):
    noted, half, *guess = NOTED[rho]
    with mpmath.workdps(40):
        s = mpmath.mpf(rho) / 3
        below, above = (
            least_curvature(s, s * (mpmath.mpf(noted) + sign * mpmath.mpf(half)), guess) for sign in (-1, 1)
        )
        assert below > 0 > above


def test_a_figure_that_is_wrong_in_its_last_digit_is_seen():
    _, half, *guess = NOTED["1e-3"]
    with mpmath.workdps(40):
        s = mpmath.mpf("1e-3") / 3
        for wrong in ("10.617", "10.619"):
            ends = [least_curvature(s, s * (mpmath.mpf(wrong) + sign * mpmath.mpf(half)), guess) for sign in (-1, 1)]
            assert ends[0] * ends[1] > 0


@pytest.mark.parametrize("rho", ["0.03", "1e-3", "1e-7"])
def test_the_curve_loses_its_symmetry_there(rho):
    noted, _, a, e = NOTED[rho]
    s = float(rho) / 3
    path = Path(3, "lambda_b", 0.9 * float(noted) * s, 1.1 * float(noted) * s, float(rho))
    with mpmath.workdps(40):
        a, e = map(float, symmetric(mpmath.mpf(rho) / 3, mpmath.mpf(path.begin), (a, e)))
    x = torch.tensor([a, 0, -a, a, 0, -a, e, -2 * e, e], dtype=torch.float64)
    first = next(pieces(curve_through(path, x, path.begin).start(x, path.begin, True)))
    assert first.last.kind == LOSS
    found = first.last.place.t / s
    with mpmath.workdps(40):
        guess = first.last.place.x[0].item(), first.last.place.x[6].item()
        exact, tight = mpmath.mpf(rho) / 3, mpmath.mpf("1e-6")
        assert least_curvature(exact, exact * found * (1 - tight), guess) > 0
        assert least_curvature(exact, exact * found * (1 + tight), guess) < 0
