"""Features and weights of any size, against mpmath and against the same numbers at an ordinary size."""

import math
from dataclasses import asdict

import mpmath
import numpy as np
import pytest
import torch

import validate
from tests.validate.metrics.routes import DECISIONS, ROUTES, agree, draw, of_point, streamed
from ufm import InputError, Point
from validate import (
    Moments,
    generalized_collapse,
    last_layer,
    per_class,
)


def exactly(H, y, W, b, p):
    """nc1, cdnv, nc4 and self_duality at K = 3, d = 2 in mpmath, from the entries as they are."""
    with mpmath.workdps(60):
        rows = [mpmath.matrix([mpmath.mpf(float(x)) for x in h]) for h in H]
        means = [sum((h for h, k in zip(rows, y, strict=True) if k == j), mpmath.zeros(2, 1)) for j in range(3)]
        means = [mean / list(y).count(j) for j, mean in enumerate(means)]
        overall = sum(rows, mpmath.zeros(2, 1)) / len(rows)
        deviations = [h - means[k] for h, k in zip(rows, y, strict=True)]
        within = sum((h * h.T for h in deviations), mpmath.zeros(2)) / len(rows)
        M = [mean - overall for mean in means]
        between = sum((m * m.T for m in M), mpmath.zeros(2)) / 3
        own = [[h for h, k in zip(deviations, y, strict=True) if k == j] for j in range(3)]
        variance = [sum(mpmath.norm(h) ** 2 for h in some) / len(some) for some in own]
        pairs = [(i, j) for i in range(3) for j in range(3) if i != j]
        apart = [(variance[i] + variance[j]) / 2 / mpmath.norm(means[i] - means[j]) ** p for i, j in pairs]
        weights = [mpmath.matrix([mpmath.mpf(float(x)) for x in w]) for w in W]
        drift = [(w.T * overall)[0] + mpmath.mpf(float(c)) for w, c in zip(weights, b, strict=True)]
        sizes = [mpmath.sqrt(sum(mpmath.norm(x) ** 2 for x in X)) for X in (weights, M)]
        gaps = [mpmath.norm(w / sizes[0] - m / sizes[1]) ** 2 for w, m in zip(weights, M, strict=True)]
        found = (within * between**-1)[0, 0] + (within * between**-1)[1, 1]
        trace = {"nc1": found / 3, "cdnv": sum(apart) / 6}
        return trace | {"nc4": mpmath.norm(mpmath.matrix(drift)), "self_duality": mpmath.sqrt(sum(gaps))}


SIZES = [(1e160, 1.0), (1e-160, 1.0), (1e300, 1e-300), (1e-300, 1.0), (1e120, 1e120), (1.0, 1e160), (1.0, 1e-160)]


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize(("of_features", "of_weights"), SIZES)
def test_any_size_of_features_and_weights(route, of_features, of_weights):
    point, labels = draw((4, 2, 6), d=2)
    sized = Point(of_weights * point.W, of_features * point.H, point.b)
    ordinary = route(point, labels)
    found = route(sized, labels, cdnv_exponent=1.5)
    with mpmath.workdps(60):
        for name, value in exactly(sized.H, labels.tolist(), sized.W, sized.b, mpmath.mpf(1.5)).items():
            assert abs(found[name] - value) <= 1e-9 * abs(value), name
    changed = {"nc4", "cdnv", "nearest_center_disagreement"}
    agree(found, {name: value for name, value in ordinary.items() if not math.isnan(value)}, without=changed)
    if route is not streamed:
        logits = [[w @ h for w in point.W.numpy()] for h in point.H.numpy()]
        offsets = point.b.numpy() / of_features / of_weights
        means = [point.H[labels == k].mean(0).numpy() for k in range(3)]
        nearest = [np.argmin([np.linalg.norm(h - m) for m in means]) for h in point.H.numpy()]
        wrong = np.mean([np.argmax(z + offsets) != k for z, k in zip(logits, nearest, strict=True)])
        assert found["nearest_center_disagreement"] == wrong


def test_without_scaling_they_would_go_wrong(monkeypatch):
    """The planted error: every unit 1."""
    point, labels = draw((4, 2, 6), d=2)
    ordinary = of_point(point, labels)
    for module in ("scale", "moments", "classes"):
        monkeypatch.setattr(f"validate.statistics.{module}.exponent_of", lambda *_: 0)
    for size in (1e160, 1e-160):
        found = of_point(Point(point.W, size * point.H, point.b), labels)
        names = ("nc1", "nc1_quotient", "nc2_means", "cdnv", "nc3")
        assert not all(found[name] == pytest.approx(ordinary[name], rel=1e-9) for name in names)


@pytest.mark.parametrize("size", [1e160, 1e-160])
def test_norms_and_one_versus_rest_distances_at_any_size(size):
    point, labels = draw((4, 2, 6, 3), d=2)
    sized = Point(size * point.W, size * point.H, point.b)
    norms, expected = last_layer(sized, labels), last_layer(point, labels)
    assert norms.norm_w == pytest.approx(size * expected.norm_w, rel=1e-12)
    assert norms.norm_h == pytest.approx(size * expected.norm_h, rel=1e-12)
    assert asdict(generalized_collapse(sized, labels)) == pytest.approx(asdict(generalized_collapse(point, labels)))


@pytest.mark.parametrize("route", ROUTES)
def test_features_of_several_sizes_and_a_reference_of_another(route):
    """A first batch of zeros, then large ones, then ordinary ones; training features of another size."""
    point, labels = draw((4, 9, 6), d=2)
    H = point.H.clone()
    H[:7] = 0
    H[7:14] *= 1e160
    mixed = Point(point.W, H, torch.zeros(3).double())
    train = Point(point.W, 1e155 * point.H, point.b), labels
    unit = 2.0**531
    small = Point(point.W, H / unit, mixed.b), (Point(point.W, train[0].H / unit, point.b), labels)
    agree(route(mixed, labels), route(small[0], labels), 1e-12, {"nc4"} | DECISIONS)
    found, expected = route(mixed, labels, reference=train), route(small[0], labels, reference=small[1])
    agree(found, expected, 1e-12, {"nc4"} | DECISIONS)


def test_streams_of_several_sizes_merge():
    point, labels = draw((4, 9, 6), d=2)
    parts = [(point.H[:9], labels[:9]), (1e160 * point.H[9:], labels[9:])]
    whole = Moments.zero(3, 2)
    for H, y in parts:
        whole.update(H, y)
    for order in (parts, parts[::-1]):
        merged = Moments.zero(3, 2)
        for H, y in order:
            other = Moments.zero(3, 2)
            other.update(H, y)
            merged.merge(other)
        merged.merge(Moments.zero(3, 2))
        for name, value in vars(whole).items():
            torch.testing.assert_close(getattr(merged, name), value)


def test_the_table_of_classes_at_any_size():
    point, labels = draw((4, 2, 6), d=2)
    point = Point(point.W, point.H, torch.zeros(3).double())
    ordinary = per_class(point, labels)
    for row, other in zip(per_class(Point(point.W, 1e160 * point.H, point.b), labels), ordinary, strict=True):
        assert row.pop("norm_mean") == pytest.approx(1e160 * other.pop("norm_mean"))
        assert row == pytest.approx(other)


def test_at_ordinary_sizes_nothing_is_scaled():
    """To the last bit: a power of two rounds nothing."""
    point, labels = draw((4, 2, 6), d=3)
    scaled = Point(point.W, 2.0**80 * point.H, point.b)
    one, other = of_point(point, labels), of_point(scaled, labels)
    assert {k: v for k, v in one.items() if k not in ("nc4", "nearest_center_disagreement")} == {
        k: v for k, v in other.items() if k not in ("nc4", "nearest_center_disagreement")
    }


@pytest.mark.parametrize("size", [2.0**200, 2.0**-200])
def test_frames_and_alignment_at_any_size(size):
    point, labels = draw((3, 2, 20, 9))
    large = Point(size * point.W, size * point.H, point.b)
    found, expected = (validate.alignment(one, labels) for one in (large, point))
    assert (found.overall, found.cosine_mean, found.dot_mean / size**2) == pytest.approx(
        (expected.overall, expected.cosine_mean, expected.dot_mean)
    )
    found, expected = (validate.frames(one, labels) for one in (large, point))
    names = ("interference_mean_w", "interference_mean_means")
    assert (found.nc0, found.log_norm_variance_w) == pytest.approx((expected.nc0, expected.log_norm_variance_w))
    assert [getattr(found, name) / size**2 for name in names] == pytest.approx(
        [getattr(expected, name) for name in names]
    )
    for refused in (
        lambda: validate.out_of_distribution(large, point.H, point.H, labels),
        lambda: validate.multilabel_collapse(large, torch.nn.functional.one_hot(labels)),
    ):
        with pytest.raises(InputError, match="divide them by their size"):
            refused()
