"""Multi-label collapse against numpy by loops over sets, and at the minimiser of the pick-all-label loss."""

import dataclasses
import math
from itertools import combinations

import numpy as np
import pytest
import torch

import ufm
from tests.cases import DECAY, orthogonal
from ufm import InputError, Point, Problem
from ufm.losses import SoftCrossEntropy
from validate import MultilabelCollapse, multilabel_collapse, neural_collapse

K, d = 4, 6
SETS = [(0,), (1,), (2,), (3,), (0, 1), (1, 3), (2, 3), (0, 1, 2)]


def sample(dtype=torch.float64, spread=0.3):
    """(Point, tags): 2 to 5 samples of each set, near the sum of their tags' means, about another origin."""
    generator = np.random.default_rng(0)
    means = generator.standard_normal((K, d))
    tags = np.zeros((0, K))
    for i, some in enumerate(SETS):
        row = np.isin(np.arange(K), some).astype(float)
        tags = np.vstack([tags, np.tile(row, (2 + i % 4, 1))])
    H = 0.5 + 0.8 * tags @ means / tags.sum(1, keepdims=True) ** 0.5
    H += spread * generator.standard_normal(H.shape)
    point = Point(*(torch.from_numpy(part).to(dtype) for part in (means, H, np.zeros(K))))
    return point, torch.from_numpy(tags)


def reference(point, tags, m):
    H, tags = point.H.double().numpy(), tags.numpy()
    centre = H.mean(0)
    single = [H[(tags.sum(1) == 1) & (tags[:, k] == 1)].mean(0) - centre for k in range(K)]
    sets = [s for s in SETS if len(s) == m]
    rows = {s: H[(tags == np.isin(np.arange(K), s)).all(1)] for s in sets}
    seen = {s: rows[s].mean(0) - centre for s in sets}
    sums = {s: np.sum([single[k] for k in s], 0) for s in sets}
    scale = np.linalg.lstsq(
        np.concatenate([sums[s] for s in sets])[:, None], np.concatenate([seen[s] for s in sets]), rcond=None
    )[0][0]
    left = np.concatenate([seen[s] - scale * sums[s] for s in sets])
    own = np.concatenate(list(rows.values())).mean(0)
    within = sum((h - rows[s].mean(0))[:, None] * (h - rows[s].mean(0)) for s in sets for h in rows[s])
    between = sum((rows[s].mean(0) - own)[:, None] * (rows[s].mean(0) - own) for s in sets) / len(sets)
    n = sum(map(len, rows.values()))
    return {
        "multiplicity": m,
        "sets": len(sets),
        "samples": n,
        "nc1": np.trace(within / n @ np.linalg.pinv(between, rcond=1e-10)) / len(sets),
        "scale": scale,
        "departure": np.linalg.norm(left) / np.linalg.norm(np.concatenate([seen[s] for s in sets])),
        "cosine": np.mean([seen[s] @ sums[s] / np.linalg.norm(seen[s]) / np.linalg.norm(sums[s]) for s in sets]),
    }


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16])
def test_equal_the_definitions(dtype):
    point, tags = sample(dtype)
    found = multilabel_collapse(point, tags)
    assert [average.multiplicity for average in found.averages] == [2, 3]
    for name, value in reference(point, tags, 2).items():
        assert getattr(found.averages[0], name) == pytest.approx(value, rel=1e-9), name
    for name, value in reference(point, tags, 3).items():
        if name != "nc1":
            assert getattr(found.averages[1], name) == pytest.approx(value, rel=1e-9), name
    assert math.isnan(found.averages[1].nc1)  # one set
    alone = tags.sum(1) == 1
    expected = neural_collapse(Point(point.W, point.H[alone], point.b), tags[alone].argmax(1))
    assert found.single == expected
    assert MultilabelCollapse.from_plain(found.plain()).averages[0] == found.averages[0]


def test_a_wrong_definition_is_caught():
    """Planted: about the origin, and the average of tags in the place of their sum."""
    point, tags = sample()
    average = multilabel_collapse(point, tags).averages[0]
    raw = Point(point.W, point.H - point.H.mean(0) + 3, point.b)
    tagged = raw.H.numpy()
    single = np.stack([tagged[(tags.sum(1) == 1) & (tags[:, k] == 1)].mean(0) for k in range(K)])
    seen = np.stack([tagged[(tags == torch.isin(torch.arange(K), torch.tensor(s))).all(1)].mean(0) for s in SETS[4:7]])
    sums = np.stack([single[list(s)].sum(0) for s in SETS[4:7]])
    assert average.scale != pytest.approx((seen * sums).sum() / (sums**2).sum(), rel=1e-2)
    assert average.scale != pytest.approx(2 * reference(point, tags, 2)["scale"], rel=1e-2)


def test_the_minimiser_of_pick_all_labels_is_collapsed():
    """For K = 3 with all sets of one and two tags, balanced within each multiplicity."""
    problem = Problem((2, 2, 2, 3, 3, 3), 4, **DECAY, lambda_b=1e-2, loss=SoftCrossEntropy.pick_all(3))
    point = ufm.minimize(problem, tol=1e-12, reduce=False).point
    sets = [s for size in (1, 2) for s in combinations(range(3), size)]
    tags = torch.tensor([[k in sets[t] for k in range(3)] for t in problem.labels.tolist()])
    found = multilabel_collapse(point, tags)
    (average,) = found.averages
    assert average.departure < 1e-6
    assert average.cosine == pytest.approx(1, abs=1e-10)
    assert average.nc1 < 1e-12
    assert found.single.nc2_means < 1e-6
    moved = point.H.clone()
    moved[tags[:, 0] & tags[:, 1]] = point.H[tags[:, 1] & tags[:, 2]][0]  # planted: one set where another is
    assert multilabel_collapse(dataclasses.replace(point, H=moved), tags).averages[0].departure > 0.3


def test_rotations_shifts_and_scale():
    point, tags = sample()
    moved = Point(point.W @ orthogonal(d), 3 * (point.H + torch.arange(d)) @ orthogonal(d), point.b)
    for before, after in zip(
        multilabel_collapse(point, tags).averages, multilabel_collapse(moved, tags).averages, strict=True
    ):
        for name in ("scale", "departure", "cosine"):
            assert getattr(after, name) == pytest.approx(getattr(before, name), rel=1e-9)


def test_single_tags_alone_have_no_average():
    point, tags = sample()
    alone = tags.sum(1) == 1
    assert multilabel_collapse(Point(point.W, point.H[alone], point.b), tags[alone]).averages == ()


BAD = {
    "shape": (lambda p, t: multilabel_collapse(p, t[:, :2]), "samples by tags"),
    "counts": (lambda p, t: multilabel_collapse(p, 2 * t), "must be 0 or 1"),
    "none": (lambda p, t: multilabel_collapse(p, t * (t.sum(1, keepdim=True) > 1)), "have no tag"),
    "never alone": (
        lambda p, t: multilabel_collapse(Point(p.W, p.H[2:], p.b), t[2:]),
        r"no sample has tag \[0\] alone \(1 of 4",
    ),
}


@pytest.mark.parametrize(("call", "message"), BAD.values(), ids=BAD)
def test_refusals(call, message):
    with pytest.raises(InputError, match=message):
        call(*sample())
