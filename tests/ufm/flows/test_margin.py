"""The flow without decay: in plain time by autograd, what it conserves, and where it leads."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from ufm import InputError
from ufm.flows import without_decay
from ufm.models import Ridgeless
from ufm.models.max_margin import Margins
from ufm.solvers.minimize import random_point

MODEL = Ridgeless((3, 2, 1), 3)


def start(model=MODEL, seed=0, scale=0.3):
    point = random_point(model.problem(1.0), seed)
    return replace(point, W=scale * point.W, H=scale * point.H)


@pytest.fixture(scope="module")
def flow():
    return without_decay(MODEL, start(), 100.0, 20)


def test_it_is_the_flow_in_plain_time():
    """To f = e^-3, by autograd on torch's cross-entropy and another integrator."""
    found = without_decay(MODEL, start(), 3.0, 5)
    point = start()
    x = torch.cat([point.W.reshape(-1), point.H.reshape(-1)])

    def slope(_, y):
        z = torch.from_numpy(y).requires_grad_()
        W, H = z[:9].view(3, 3), z[9:].view(6, 3)
        loss = torch.nn.functional.cross_entropy(H @ W.T, MODEL.free.labels)
        return -torch.autograd.grad(loss, z)[0].numpy()

    times = [math.expm1(moment.log_time) for moment in found]
    dense = solve_ivp(slope, (0, times[-1]), x.numpy(), method="DOP853", t_eval=times, rtol=1e-11, atol=1e-12)
    for moment, y in zip(found, dense.y.T, strict=True):
        np.testing.assert_allclose(torch.cat([moment.point.W, moment.point.H]).reshape(-1), y, atol=1e-6)
    losses = [float(torch.nn.functional.cross_entropy(m.point.logits, MODEL.free.labels)) for m in found]
    np.testing.assert_allclose([m.log_loss for m in found], np.log(losses), atol=1e-9)


def test_the_loss_is_what_the_time_says(flow):
    """f falls as it was asked, and like 1/t: log f + log t changes by the logarithm of log t alone."""
    assert flow[-1].log_loss == pytest.approx(-100, abs=1e-6)
    assert all(after.log_time > before.log_time for before, after in pairwise(flow))
    assert abs(flow[-1].log_loss + flow[-1].log_time) < 3 * math.log(100)


def test_what_the_flow_conserves(flow):
    first = flow[0].point
    for moment in flow:
        now = moment.point
        for was, kept in (
            (first.W.T @ first.W - first.H.T @ first.H, now.W.T @ now.W - now.H.T @ now.H),
            (first.W.sum(0), now.W.sum(0)),
        ):
            torch.testing.assert_close(kept, was, rtol=0, atol=1e-8 * moment.norm**2)
        assert moment.drift < 1e-8


def test_a_gradient_that_is_wrong_does_not_conserve(monkeypatch):
    """A planted error: the gradient in W one part in a thousand too large."""
    right = Margins.pull

    def wrong(margins, x, A):
        W, H, b = margins.f.split(right(margins, x, A))
        return margins.f.join(1.001 * W, H, b)

    monkeypatch.setattr(Margins, "pull", wrong)
    assert without_decay(MODEL, start(), 50.0, 3)[-1].drift > 1e-5


def test_it_turns_to_the_largest_margin(flow):
    late = [moment for moment in flow if moment.log_loss < -10]
    assert late[-1].residual < 0.5 * late[0].residual
    assert 1 - late[-1].cosine < 0.1 * (1 - late[0].cosine)
    assert late[-1].spread < 0.5 * late[0].spread
    # |x|^2 over log(1/f) goes to twice the least value at margin 1.
    value = float(MODEL.objective(MODEL.closed_form()))
    assert late[-1].norm ** 2 / (2 * value * 100) == pytest.approx(1, abs=0.1)


def test_no_float_holds_its_losses_and_it_goes_on():
    last = without_decay(MODEL, start(), 2000.0, 3)[-1]
    assert last.log_loss == pytest.approx(-2000, abs=1e-4)
    assert last.log_time > 1900
    assert last.residual < 0.02


def test_collapsed_features_stay_collapsed():
    """One row a class, or all rows of the same point: the same flow."""
    point = MODEL.free.class_means(start())
    few, all_rows = (without_decay(MODEL, p, 20.0, 3)[-1] for p in (point, MODEL.free.expand(point)))
    torch.testing.assert_close(MODEL.free.expand(few.point).H, all_rows.point.H, rtol=0, atol=1e-5)
    assert all_rows.spread < 1e-6
    assert few.log_time == pytest.approx(all_rows.log_time, abs=1e-6)


def test_a_small_start_stays_long_near_another_kkt_point():
    """A saddle of smaller rank: the residual is small there, and SELI is far."""
    model = Ridgeless((4,) * 6, 5)
    last = without_decay(model, start(model, seed=563, scale=0.1), 142.0, 2)[-1]
    assert last.residual < 0.02
    assert 1 - last.cosine > 0.1


def test_in_few_dimensions_it_turns_to_a_point_without_closed_form():
    model = Ridgeless((1,) * 6, 2)
    flow = without_decay(model, start(model, scale=1.0), 300.0, 6)
    assert flow[-1].cosine is None
    assert flow[-1].residual < 0.05


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda: without_decay(MODEL, start(), -5.0), "reach must lie above"),
        (lambda: without_decay(MODEL, start(), frames=1), "frames must be >= 2"),
        (lambda: without_decay(MODEL, start(scale=0.0)), "comes to rest"),
        (lambda: without_decay(MODEL, replace(start(), b=torch.ones(3, dtype=torch.float64))), "no bias"),
        (lambda: without_decay(Ridgeless((300, 300), 2), start(Ridgeless((300, 300), 2))), "up to 1,000 variables"),
    ],
)
def test_what_cannot_be_is_refused(ask, words):
    with pytest.raises(InputError, match=words):
        ask()


def test_a_moment_is_written_and_read_again(flow):
    again = type(flow[0]).from_plain(flow[-1].plain())
    assert again.residual == flow[-1].residual
    torch.testing.assert_close(again.point.W, flow[-1].point.W)
