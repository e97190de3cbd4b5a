"""Averages over groups of classes against numpy, from features alone."""

import math

import numpy as np
import pytest
import torch

from tests.validate.metrics.kinds import COLLAPSED, KINDS, arrays
from ufm import InputError, Point
from validate import by_group

GROUPS = {"tail": (0, 1), "head": (2, 3), "all": range(4)}


def reference(point, labels, members):
    W, M, means, H, y = arrays(point, labels)
    members = list(members)
    variances = np.array([((H[y == k] - means[k]) ** 2).sum(1).mean() for k in range(len(W))])
    between = (M**2).sum() / len(W)
    pinv = np.linalg.pinv(M.T @ M / len(W), rcond=1e-12)
    nc1 = [np.mean([(h - means[k]) @ pinv @ (h - means[k]) for h in H[y == k]]) / len(W) for k in range(len(W))]
    seen = [k for k in members if (y == k).sum() > 1]
    logits = H @ W.T + point.b.double().numpy()

    def cosine(X):
        pairs = [(j, k) for j in members for k in members if j != k]
        return np.mean([X[j] @ X[k] / np.linalg.norm(X[j]) / np.linalg.norm(X[k]) for j, k in pairs])

    return {
        "classes": len(members),
        "samples": sum((y == k).sum() for k in members),
        "accuracy": np.mean([(logits[y == k].argmax(1) == k).mean() for k in members]),
        "nc1": np.mean([nc1[k] for k in seen]),
        "nc1_quotient": np.mean([variances[k] / between for k in seen]),
        "norm_w": np.mean([np.linalg.norm(W[k]) for k in members]),
        "norm_mean": np.mean([np.linalg.norm(M[k]) for k in members]),
        "alignment": np.mean([W[k] @ M[k] / np.linalg.norm(W[k]) / np.linalg.norm(M[k]) for k in members]),
        "cosine_w": cosine(W),
        "cosine_means": cosine(M),
    }


def test_equal_the_definitions():
    point, labels = KINDS["imbalanced"]
    for row in by_group(point, labels, groups=GROUPS):
        for name, value in reference(point, labels, GROUPS[row["group"]]).items():
            assert row[name] == pytest.approx(value, rel=1e-9), name


def test_the_mean_over_samples_is_another_number():
    """Planted: classes weighted by their samples, and a class of one sample counted as 0."""
    point, labels = KINDS["imbalanced"]
    (row,) = by_group(point, labels, groups={"all": range(4)})
    right = (point.logits.argmax(1) == labels).double()
    assert row["accuracy"] != pytest.approx(float(right.mean()), rel=1e-4)
    quotient = reference(point, labels, range(4))["nc1_quotient"]
    assert row["nc1_quotient"] != pytest.approx(3 / 4 * quotient, rel=1e-4)


def test_shots_are_the_literatures():
    found = by_group(*KINDS["imbalanced"])  # 1, 3, 21 and 110 samples
    assert [(row["group"], row["classes"], row["samples"]) for row in found] == [
        ("many", 1, 110),
        ("medium", 1, 21),
        ("few", 2, 4),
    ]
    assert math.isnan(found[0]["cosine_w"])
    (only,) = by_group(*KINDS["imbalanced"], shots=(0, 1000))
    assert only["group"] == "medium"


def test_minorities_that_collapse_have_cosine_1():
    point, labels = KINDS["imbalanced"]
    W = point.W.clone()
    W[1] = 2 * W[0]
    tail, _ = by_group(Point(W, point.H, point.b), labels, groups={"tail": (0, 1), "head": (2, 3)})
    assert tail["cosine_w"] == pytest.approx(1)
    assert tail["cosine_means"] < 0.99


def test_a_collapsed_point_stands_for_its_samples():
    point, labels = COLLAPSED
    means = Point(point.W, point.H[::3], point.b)
    (short,), (full,) = (by_group(p, labels) for p in (means, point))
    assert short["samples"] == full["samples"] == 12
    assert short["accuracy"] == full["accuracy"] == 1
    assert short["alignment"] == pytest.approx(full["alignment"])


BAD = {
    "empty": ({"groups": {"none": ()}}, "group 'none' must name classes of 0 .. 3"),
    "beyond": ({"groups": {"far": (1, 4)}}, r"got \[1, 4\]"),
    "far beyond": ({"groups": {"far": range(90)}}, r"'far' must name classes of 0 \.\. 3, got 0 \.\. 89"),
    "a number": ({"groups": {"one": 1}}, "'one' must name classes of 0 .. 3, got 1"),
    "texts": ({"groups": {"pets": ["cat"]}}, r"'pets' must name classes of 0 .. 3, got \['cat'\]"),
    "no names": ({"groups": [[0, 1], [2]]}, "groups must be like"),
    "shots": ({"shots": (9, 3)}, "the smaller first"),
}


@pytest.mark.parametrize(("settings", "message"), BAD.values(), ids=BAD)
def test_refusals(settings, message):
    with pytest.raises(InputError, match=message):
        by_group(*KINDS["imbalanced"], **settings)


def test_groups_without_two_samples_have_no_spread():
    point, labels = KINDS["single samples"]
    (row,) = by_group(point, labels)
    assert math.isnan(row["nc1"])
    assert row["norm_w"] == pytest.approx(float(torch.linalg.vector_norm(point.W, dim=1).mean()))
