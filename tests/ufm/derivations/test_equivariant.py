"""Second forms for symbolic K against the dense Hessian by autograd, at frames that are not even critical."""

import numpy as np
import pytest
import sympy as sp
import torch

from tests.cases import autograd_hessian
from ufm import Point, Problem
from ufm.closed_forms.simplex import simplex_frame
from ufm.derivations.equivariant import (
    AT_FRAME,
    AT_ORIGIN,
    FRAME,
    ORIGIN,
    K,
    Model,
    alpha,
    beta,
    d,
    lb,
    lH,
    lW,
    n,
    second_form,
    standard,
    total,
)
from ufm.solvers.critical import origin


def eigenvalues(problem: Problem, parts, scales: tuple[float, float]) -> list[float]:
    """Of every part at the numbers of a problem with K >= 3, as often as they occur."""
    numbers = {K: problem.num_classes, n: problem.per_class, d: problem.dim, alpha: scales[0], beta: scales[1]}
    numbers |= {lW: problem.lambda_w, lH: problem.lambda_h, lb: problem.lambda_b}
    found, place = [], FRAME if parts is AT_FRAME else ORIGIN
    for part in parts:
        hessian, gram = (np.array(form.subs(numbers), dtype=float) for form in second_form(part, place))
        keep = [i for i, (name, _) in enumerate(part.directions) if name != "b" or problem.bias]
        lengths = np.sqrt(np.diag(gram))
        assert np.allclose(gram, np.diag(lengths**2))  # the directions are orthogonal
        normal = (hessian / np.outer(lengths, lengths))[np.ix_(keep, keep)]
        found += np.linalg.eigvalsh(normal).tolist() * int(part.multiplicity.subs(numbers))
    return sorted(found)


@pytest.mark.parametrize("scales", [(0.7, 1.9), (3.0, 0.2)])
@pytest.mark.parametrize("bias", [True, False])
def test_equals_dense_eigenvalues_at_any_frame(scales, bias):
    problem = Problem.balanced(5, 2, 6, lambda_w=0.03, lambda_h=0.002, lambda_b=0.1, bias=bias)
    frame = simplex_frame(5, 6)
    point = Point(scales[0] * frame, scales[1] * frame, torch.zeros(5, dtype=torch.float64))
    dense = torch.linalg.eigvalsh(autograd_hessian(problem, point)).numpy()
    np.testing.assert_allclose(eigenvalues(problem, AT_FRAME, scales), dense, rtol=0, atol=1e-13 * dense[-1])


def test_equals_dense_eigenvalues_at_the_origin():
    problem = Problem.balanced(4, 3, 2, lambda_w=0.03, lambda_h=0.002, lambda_b=0.1)
    dense = torch.linalg.eigvalsh(autograd_hessian(problem, origin(problem))).numpy()
    np.testing.assert_allclose(eigenvalues(problem, AT_ORIGIN, (0, 0)), dense, rtol=0, atol=1e-13)


@pytest.mark.parametrize("part", AT_FRAME[1:4], ids=lambda part: part.name)
def test_directions_are_orthogonal_to_the_trivial_part(part):
    """<X, Pi> = 0, and rows sum to zero: features stay in the span of the frame."""
    for name, X in part.directions:
        if name != "b":
            assert sp.simplify(total(lambda i, X=X: X(i, i), part.named)) == 0
            for i in (0, 5):
                assert sp.simplify(total(lambda m, X=X, i=i: X(i, m), (*part.named, i))) == 0


@pytest.mark.parametrize("size", [4, 7])
def test_sums_over_classes(size):
    """sum_ij (v_i - v_j + Pi_ij)^2 against numpy."""
    v = np.array([1, -1] + [0] * (size - 2))
    centre = np.eye(size) - 1 / size
    expected = ((v[:, None] - v[None, :] + centre) ** 2).sum()

    def entry(i, j):
        return (standard(i) - standard(j) + int(i == j) - 1 / K) ** 2

    found = total(lambda i: total(lambda j: entry(i, j), (0, 1, i)), (0, 1))
    assert float(found.subs(K, size)) == pytest.approx(expected, rel=1e-14)


def test_loss_is_cross_entropy_of_the_logits():
    model = Model((0, 1))
    loss = model.loss(lambda i, m: standard(i) * standard(m), lambda k, m: standard(k) * standard(m), standard, 0)
    z = np.array([3.0, -3.0, 0, 0, 0])  # W h_0 + b = 2 v + v
    assert float(loss.subs(K, 5)) == pytest.approx(np.logaddexp.reduce(z) - z[0], rel=1e-14)
