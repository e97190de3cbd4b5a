"""NRC1 to NRC4 against sklearn, scipy and numpy, at the minimiser, and with errors planted."""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression

import ufm
from tests.cases import orthogonal
from ufm import InputError, Point, Problem
from ufm.losses import MeanSquare
from validate import RegressionCollapse, regression_collapse


def sample(N, d, K, dtype=torch.float64, seed=0):
    """(Point, targets): features that carry the targets, and noise, about another origin."""
    generator = np.random.default_rng(seed)
    Y = 2 + generator.standard_normal((N, K)) @ generator.standard_normal((K, K))
    H = 1 + Y @ generator.standard_normal((K, d)) + 0.5 * generator.standard_normal((N, d))
    W = np.linalg.lstsq(H, Y, rcond=None)[0].T + 0.05 * generator.standard_normal((K, d))
    point = Point(*(torch.from_numpy(part).to(dtype) for part in (W, H, generator.standard_normal(K))))
    return point, torch.from_numpy(Y).to(dtype)


def root(Y):
    values, vectors = np.linalg.eigh(np.cov(Y.T, bias=True).reshape(Y.shape[1], -1))
    return vectors @ np.diag(np.sqrt(values)) @ vectors.T, values[0]


def departure(W, Y, c):
    A = root(Y)[0] - c * np.eye(len(W))
    return np.linalg.norm(W @ W.T / np.linalg.norm(W @ W.T) - A / np.linalg.norm(A)) ** 2


def reference(point, targets):
    W, H, b = (part.double().numpy() for part in (point.W, point.H, point.b))
    Y, centred = targets.double().numpy(), H - H.mean(0)
    unit = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    P = PCA(min(len(W), H.shape[1])).fit(H).components_
    Q = np.linalg.pinv(W) @ W
    least = root(Y)[1]
    top = math.sqrt(max(least, 0)) * (1 - 1e-9)
    best = minimize_scalar(lambda c: departure(W, Y, c), bounds=(0, top), method="bounded", options={"xatol": 1e-12})
    total = ((Y - Y.mean(0)) ** 2).sum()
    linear = LinearRegression().fit(H, Y).predict(H)
    return {
        "nrc1": (np.linalg.norm(unit - unit @ P.T @ P, axis=1) ** 2).mean(),
        "nrc2": (np.linalg.norm(unit - unit @ Q, axis=1) ** 2).mean(),
        "nrc3": min(best.fun, departure(W, Y, 0), departure(W, Y, top)),
        "nrc4": ((Y - linear) ** 2).sum() / total,
        "unexplained": ((Y - H @ W.T - b) ** 2).sum() / total,
    }


CASES = {
    "K = 3": sample(60, 8, 3),
    "K = 2": sample(40, 5, 2, seed=1),
    "one target": sample(30, 4, 1, seed=2),
    "d = K": sample(30, 3, 3, seed=3),
    "float32": sample(60, 8, 3, torch.float32),
    "float16": sample(60, 8, 3, torch.float16),
    "more dimensions than samples": sample(9, 20, 2, seed=4),
    "a long table": sample(2500, 4, 2, seed=5),
}


@pytest.mark.parametrize("case", CASES)
def test_equal_the_definitions(case):
    found = regression_collapse(*CASES[case])
    for name, value in reference(*CASES[case]).items():
        # The reference's search stops before the end of the range where nrc3 is least there.
        assert getattr(found, name) == pytest.approx(value, rel=1e-6 if name == "nrc3" else 1e-8, abs=1e-8), name
    assert RegressionCollapse.from_plain(found.plain()) == found


def test_a_given_gamma():
    point, targets = CASES["K = 3"]
    found = regression_collapse(point, targets, gamma=4e-4)
    assert found.nrc3 == pytest.approx(departure(point.W.numpy(), targets.numpy(), 0.02), rel=1e-9)
    assert found.nrc3 >= regression_collapse(point, targets).nrc3
    assert found.gamma == pytest.approx(4e-4)


def minimiser(bias=True):
    """The minimiser of the model with squared error to correlated targets of mean 0: (Point, targets, problem)."""
    generator = np.random.default_rng(3)
    Y = generator.standard_normal((12, 2)) @ np.array([[1.0, 0.4], [0.0, 0.7]])
    Y -= Y.mean(0)
    problem = Problem((1,) * 12, 5, lambda_w=2e-3, lambda_h=4e-3, bias=bias, loss=MeanSquare(Y))
    return ufm.global_minimizer(problem), torch.from_numpy(Y), problem


def test_the_minimiser_is_collapsed_and_gamma_is_the_theorys():
    point, targets, problem = minimiser(bias=False)
    found = regression_collapse(point, targets)
    assert max(found.nrc1, found.nrc2, found.nrc3, found.nrc4) < 1e-20
    assert found.gamma == pytest.approx(12 * problem.lambda_w * problem.lambda_h, rel=1e-6)
    assert 0 < found.unexplained < 0.1


SIDE = torch.eye(5)[4].double()
PLANTED = {
    "nrc1": lambda p: Point(p.W, p.H + 0.1 * torch.outer(torch.arange(12).double() % 2 * 2 - 1, SIDE), p.b),
    "nrc2": lambda p: Point(p.W @ orthogonal(5), p.H, p.b),
    "nrc3": lambda p: Point(p.W * torch.tensor([[1.0], [2.0]]).double(), p.H, p.b),
    "nrc4": lambda p: Point(p.W, torch.where(torch.arange(12)[:, None] < 6, p.H, p.H.roll(1, 0)), p.b),
}


@pytest.mark.parametrize("number", PLANTED)
def test_planted_departures_are_seen(number):
    point, targets, _ = minimiser(bias=False)
    assert getattr(regression_collapse(PLANTED[number](point), targets), number) > 1e-3


def wrong(point, targets):
    """What wrong definitions give: the name of the number, then what is wrong."""
    W, H, Y = point.W.numpy(), point.H.numpy(), targets.numpy()
    centred = H - H.mean(0)
    P, Q = PCA(len(W)).fit(H).components_, np.linalg.pinv(W) @ W
    directions = H / np.linalg.norm(H, axis=1, keepdims=True)
    A = np.cov(Y.T, bias=True)
    return {
        "nrc1, not centred": (np.linalg.norm(directions - directions @ P.T @ P, axis=1) ** 2).mean(),
        "nrc1, not scaled": (np.linalg.norm(centred - centred @ P.T @ P, axis=1) ** 2).mean(),
        "nrc2, not centred": (np.linalg.norm(directions - directions @ Q, axis=1) ** 2).mean(),
        "nrc3, of the covariance": np.linalg.norm(W @ W.T / np.linalg.norm(W @ W.T) - A / np.linalg.norm(A)) ** 2,
        "nrc3, not squared": math.sqrt(reference(point, targets)["nrc3"]),
        "nrc4, without an intercept": ((Y - H @ np.linalg.lstsq(H, Y, rcond=None)[0]) ** 2).sum()
        / ((Y - Y.mean(0)) ** 2).sum(),
        "unexplained, without the bias": ((Y - H @ W.T) ** 2).sum() / ((Y - Y.mean(0)) ** 2).sum(),
    }


@pytest.mark.parametrize("planted", wrong(*CASES["K = 3"]))
def test_a_wrong_definition_is_caught(planted):
    point, targets = CASES["K = 3"]
    value = getattr(regression_collapse(point, targets), planted.split(",")[0])
    assert value != pytest.approx(wrong(point, targets)[planted], rel=1e-4)


def test_rotations_shifts_and_scales():
    point, targets = CASES["K = 2"]
    moved = Point(3 * point.W @ orthogonal(5), 2 * (point.H + torch.arange(5)) @ orthogonal(5), point.b)
    before, after = (regression_collapse(p, targets) for p in (point, moved))
    for name in ("nrc1", "nrc2", "nrc3", "nrc4"):
        assert getattr(after, name) == pytest.approx(getattr(before, name), rel=1e-8)


def test_ill_conditioned_features_keep_their_principal_components():
    """Two directions 1e-9 of each other: the covariance's eigenvalues are 1e-18 apart, and its second is rounding."""
    generator = np.random.default_rng(0)
    latent = generator.standard_normal((50, 2)) * [1, 1e-9]
    H = torch.from_numpy(latent @ orthogonal(6)[:2].numpy())
    point = Point(torch.from_numpy(generator.standard_normal((2, 6))), H, torch.zeros(2).double())
    assert regression_collapse(point, H[:, :2].clone()).nrc1 < 1e-12


def test_where_a_number_has_no_value():
    point, targets = CASES["K = 2"]
    still = Point(point.W, torch.full_like(point.H, 0.1), point.b)
    found = regression_collapse(still, targets)
    assert math.isnan(found.nrc1)
    assert found.nrc4 == pytest.approx(1)
    assert math.isnan(regression_collapse(Point(0 * point.W, point.H, point.b), targets).nrc3)


BAD = {
    "shape": (lambda p, y: regression_collapse(p, y[:, :1]), "samples by rows of W"),
    "equal": (lambda p, y: regression_collapse(p, torch.ones_like(y)), "all targets are equal"),
    "NaN": (lambda p, y: regression_collapse(p, y * math.nan), "not finite"),
    "gamma": (lambda p, y: regression_collapse(p, y, gamma=1e9), "gamma must lie in"),
}


@pytest.mark.parametrize(("call", "message"), BAD.values(), ids=BAD)
def test_refusals(call, message):
    with pytest.raises(InputError, match=message):
        call(*CASES["K = 2"])
