"""A deep linear model: two factors are the free problem; scipy's minimisers, closed forms, bounds, a table."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

import ufm
from tests.ufm.losses.naive import NAIVE
from tests.ufm.models.deep import flat, random_factors
from ufm import InputError, NoClosedForm
from ufm.losses import MeanSquare
from ufm.models import DeepLinear
from ufm.models.codes import grouped_logits, pairs, simplex_margin
from ufm.models.factors import balanced_factors
from ufm.models.schatten import threshold

EACH = pytest.mark.parametrize("name", ["cross-entropy", "mse", "bce", "label smoothing", "focal", "scales"])


def descents(model: DeepLinear, number: int = 0) -> list:
    """From every rank once, or so many."""
    return [model.minimize(seed) for seed in range(number or min(model.dim, model.free.num_classes))]


def best(model: DeepLinear, number: int = 0):
    return min(descents(model, number), key=lambda end: end.value)


@EACH
def test_two_factors_are_the_free_problem(name):
    model = DeepLinear((3, 1, 2), 4, 2, 1e-2, loss=NAIVE[name][0])
    problem = ufm.Problem((3, 1, 2), 4, 1e-2, 1e-2, bias=False, loss=NAIVE[name][0])
    point = random_factors(model)
    assert float(model.objective(point)) == pytest.approx(float(problem.objective(point.point)), rel=1e-13)
    assert model.residual(point) == pytest.approx(problem.relative_gradient(point.point), rel=1e-10)
    end, free = model.minimize(), ufm.minimize(problem)
    assert end.value == pytest.approx(free.value, rel=1e-10)
    ours, theirs = end.point.point, problem.class_means(free.point)
    torch.testing.assert_close(ours.H @ ours.W.T, theirs.H @ theirs.W.T, rtol=0, atol=1e-6)
    assert model.lower_bound() == pytest.approx(ufm.lower_bound(problem, free.point).value, rel=1e-8)
    assert model.certify(end.point).verdict == ufm.certify(problem, free.point).verdict


@EACH
@pytest.mark.parametrize("depth", [3])
def test_the_best_descent_is_scipys_best_over_all_features(name, depth):
    """L-BFGS over all N features, from the best descent's own kind of start, scattered: it ends no lower."""
    model = DeepLinear((3, 1, 2), 3, depth, 1e-2, loss=NAIVE[name][0])
    ends = descents(model)
    assert all(end.converged for end in ends)
    least = min(end.value for end in ends)
    f, packed = flat(model, name)

    def both(x):
        y = torch.from_numpy(x).requires_grad_()
        value = f(y)
        return float(value.detach()), torch.autograd.grad(value, y)[0].numpy()

    found = []
    for seed in range(2):
        start = packed(model.start(seed).padded(3)).numpy()
        noise = np.random.default_rng(seed).normal(size=len(start))
        options = {"maxiter": 3000, "gtol": 1e-9, "ftol": 1e-15}
        found.append(minimize(both, start + 0.1 * noise, jac=True, method="L-BFGS-B", options=options).fun)
    assert min(found) == pytest.approx(least, rel=1e-6)


def test_free_features_collapse():
    for depth in (3, 4):
        model = DeepLinear((3, 1, 2), 4, depth, 1e-2)
        end = model.minimize(reduce=False, tol=1e-11)
        assert end.converged
        assert len(end.point.H) == 6
        assert float((end.point.H - model.collapsed(end.point).H[model.free.labels]).abs().max()) < 1e-8
        assert end.value == pytest.approx(float(model.objective(model.collapsed(end.point))), rel=1e-10)
        assert float(model.objective(model.collapsed(random_factors(model)))) < float(
            model.objective(random_factors(model))
        )


@pytest.mark.parametrize(
    ("K", "depth", "etf", "least", "rank"),
    [
        (4, 3, 0.035635, 0.035635, 3),
        (4, 4, 0.034437, 0.031728, 2),
        (6, 3, 0.059386, 0.055685, 3),
        (8, 4, 0.080344, 0.063645, 3),
    ],
)
def test_the_table_of_values_at_the_simplex_and_below(K, depth, etf, least, rank):
    model = DeepLinear((1,) * K, K, depth, 2e-3)
    found, frame = best(model), model.etf()
    assert float(model.objective(frame)) == pytest.approx(etf, abs=5e-7)
    assert found.value == pytest.approx(least, abs=5e-7)
    assert model.inner(found.point).rank == rank
    assert model.certify(found.point).verdict == model.certify(frame).verdict == "local minimizer"
    assert model.lower_bound() <= found.value


@pytest.mark.parametrize("depth", [2, 3, 4, 6])
@pytest.mark.parametrize(("counts", "dim"), [((4, 4, 4), 3), ((5, 3, 1), 4), ((5, 3, 1), 2), ((9, 1, 1, 1), 4)])
def test_the_squared_errors_closed_form_is_the_least_of_descents_and_certified(counts, dim, depth):
    for loss in (MeanSquare(), MeanSquare(target=1.5)):
        model = DeepLinear(counts, dim, depth, 8e-3, loss=loss)
        form = model.closed_form()
        value = float(model.objective(form))
        assert model.residual(form) < 1e-12
        assert model.certify(form).verdict == "global minimizer"
        ends = descents(model, 4)
        assert min(end.value for end in ends) >= value * (1 - 1e-12)
        assert best(model, 1).value == pytest.approx(value, rel=1e-10)


def test_the_squared_error_of_any_targets():
    model = DeepLinear((1, 2, 1, 1, 3), 2, 3, 1e-2, loss=NAIVE["regression"][0])
    form = model.closed_form()
    assert model.certify(form).verdict == "global minimizer"
    assert min(end.value for end in descents(model, 4)) == pytest.approx(float(model.objective(form)), rel=1e-10)


@pytest.mark.parametrize("depth", [3, 4])
def test_the_jump_is_where_descents_see_it(depth):
    """K lambda n^(1/L) = c(L): the best descent is the origin above, and of size sqrt(n) (L-2)/(L-1) just below."""
    at = threshold(2.0, 12, depth)
    for factor in (0.999, 1.001):
        model = DeepLinear((4, 4, 4), 3, depth, factor * at, loss=MeanSquare())
        ends = descents(model, 3)
        if factor > 1:
            assert min(end.value for end in ends) >= float(model.objective(model.origin())) * (1 - 1e-12)
        else:
            end = min(ends, key=lambda end: end.value)
            sizes = torch.linalg.svdvals(2 * end.point.H @ end.point.classifier.T)
            np.testing.assert_allclose(sizes / 2, (depth - 2) / (depth - 1), atol=5e-3)


@pytest.mark.parametrize(("name", "depth"), [("cross-entropy", 5), ("bce", 3), ("focal", 3), ("scales", 2)])
def test_no_point_is_below_the_bound(name, depth):
    for decay in (1e-3, 3e-2, 1.0):
        model = DeepLinear((3, 2, 1), 4, depth, decay, loss=NAIVE[name][0])
        bound = model.lower_bound()
        values = [end.value for end in descents(model, 3)] + [float(model.objective(model.origin()))]
        values += [float(model.objective(random_factors(model, seed, 0.3 + seed))) for seed in range(3)]
        assert bound <= min(values) * (1 + 1e-12)
        assert decay < 1 or bound == pytest.approx(float(model.objective(model.origin())), rel=1e-9)


@pytest.mark.parametrize("counts", [(1, 1), (3, 1), (20, 5)])
@pytest.mark.parametrize("depth", [3, 4, 6])
def test_two_classes_are_certified_global(counts, depth):
    """Rank 1 attains the bound."""
    model = DeepLinear(counts, 3, depth, 5e-3)
    assert model.certify(best(model, 3).point).verdict == "global minimizer"
    if counts == (1, 1):
        assert float(model.objective(model.closed_form())) == pytest.approx(model.lower_bound(), rel=1e-9)


def test_factors_are_balanced_and_descents_are_reproducible():
    model = DeepLinear((3, 1, 2), 4, 4, 1e-2)
    one, other = model.minimize(1), model.minimize(1)
    assert one.value == other.value
    W1, W2, W3 = one.point.layers
    H = one.point.H[model.free.labels]
    for left, right in ((W1.T @ W1, H.T @ H), (W2.T @ W2, W1 @ W1.T), (W3.T @ W3, W2 @ W2.T)):
        torch.testing.assert_close(left, right, rtol=0, atol=1e-8)


@pytest.mark.parametrize(("K", "depth"), [(4, 4), (7, 3), (9, 5)])
def test_pairs_of_the_simplexs_margin_are_a_better_point(K, depth):
    for n, decay in ((1, 1e-4), (5, 5e-3)):
        model = DeepLinear((n,) * K, K, depth, decay)
        etf = model.etf()
        roots = model.free.landscape(collapsed=True).roots
        Z = grouped_logits(pairs(K), simplex_margin(K, n, depth, decay))
        better = balanced_factors(Z, roots, K, depth)
        assert model.residual(etf) < 1e-12
        assert float(model.objective(better)) < float(model.objective(etf)) * (1 - 1e-3)


def test_planted_errors_are_caught():
    """A moved point, a closed form with one singular value too small, an unbalanced one, a saddle called minimal."""
    model = DeepLinear((5, 3, 1), 4, 3, 8e-3, loss=MeanSquare())
    form = model.closed_form()
    assert model.certify(replace(form, H=1.001 * form.H)).verdict == "not critical"
    lower = best(model, 3) and descents(model, 3)[1]  # of rank 2: one singular value is left out
    assert model.certify(lower.point).verdict == "local minimizer"
    uneven = replace(form, H=2 * form.H, layers=(form.layers[0] / 2, form.layers[1]))
    assert model.certify(uneven).verdict == "not critical"
    assert float(model.objective(uneven)) > float(model.objective(form))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"depth": 1}, "depth must be a whole number of factors in 2 .. 64"),
        ({"depth": 2.5}, "depth must"),
        ({"depth": True}, "depth must"),
        ({"decay": 0.0}, "decay must be a finite number > 0"),
        ({"decay": float("nan")}, "decay must"),
        ({"decay": 1e16}, "decay must be at most"),
        ({"dim": 0}, "d must"),
        ({"class_counts": (1,)}, "K >= 2"),
    ],
)
def test_what_is_no_model_is_refused(change, words):
    with pytest.raises(InputError, match=words):
        replace(DeepLinear((1, 2), 2, 3, 1e-2), **change)


def test_what_it_cannot_do_it_says():
    model = DeepLinear((1, 2, 3), 3, 3, 1e-2)
    with pytest.raises(NoClosedForm, match="cross-entropy"):
        model.closed_form()
    with pytest.raises(InputError, match="balanced cross-entropy"):
        model.etf()
    with pytest.raises(InputError, match="tol must lie"):
        model.minimize(tol=0)
    with pytest.raises(InputError, match="seed must be"):
        model.minimize(seed=-1)
    assert DeepLinear((1, 1, 1), 3, 3, 1.0).etf() is None
    with pytest.raises(InputError, match="decay >= 1e-12"):
        ufm.verify(replace(model, decay=1e-13))


def test_a_model_goes_to_plain_data_and_back():
    model = DeepLinear((1, 2, 3), 3, 3, 1e-2, loss=MeanSquare(target=1.5))
    assert ufm.models.of_plain(json.loads(json.dumps(model.to_plain()))) == model
