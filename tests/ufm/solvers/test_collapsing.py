"""The model of a descent over all features: what it equals, and that f alone says where a descent ends."""

import pytest
import torch

import ufm
from tests.cases import DECAY, PROBLEMS, autograd_gradient, autograd_hessian, random_point
from ufm import Problem, losses
from ufm.solvers import minimize as module
from ufm.solvers.collapsing import Collapsing, Model
from ufm.solvers.newton import Step, steihaug, truncated, trust_region_newton

SEVERAL = [name for name, problem in PROBLEMS.items() if problem.num_samples > problem.num_classes]
CONVEX = {
    "cross-entropy": losses.CrossEntropy(),
    "label smoothing": losses.LabelSmoothing(0.1),
    "soft targets": losses.SoftCrossEntropy(((0.7, 0.2, 0.1), (0.1, 0.9, 0.0), (0.3, 0.3, 0.4), (0.0, 0.0, 1.0))),
    "mean square": losses.MeanSquare(),
    "binary cross-entropy": losses.BinaryCrossEntropy(),
}


def posed(loss: losses.Loss) -> Problem:
    counts = (3, 1, 4, 2)[: loss.shape[0] if loss.shape else 3]
    return Problem(counts, 4, **DECAY, lambda_b=1e-2, loss=loss)


def dense(problem: Problem, point: ufm.Point) -> torch.Tensor:
    """The model's matrix: both parts as maps of all variables, by their own products."""
    f, x = problem.landscape_at(point)
    collapsing = Collapsing(f)
    model = Model(collapsing, f.jet(x))
    columns = []
    for v in torch.eye(f.size, dtype=torch.float64):
        W, H, b = f.split(v)
        means = collapsing.of_types(H)
        dW, shared, db = collapsing.means.split(model.shared.hvp(collapsing.means.join(W, means, b)))
        own = model.own.hvp((H - collapsing.of_samples(means)).flatten()).view_as(H)
        columns.append(f.join(dW, collapsing.of_samples(shared) + own, db))
    return torch.stack(columns)


@pytest.mark.parametrize("name", SEVERAL)
def test_the_model_is_the_hessian_where_features_have_collapsed(name):
    problem = PROBLEMS[name]
    point = problem.expand(problem.class_means(random_point(problem)))
    torch.testing.assert_close(dense(problem, point), autograd_hessian(problem, point), rtol=1e-10, atol=1e-13)


def test_the_model_is_symmetric_and_another_matrix_where_features_differ():
    problem = PROBLEMS["imbalanced"]
    point = random_point(problem)
    model, hessian = dense(problem, point), autograd_hessian(problem, point)
    torch.testing.assert_close(model, model.T, rtol=1e-12, atol=1e-15)
    assert float((model - hessian).norm()) > 1e-2 * float(hessian.norm())


@pytest.mark.parametrize("name", SEVERAL)
def test_the_gradients_of_the_parts_are_that_of_f(name):
    problem = PROBLEMS[name]
    point = random_point(problem)
    f, x = problem.landscape_at(point)
    collapsing = Collapsing(f)
    model = Model(collapsing, f.jet(x))
    W, means, b = collapsing.means.split(model.shared.gradient)
    own = model.own.gradient.view(-1, problem.dim)
    torch.testing.assert_close(collapsing.of_types(own), torch.zeros_like(means), rtol=0, atol=1e-14)
    whole = f.join(W, collapsing.of_samples(means) + own, b)
    torch.testing.assert_close(whole, autograd_gradient(problem, point), rtol=1e-12, atol=1e-15)


@pytest.fixture
def always(monkeypatch):
    monkeypatch.setattr(module, "MANY", 0)


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("loss", CONVEX.values(), ids=CONVEX)
def test_every_convex_loss_is_descended(loss):
    problem = posed(loss)
    for seed in range(2):
        solution = ufm.minimize(problem, seed=seed, reduce=False, tol=1e-11)
        assert solution.converged
        assert ufm.certify(problem, solution.point).verdict == "global minimizer"


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("name", SEVERAL)
def test_a_descent_ends_where_the_truncated_one_does(name, monkeypatch):
    problem = PROBLEMS[name]
    solution = ufm.minimize(problem, reduce=False)
    monkeypatch.setattr(module, "MANY", 2**60)
    expected = ufm.minimize(problem, reduce=False)
    assert solution.converged
    assert solution.value == pytest.approx(expected.value, rel=1e-12)
    assert solution.iterations <= 2 * expected.iterations


@pytest.mark.usefixtures("always")
def test_collapse_emerges():
    """Features of a class differ at the start and along the way, and agree at the end."""
    problem = PROBLEMS["balanced"]
    f, x = problem.even.landscape_at(ufm.minimize(problem, reduce=False, max_iterations=1).point)
    spreads = []
    for at, _ in trust_region_newton(f, x, tol=1e-11, max_iterations=100, solver=Collapsing(f)):
        _, H, _ = f.unpack(at)
        spreads.append(float((H.view(4, 3, -1) - H.view(4, 3, -1).mean(1, keepdim=True)).norm() / H.norm()))
    assert spreads[0] > 1e-2
    assert spreads[1] > 1e-6
    assert spreads[-1] < 1e-8


@pytest.mark.usefixtures("always")
def test_a_bias_without_decay_does_not_drift():
    problem = PROBLEMS["free bias"]
    start = random_point(problem)
    solution = ufm.minimize(problem, start=start, reduce=False)
    assert solution.converged
    assert float(solution.point.b.sum()) == pytest.approx(float(start.b.sum()), abs=1e-12)


@pytest.mark.parametrize(("name", "factor"), [("shared", 3.0), ("shared", -1.0), ("own", 4.0)])
def test_a_wrong_model_costs_steps_and_moves_no_end(monkeypatch, name, factor):
    problem = PROBLEMS["balanced"]
    f, x = problem.even.landscape_at(random_point(problem))
    right = list(trust_region_newton(f, x, tol=1e-6, max_iterations=2000, solver=Collapsing(f)))
    part = getattr(Model, name).func

    def wrong(model):
        found = part(model)
        return found._replace(hvp=lambda v: factor * found.hvp(v))

    monkeypatch.setattr(Model, name, property(wrong))
    found = list(trust_region_newton(f, x, tol=1e-6, max_iterations=2000, solver=Collapsing(f)))
    assert found[-1][1].relative_grad_norm <= 1e-6
    assert len(found) > len(right)
    assert found[-1][1].value == pytest.approx(right[-1][1].value, rel=1e-9)


@pytest.mark.parametrize(("radius", "kept"), [(1e3, True), (1e-3, False)])
def test_a_refused_step_is_shortened_as_if_it_were_the_first(radius, kept):
    """A step of the deviations that is short enough is kept: it costs no product, and none is counted."""
    problem = PROBLEMS["balanced"]
    f, x = problem.landscape_at(random_point(problem))
    collapsing, jet = Collapsing(f), f.jet(x)
    model = Model(collapsing, jet)
    first, shorter = model(1e4, 1e-8), model(radius, 1e-8)
    fresh = Model(collapsing, jet)(radius, 1e-8)
    torch.testing.assert_close(shorter.step, fresh.step, rtol=1e-12, atol=1e-15)
    assert shorter.decrease == pytest.approx(fresh.decrease, rel=1e-12)
    assert float(first.step.norm()) >= float(shorter.step.norm())
    spared = steihaug(model.own, radius, 1e-8).products
    assert spared > 0
    assert fresh.products - shorter.products == kept * spared


def test_it_serves_many_features_of_a_convex_loss(monkeypatch):
    asked = []

    def start_alone(f, x, *, solver, **_):
        asked.append(solver)
        yield x, Step.at(f.jet(x), 0)

    monkeypatch.setattr(module, "trust_region_newton", start_alone)
    large = {"num_classes": 8, "per_class": 128, "dim": 32, **DECAY}
    cases = [
        (Problem.balanced(**large), False, True),
        (Problem.balanced(**large), True, False),
        (Problem.balanced(**large, loss=losses.Focal(2.0)), False, False),
        (PROBLEMS["balanced"], False, False),
    ]
    for problem, reduce, expected in cases:
        ufm.minimize(problem, reduce=reduce)
        assert isinstance(asked[-1], Collapsing) is expected
        assert expected or asked[-1] is truncated
