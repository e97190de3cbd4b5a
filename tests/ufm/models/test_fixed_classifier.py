"""A fixed classifier: its minimiser by scipy, its spectrum by autograd, a bound below everything, the closed form."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from tests.ufm.losses.naive import NAIVE
from ufm import InputError, NoClosedForm, Point
from ufm.closed_forms.simplex import simplex_frame
from ufm.losses import CrossEntropy, MeanSquare
from ufm.models import FixedClassifier

COUNTS = (3, 1, 2)
EACH = pytest.mark.parametrize("name", ["cross-entropy", "label smoothing", "mse", "bce", "focal", "scales", "soft"])
SETTINGS = pytest.mark.parametrize(
    "settings", [{"bias": False}, {"lambda_b": 2e-2}, {}], ids=["none", "decayed", "free"]
)


def classifier(d: int = 4) -> torch.Tensor:
    return torch.randn(3, d, generator=torch.Generator().manual_seed(8), dtype=torch.float64)


def model_of(name: str, settings: dict) -> FixedClassifier:
    loss = NAIVE[name][0]
    counts = COUNTS if loss.shape is None else (3, 1, 2, 4)[: loss.shape[0]]
    return FixedClassifier(classifier(), counts, 2e-2, loss=loss, **settings)


def naive(model: FixedClassifier, name: str):
    """f of the flat (H, b), all N features, from the definitions."""
    types = [t for t, n in enumerate(model.class_counts) for _ in range(n)]
    N, d, W = len(types), model.free.dim, model.classifier

    def f(x: torch.Tensor) -> torch.Tensor:
        H, b = x[: N * d].view(N, d), x[N * d :] if model.bias else x.new_zeros(3)
        total = sum(NAIVE[name][1](W @ h + b, t) for h, t in zip(H, types, strict=True)) / N
        return total + model.lambda_h / 2 * H.square().sum() + model.lambda_b / 2 * b.square().sum()

    return f


@EACH
@SETTINGS
def test_the_minimiser_is_scipys_and_certified(name, settings):
    model = model_of(name, settings)
    f, found = naive(model, name), model.minimize(seed=1)
    assert found.converged

    def both(x):
        y = torch.from_numpy(x).requires_grad_()
        value = f(y)
        return float(value.detach()), torch.autograd.grad(value, y)[0].numpy()

    start = np.random.default_rng(0).normal(size=model.num_variables) * 0.3
    options = {"maxiter": 5000, "gtol": 1e-9, "ftol": 1e-15}
    least = minimize(both, start, jac=True, method="L-BFGS-B", options=options).fun
    assert found.value == pytest.approx(least, rel=1e-7)
    judged = model.certify(found.point)
    assert judged.verdict == "global minimizer"
    assert abs(judged.duality_gap) < 1e-9


@EACH
@SETTINGS
def test_the_spectrum_is_autograds_over_all_features(name, settings):
    model = model_of(name, settings)
    point = model.minimize().point
    whole = model.free.expand(point)
    x = torch.cat([whole.H.reshape(-1), whole.b] if model.bias else [whole.H.reshape(-1)])
    dense = torch.linalg.eigvalsh(torch.autograd.functional.hessian(naive(model, name), x))
    levels = model.spectrum(point)
    assert levels.size == levels.num_variables == len(dense)
    torch.testing.assert_close(levels.expanded(), dense, rtol=0, atol=1e-10)


@EACH
def test_no_point_is_below_the_bound_of_another(name):
    model = model_of(name, {"lambda_b": 2e-2})
    least = model.minimize().value
    generator = torch.Generator().manual_seed(0)
    for scale in (0.1, 1.0, 4.0):
        H = scale * torch.randn(model.free.num_types, 4, generator=generator, dtype=torch.float64)
        bound = model.lower_bound(Point(model.classifier, H, torch.randn(3, generator=generator, dtype=torch.float64)))
        assert bound <= least + 1e-12


def test_with_a_simplex_frame_margins_do_not_depend_on_the_counts():
    W = 1.7 * simplex_frame(4, 5)
    for counts in ((3, 3, 3, 3), (1, 9, 1, 1)):
        model = FixedClassifier(W, counts, 1e-2, bias=False)
        form, found = model.closed_form(), model.minimize()
        assert float(model.objective(form)) == pytest.approx(found.value, rel=1e-13)
        torch.testing.assert_close(form.H, found.point.H, rtol=0, atol=1e-9)
        logits = form.H @ W.T
        margins = logits.diagonal() - logits.masked_fill(torch.eye(4, dtype=torch.bool), -torch.inf).amax(1)
        assert float(margins.max() - margins.min()) < 1e-12
        assert model.certify(form).verdict == "global minimizer"


def test_a_planted_error_in_the_closed_form_is_caught():
    model = FixedClassifier(simplex_frame(4, 5), (3, 1, 2, 2), 1e-2, bias=False)
    form = model.closed_form()
    assert model.certify(Point(form.W, 1.001 * form.H, form.b)).verdict == "not critical"


@pytest.mark.parametrize(
    "make",
    [
        lambda: FixedClassifier(torch.eye(3), (1, 2), 1e-2),
        lambda: FixedClassifier([[1.0, float("nan")], [0.0, 1.0]], (1, 2), 1e-2),
        lambda: FixedClassifier(torch.eye(2), (1, 2), -1e-2),
        lambda: FixedClassifier(1e13 * torch.eye(2), (1, 2), 1e-2),
        lambda: FixedClassifier(0 * torch.eye(2), (1, 2), 1e-2, bias=False).closed_form(),
        lambda: FixedClassifier(torch.eye(2), (1, 2), 1e-2).objective(Point(*3 * [torch.eye(2)][:2], torch.zeros(2))),
        lambda: FixedClassifier(torch.eye(2), (1, 2), 1e-2).minimize(tol=0),
    ],
)
def test_what_does_not_fit_is_refused(make):
    with pytest.raises((InputError, TypeError)):
        make()


def test_no_closed_form_says_why():
    frame = simplex_frame(3, 4)
    for model, words in (
        (FixedClassifier(frame, (1, 2, 3), 1e-2), "imbalanced"),
        (FixedClassifier(classifier(), (1, 2, 3), 1e-2, bias=False), "no simplex frame"),
        (FixedClassifier(frame, (1, 2, 3), 1e-2, bias=False, loss=MeanSquare()), "'mse'"),
    ):
        with pytest.raises(NoClosedForm, match=words):
            model.closed_form()


@pytest.mark.parametrize(
    ("loss", "words"), [(MeanSquare(), "flat along all that W"), (CrossEntropy(), "run to infinity")]
)
def test_no_decay_of_the_features_is_refused_with_its_reason(loss, words):
    with pytest.raises(InputError, match=rf"^lambda_h must be a finite number > 0, got 0.0; without it .*{words}"):
        FixedClassifier(torch.eye(2), (1, 2), 0.0, loss=loss)


def test_as_the_decay_vanishes_squared_error_turns_to_the_least_norm_least_squares_features():
    """The limit that the refusal of a decay of 0 names: W^+ (y_k - b), by numpy; a W that does not see every target."""
    W = torch.tensor([[1.0, 0.0, 0.0], [0.0, 2.0, 0.0], [1.0, 1.0, 0.0]], dtype=torch.float64)
    found = FixedClassifier(W, (3, 2, 1), 1e-9, bias=False, loss=MeanSquare()).minimize().point
    wanted = np.linalg.pinv(W.numpy()) @ np.eye(3)
    np.testing.assert_allclose(found.H.numpy(), wanted.T, atol=1e-7)
