"""The largest margin: scipy's minimiser, the dual over random multipliers, KKT by autograd, descents and traps."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from ufm import InputError, NoClosedForm, Point
from ufm.models import Ridgeless, of_plain

IMBALANCED = [(4, 2, 1), (5, 5, 1, 1), (5, 4, 3, 2, 1), (1000, 30, 1)]


def by_scipy(counts, dim, seed):
    """The least (|W|^2 + sum n_k |h_k|^2)/2 that SLSQP finds."""
    K, n = len(counts), np.array(counts)

    def parts(x):
        return x[: K * dim].reshape(K, dim), x[K * dim :].reshape(K, dim)

    def value(x):
        W, H = parts(x)
        return ((W**2).sum() + (n[:, None] * H**2).sum()) / 2

    def margins(x):
        W, H = parts(x)
        return np.array([(W[k] - W[c]) @ H[k] - 1 for k in range(K) for c in range(K) if c != k])

    start = np.random.default_rng(seed).normal(size=2 * K * dim)
    options = {"maxiter": 500, "ftol": 1e-12}
    return minimize(value, start, method="SLSQP", constraints={"type": "ineq", "fun": margins}, options=options)


@pytest.mark.parametrize(("counts", "dim"), [((4, 2, 1), 2), ((3, 1, 1), 3), ((2, 2, 2), 2)])
def test_the_closed_form_is_scipys_minimiser(counts, dim):
    model = Ridgeless(counts, dim)
    best = min(by_scipy(counts, dim, seed).fun for seed in range(2))
    assert float(model.objective(model.closed_form())) == pytest.approx(best, rel=1e-8)


@pytest.mark.parametrize("counts", IMBALANCED)
def test_descents_end_at_the_closed_form_certified(counts):
    model = Ridgeless(counts, len(counts) - 1, ratio=3.0)
    form = model.closed_form()
    judged = model.certify(form)
    assert (judged.verdict, judged.note) == ("global minimizer", "by its duality gap")
    for seed in range(2):
        end = model.minimize(seed)
        assert end.converged
        assert end.value == pytest.approx(judged.value, rel=1e-8)
        torch.testing.assert_close(end.point.H @ end.point.W.T, form.H @ form.W.T, rtol=0, atol=1e-7)


def test_the_value_is_the_nuclear_norm_and_does_not_depend_on_the_ratio():
    counts = (5, 4, 1)
    Z = np.sqrt(counts)[:, None] * (np.eye(3) - 1 / 3)
    values = []
    for ratio in (0.1, 1.0, 7.0):
        model = Ridgeless(counts, 4, ratio)
        W, H = (part.numpy() for part in (model.closed_form().W, model.closed_form().H))
        norms = (ratio**0.5 * (W**2).sum() + ratio**-0.5 * (np.array(counts)[:, None] * H**2).sum()) / 2
        values += [norms, float(model.objective(model.closed_form()))]
    np.testing.assert_allclose(values, np.linalg.svd(Z)[1].sum(), rtol=1e-12)


@pytest.mark.parametrize("counts", [*IMBALANCED, (10**6, 1, 1, 1), tuple(range(1, 9))])
def test_the_dual_variable_is_negative_off_the_labels(counts):
    """And it is D^(1/2) (Pi D Pi)^(+1/2), by dense eigenvalues."""
    K, dual = len(counts), Ridgeless(counts, len(counts)).dual.numpy()
    Pi, D = np.eye(K) - 1 / K, np.diag(counts).astype(float)
    values, vectors = np.linalg.eigh(Pi @ D @ Pi)
    root = (vectors[:, 1:] / np.sqrt(values[1:])) @ vectors[:, 1:].T
    np.testing.assert_allclose(dual, np.sqrt(D) @ root @ Pi, atol=1e-9)
    assert dual[~np.eye(K, dtype=bool)].max() < 0


def test_random_multipliers_bound_the_value_from_below():
    """sum mu/|A~|_2 for any mu >= 0, with A~ by loops; the model's own bounds of random points too."""
    counts, K = (4, 2, 1), 3
    model = Ridgeless(counts, 3)
    value = float(model.objective(model.closed_form()))
    for seed in range(50):
        mu = np.random.default_rng(seed).exponential(size=(K, K)) * (1 - np.eye(K))
        A = (np.diag(mu.sum(1)) - mu) / np.sqrt(counts)[:, None]
        assert mu.sum() / np.linalg.norm(A, 2) <= value * (1 + 1e-12)
    for seed in range(10):
        point = model.random_point(seed, 0.3)
        assert 0 < model.lower_bound(point) <= value <= float(model.objective(point))
        assert model.certify(point).verdict == "not critical"


def test_kkt_holds_by_autograd_over_all_features():
    """At the closed form |x|^2/2 - sum mu m is stationary with mu off the dual variable, mu >= 0 and all m = 1."""
    counts = (3, 2, 1)
    model = Ridgeless(counts, 3, ratio=2.0)
    point = model.free.expand(model.closed_form())
    W, H = point.W.clone().requires_grad_(), point.H.clone().requires_grad_()
    labels = model.free.labels
    mu = -model.dual / torch.tensor(counts, dtype=torch.float64).sqrt()[:, None]  # of one sample
    others = ~torch.nn.functional.one_hot(labels, 3).bool()
    margins = ((H @ W.T)[range(6), labels][:, None] - H @ W.T)[others]
    f = (2.0**0.5 * W.square().sum() + H.square().sum() / 2.0**0.5) / 2 - (mu[labels][others] * (margins - 1)).sum()
    for part in torch.autograd.grad(f, (W, H)):
        assert float(part.norm()) < 1e-12
    torch.testing.assert_close(margins, torch.ones_like(margins))
    assert model.residual(point) < 1e-12


def test_below_k_minus_1_dimensions_there_are_traps():
    """Three levels of local minimisers in d = K - 2: no feasible point near one is below it."""
    model = Ridgeless((5, 4, 3, 2, 1), 3)
    ends = [model.minimize(seed) for seed in range(3)]
    judged = [model.certify(end.point) for end in ends]
    assert {one.verdict for one in judged} == {"local minimizer"}
    assert max(end.value for end in ends) > min(end.value for end in ends) + 1e-2
    generator = torch.Generator().manual_seed(0)
    for end in ends:
        for _ in range(50):
            W, H = (
                part + 1e-3 * torch.randn(part.shape, generator=generator, dtype=part.dtype)
                for part in (end.point.W, end.point.H)
            )
            Z = H @ W.T
            least = float((Z.diagonal()[:, None] - Z + 9 * torch.eye(5)).min())
            near = Point(W / least**0.5, H / least**0.5, end.point.b)
            assert float(model.objective(near)) > end.value
    wide = replace(model, dim=4)
    assert min(end.value for end in ends) > float(wide.objective(wide.closed_form()))


def test_a_trap_is_a_saddle_in_more_dimensions():
    """The hexagon of six classes in the plane."""
    flat, wide = Ridgeless((1,) * 6, 2), Ridgeless((1,) * 6, 5)
    end = flat.minimize(0)
    assert end.value == pytest.approx(12, rel=1e-8)
    assert flat.certify(end.point).verdict == "local minimizer"
    assert wide.certify(end.point.padded(5)).verdict == "strict saddle"


def test_planted_errors_are_caught():
    model = Ridgeless((4, 2, 1), 3)
    form = model.closed_form()
    with pytest.raises(InputError, match=r"least margin must be >= 1, got 0\.99"):
        model.objective(replace(form, W=0.99 * form.W))
    moved = replace(form, W=form.W + 1e-3 * torch.ones_like(form.W).cumsum(0))
    assert model.residual(moved) > 1e-4
    assert model.certify(replace(form, H=1.01 * form.H)).verdict == "not critical"
    assert Ridgeless((4, 2, 2), 3).residual(form) > 1e-3
    with pytest.raises(InputError, match="no bias"):
        model.objective(replace(form, b=torch.ones(3, dtype=torch.float64)))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Ridgeless((1, 1, 1), 1), "dim must be >= 2"),
        (lambda: Ridgeless((1, 1), 2, ratio=0.0), "ratio must be a number"),
        (lambda: Ridgeless((1, 0), 2), "n_k >= 1"),
        (lambda: Ridgeless((1, 1), 2).minimize(tol=0), "tol must lie"),
        (lambda: Ridgeless((1, 1), 2).spectrum(Ridgeless((1, 1), 2).closed_form()), "no Hessian spectrum"),
    ],
)
def test_what_cannot_be_is_refused_by_name(make, words):
    with pytest.raises(InputError, match=words):
        make()


def test_no_closed_form_says_why():
    with pytest.raises(NoClosedForm, match="d = 2 < K - 1 = 3"):
        Ridgeless((1, 2, 3, 4), 2).closed_form()


def test_it_is_written_and_read_again():
    model = Ridgeless((3, 2, 1), 4, 2.0)
    assert of_plain(model.to_plain()) == model
