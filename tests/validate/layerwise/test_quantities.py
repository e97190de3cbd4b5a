"""Quantities of a layer and of two consecutive ones against their definitions in numpy, and against wrong ones."""

import math

import numpy as np
import pytest
import scipy.linalg
import torch
from torch import nn

from tests.validate.layerwise.networks import broad, cut, draw, perceptron, said
from validate import Estimate, layers
from validate.metrics.cka import cka
from validate.metrics.separation import separation_law

COUNTS = (30, 3, 7, 12)


def centred_means(H, y, weights=None):
    means = np.stack([H[y == k].mean(0) for k in range(max(y) + 1)])
    return means - H.mean(0) if weights is None else means - weights @ means


def fuzziness(H, y, weight=lambda n, N, K: n / N, within=True):
    """D by loops and numpy's pseudo-inverse."""
    N, K, d = len(H), max(y) + 1, H.shape[1]
    means = np.stack([H[y == k].mean(0) for k in range(K)])
    ssw, ssb = np.zeros((d, d)), np.zeros((d, d))
    for h, k in zip(H, y, strict=True):
        away = h - (means[k] if within else H.mean(0))
        ssw += np.outer(away, away) / N
    for k in range(K):
        away = means[k] - H.mean(0)
        ssb += weight(sum(y == k), N, K) * np.outer(away, away)
    return np.trace(ssw @ np.linalg.pinv(ssb, rcond=1e-10))


def accuracy(H, y, centre=True, own=True):
    means = np.stack([H[y == k].mean(0) for k in range(max(y) + 1)])
    distances = np.array([[np.linalg.norm(h - m) if centre else -(h @ m) for m in means] for h in H])
    return np.mean((distances.argmin(1) if own else distances.argmax(1)) == y)


def stable(A):
    return np.linalg.norm(A) ** 2 / np.linalg.norm(A, 2) ** 2


def alignment(X, Y, centre=True):
    X, Y = (A - A.mean(0) * centre for A in (X, Y))
    return np.linalg.norm(X.T @ Y) ** 2 / np.linalg.norm(X.T @ X) / np.linalg.norm(Y.T @ Y)


def projected(H, y, centre=True):
    """The features about their mean in the span of the class means."""
    M = centred_means(H, y)
    _, sizes, V = np.linalg.svd(M, full_matrices=False)
    return (H - H.mean(0) * centre) @ V[sizes > 1e-10 * sizes[0]].T


def angles(X, Y, y, project=projected):
    return np.sort(scipy.linalg.subspace_angles(project(X, y), project(Y, y)))


@pytest.fixture(scope="module")
def found():
    model, (inputs, labels) = perceptron(), draw(COUNTS)
    X, Y = (said(model, inputs, count).numpy() for count in (2, 4))
    return layers(model, cut(inputs, labels, 9, 20), names=["1", "3"]), X, Y, labels.numpy()


def test_equal_the_definitions(found):
    rows, X, Y, y = found
    for row, H in zip(rows, (X, Y), strict=True):
        assert row.separation_fuzziness == pytest.approx(fuzziness(H, y), rel=1e-9)
        assert row.nearest_center_accuracy == accuracy(H, y)
        assert row.stable_rank == pytest.approx(stable(centred_means(H, y)))
        assert row.stable_rank_features == pytest.approx(stable(H - H.mean(0)))
        squares = np.linalg.eigvalsh(np.cov(H.T))
        assert row.rank_features == (squares > 1e-3 * squares.max()).sum() < np.linalg.matrix_rank(H - H.mean(0))
    assert math.isnan(rows[0].cka)
    assert rows[0].principal_angles == ()
    assert rows[1].cka == pytest.approx(alignment(X, Y), rel=1e-9)
    assert rows[1].principal_angles == pytest.approx(angles(X, Y, y), abs=1e-7)
    assert rows[1].largest_angle == rows[1].principal_angles[-1]


PLANTED = {
    "fuzziness with all classes alike": lambda row, X, Y, y: (
        row.separation_fuzziness,
        fuzziness(Y, y, weight=lambda n, N, K: 1 / K),
    ),
    "fuzziness of all variation": lambda row, X, Y, y: (row.separation_fuzziness, fuzziness(Y, y, within=False)),
    "largest inner product, not nearest": lambda row, X, Y, y: (row.nearest_center_accuracy, accuracy(Y, y, False)),
    "farthest centre": lambda row, X, Y, y: (row.nearest_center_accuracy, accuracy(Y, y, own=False)),
    "means that are not centred": lambda row, X, Y, y: (row.stable_rank, stable(centred_means(Y, y) + Y.mean(0))),
    "means about their own mean": lambda row, X, Y, y: (
        row.stable_rank,
        stable(centred_means(Y, y, np.full(4, 0.25))),
    ),
    "features that are not centred": lambda row, X, Y, y: (row.stable_rank_features, stable(Y)),
    "alignment without centring": lambda row, X, Y, y: (row.cka, alignment(X, Y, False)),
    "alignment with itself": lambda row, X, Y, y: (row.cka, alignment(Y, Y)),
    "alignment of other samples": lambda row, X, Y, y: (row.cka, alignment(X[::-1], Y)),
    "angles of whole layers": lambda row, X, Y, y: (
        row.largest_angle,
        angles(X, Y, y, lambda H, y: (H - H.mean(0))[:, H.std(0) > 0]).max(),
    ),
    "angles without centring": lambda row, X, Y, y: (
        row.largest_angle,
        angles(X, Y, y, lambda H, y: projected(H, y, False)).max(),
    ),
    "the smallest angle": lambda row, X, Y, y: (row.largest_angle, angles(X, Y, y).min()),
}


@pytest.mark.parametrize("error", PLANTED)
def test_a_planted_error_is_seen(error, found):
    rows, X, Y, y = found
    right, wrong = PLANTED[error](rows[1], X, Y, y)
    assert right != pytest.approx(wrong, rel=1e-3)


def test_equal_classes_have_k_times_nc1():
    row = layers(perceptron(), [draw((9, 9, 9, 9))], names=["1"])[0]
    assert row.separation_fuzziness == pytest.approx(4 * row.nc1)


def test_collapsed_layers_read_the_same():
    """Features on their class means: no variation, every sample right, angles 0; and means that are all equal."""
    inputs, labels = draw((5, 9, 2), spread=0.0)
    rows = layers(perceptron(), [(inputs, labels)], names=["1", "3"])
    for row in rows:
        assert row.separation_fuzziness == pytest.approx(0, abs=1e-25)
        assert row.nearest_center_accuracy == 1
    assert rows[1].principal_angles == pytest.approx([0, 0], abs=1e-6)
    model = perceptron()
    model[2].weight.data.zero_()
    last = layers(model, [(inputs, labels)], names=["1", "3"])[1]
    assert math.isnan(last.separation_fuzziness)
    assert math.isnan(last.nearest_center_accuracy)
    assert math.isnan(last.cka)
    assert last.principal_angles == ()
    assert last.rank == 0


def test_means_that_are_equal_under_spread_features_have_no_separation():
    H, labels = torch.tensor([[1.0], [-1], [1], [-1]]).double(), torch.tensor([0, 0, 1, 1])
    row = layers(nn.Sequential(nn.Identity(), nn.Linear(1, 2).double()), [(H, labels)], names=["0"])[0]
    assert row.separation_fuzziness == math.inf


def test_an_invertible_linear_map_turns_nothing():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Identity(), nn.Linear(8, 8).double(), nn.Linear(8, 3).double())
    inputs, labels = draw((9, 9, 9))
    model[1].weight.data = torch.linalg.qr(model[1].weight.data)[0]
    row = layers(model, [(inputs, labels)], names=["0", "1"])[1]
    assert row.cka == pytest.approx(1)
    assert row.principal_angles == pytest.approx([0, 0], abs=1e-6)


def test_layers_of_other_samples_are_not_compared():
    model = nn.Sequential(nn.Conv1d(1, 3, 2), nn.Flatten(), nn.Linear(6, 4)).double()
    inputs, labels = draw((9, 9), dim=3)
    rows = layers(model, [(inputs[:, None], labels)], names=["0", "1"], pool="token")
    assert [row.samples for row in rows] == [36, 18]
    assert math.isnan(rows[1].cka)
    assert rows[1].principal_angles == ()


@pytest.mark.parametrize("wide", [256, 128], ids=["one wide layer", "both"])
def test_wide_layers_are_estimated_and_say_so(wide):
    model, (inputs, labels) = broad(), draw(COUNTS)
    exact, rows = (layers(model, cut(inputs, labels, 9), names=["1", "3"], wide=most) for most in (300, wide))
    assert not isinstance(exact[1].cka, Estimate)
    assert isinstance(rows[1].cka, Estimate)
    assert abs(rows[1].cka - exact[1].cka) < 4 * rows[1].cka.error < 0.2
    assert rows[1].principal_angles == pytest.approx(exact[1].principal_angles, abs=1e-7)
    for row, other in zip(rows, exact, strict=True):
        assert row.separation_fuzziness == pytest.approx(other.separation_fuzziness)
        assert math.isnan(row.rank_features) is math.isnan(row.stable_rank_features) is (row.dim > wide)


def test_the_law_is_the_line_through_log_d():
    D = np.array([9.0, 3.1, 1.2, 0.33, 0.1])
    law = separation_law(D.tolist())
    slope, intercept = np.polyfit(range(5), np.log(D), 1)
    assert law.rate == pytest.approx(math.exp(slope))
    assert law.start == pytest.approx(math.exp(intercept))
    assert law.correlation == pytest.approx(np.corrcoef(range(5), np.log(D))[0, 1])
    assert law.r_squared == pytest.approx(law.correlation**2)
    exact = separation_law([8.0, 4.0, 2.0, 1.0])
    assert (exact.rate, exact.start, exact.correlation) == pytest.approx((0.5, 8, -1))


class Nearer(nn.Module):
    """Moves every sample half of the way to the nearest of K points."""

    def __init__(self, points) -> None:
        super().__init__()
        self.points = points

    def forward(self, H):
        return (H + self.points[torch.cdist(H, self.points).argmin(1)]) / 2


@pytest.mark.parametrize("last", [0, 3], ids=["every layer", "one that does nothing at the end"])
def test_layers_that_halve_distances_quarter_d(last):
    """The law holds exactly, and a layer that breaks it is seen in the correlation."""
    points = 3 * torch.randn(4, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    noise = 0.05 * torch.randn(4, 5, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    inputs = (points[:, None] + noise - noise.mean(1, keepdim=True)).reshape(20, 6)
    parts = [Nearer(points) for _ in range(4)] + [nn.Identity() for _ in range(last)]
    model = nn.Sequential(*parts, nn.Linear(6, 4).double())
    law = layers(model, [(inputs, torch.arange(20) // 5)], names=[str(i) for i in range(4 + last)]).law
    if last:
        assert law.rate > 0.26
        assert law.r_squared < 0.95
    else:
        assert law.rate == pytest.approx(1 / 4)
        assert law.correlation == pytest.approx(-1)


def test_layers_out_of_order_are_another_law():
    D = [9.0, 3.1, 1.2, 0.33, 0.1]
    law, mixed = separation_law(D), separation_law([D[i] for i in (1, 0, 4, 2, 3)])
    assert mixed.rate != pytest.approx(law.rate, rel=0.05)
    assert mixed.r_squared < law.r_squared - 0.05
    assert separation_law(D[::-1]).rate == pytest.approx(1 / law.rate)


def test_a_layer_without_d_keeps_its_place():
    law = separation_law([8.0, math.nan, 2.0, math.inf, 0.5])
    assert (law.rate, law.start, law.layers) == pytest.approx((0.5, 8, 3))
    assert separation_law([8.0, 0.0]).layers == 1
    assert math.isnan(separation_law([8.0, 0.0]).rate)


def test_the_law_of_a_model_is_that_of_its_rows(found):
    rows = found[0]
    law = separation_law([row.separation_fuzziness for row in rows])
    assert vars(rows.law) == pytest.approx(vars(law))
    assert rows.law.layers == 2


def test_an_alignment_that_rounding_puts_above_one_is_one():
    above = torch.tensor([1 + 1e-15], dtype=torch.float64)
    assert float(above) > 1
    assert cka(above, torch.ones_like(above), torch.ones_like(above)) == 1.0
    assert math.isnan(cka(above, 0 * above, above))
