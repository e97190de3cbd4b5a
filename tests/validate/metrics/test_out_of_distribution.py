"""NC5, scores and detection against numpy and sklearn, by loops over samples, with wrong variants planted."""

import math

import mpmath
import numpy as np
import pytest
import torch
from scipy.special import logit, softmax
from sklearn.decomposition import PCA
from sklearn.metrics import roc_auc_score, roc_curve
from sklearn.neighbors import NearestNeighbors

import validate
from tests.cases import orthogonal
from tests.validate.metrics.kinds import COLLAPSED, KINDS, arrays
from ufm import InputError, Point
from validate.metrics.ood_scores import SCORES
from validate.metrics.out_of_distribution import detection

ALPHA = 0.1


def features(point, labels, dtype=None):
    """(inside, outside): around the class means, and around another point."""
    generator = np.random.default_rng(5)
    means = arrays(point, labels)[2]
    inside = means[np.arange(40) % len(means)] + 0.3 * generator.standard_normal((40, point.dim))
    outside = 0.4 + 0.6 * generator.standard_normal((27, point.dim))
    return tuple(torch.from_numpy(part).to(dtype or point.H.dtype) for part in (inside, outside))


def scores(point, labels, H, components, alpha=ALPHA):
    """Every score of features H, a sample at a time."""
    W, M, means, train, _ = arrays(point, labels)
    b, H = point.b.double().numpy(), H.double().numpy()
    centre = train.mean(0)
    P = PCA(components).fit(train).components_
    Q = np.linalg.pinv(M, rcond=1e-8) @ M
    found = {name: [] for name in SCORES}
    for h in H:
        z, logits = h - centre, W @ h + b
        part = np.linalg.norm(P @ z) / np.linalg.norm(z)
        found["max_softmax"].append(logit(softmax(logits).max()))
        found["max_logit"].append(logits.max())
        found["neco"].append(part)
        found["neco_logit"].append(part * logits.max())
        found["nci"].append(W[logits.argmax()] @ z / np.linalg.norm(z) + alpha * np.abs(h).sum())
        found["residual"].append(-np.linalg.norm(z - Q @ z))
    if np.linalg.matrix_rank(M) == point.dim:  # no feature is outside the span of the means
        found["residual"] = [0.0] * len(H)
    found["nearest_mean"] = -NearestNeighbors(n_neighbors=1).fit(means).kneighbors(H)[0][:, 0]
    return {name: np.array(values) for name, values in found.items()}


def judged(inside, outside):
    truth, values = np.repeat([1, 0], [len(inside), len(outside)]), np.concatenate([inside, outside])
    false, true, _ = roc_curve(truth, values, drop_intermediate=False)
    return roc_auc_score(truth, values), false[true >= 0.95].min()


DEEP = ("collapsed", "nearly collapsed", "single samples")  # few features that vary: PCA has no more components


@pytest.mark.parametrize("kind", KINDS)
def test_equal_the_definitions(kind):
    point, labels = KINDS[kind]
    components = 1 if kind in DEEP else 2
    if kind == "collapsed":  # its principal components are all of one size
        components = 3
    inside, outside = features(point, labels)
    found = validate.out_of_distribution(point, inside, outside, labels, components=components, alpha=ALPHA)
    both = [scores(point, labels, H, components) for H in (inside, outside)]
    for name, seen in found.scores.items():
        auroc, fpr95 = judged(*(scored[name] for scored in both))
        assert seen.auroc == pytest.approx(auroc, abs=1e-6), name
        assert seen.fpr95 == pytest.approx(fpr95, abs=1e-6), name
    _, M, means, train, _ = arrays(point, labels)
    o = outside.double().numpy().mean(0)

    def cosine(x, y):
        return abs(x @ y) / np.linalg.norm(x) / np.linalg.norm(y)

    assert found.nc5 == pytest.approx(np.mean([cosine(m, o) for m in means]), rel=1e-9)
    assert found.nc5_centred == pytest.approx(np.mean([cosine(m, o - train.mean(0)) for m in M]), rel=1e-9)
    assert validate.OutOfDistribution.from_plain(found.plain()) == found


@pytest.mark.parametrize("name", SCORES)
def test_scores_themselves(name):
    point, labels = KINDS["imbalanced"]
    kept = []
    recording = {"kept": lambda fitted, H: kept.append(SCORES[name](fitted, H)) or kept[-1]}
    inside, outside = features(point, labels)
    validate.out_of_distribution(point, inside, outside, labels, scores=recording, components=2, alpha=ALPHA)
    assert kept[1].numpy() == pytest.approx(scores(point, labels, outside, 2)[name], rel=1e-9)


def wrong(point, labels, H):
    """Wrong variants of the scores: the name, then what is wrong."""
    W, _, means, train, _ = arrays(point, labels)
    H, b, centre = H.numpy(), point.b.numpy(), train.mean(0)
    z = H - centre
    y = (H @ W.T + b).argmax(1)
    P = PCA(2).fit(train).components_
    raw = np.linalg.svd(train)[2][:2]
    Q = np.linalg.pinv(means) @ means
    return {
        "neco, not centred": np.linalg.norm(H @ P.T, axis=1) / np.linalg.norm(H, axis=1),
        "neco, components about the origin": np.linalg.norm(z @ raw.T, axis=1) / np.linalg.norm(z, axis=1),
        "neco, squared": (np.linalg.norm(z @ P.T, axis=1) / np.linalg.norm(z, axis=1)) ** 2,
        "neco_logit, of the least": np.linalg.norm(z @ P.T, axis=1) / np.linalg.norm(z, axis=1) * (H @ W.T + b).min(1),
        "nci, a cosine": (W[y] * z).sum(1) / np.linalg.norm(z, axis=1) / np.linalg.norm(W[y], axis=1),
        "nci, another norm": (W[y] * z).sum(1) / np.linalg.norm(z, axis=1) + ALPHA * np.linalg.norm(H, axis=1),
        "nearest_mean, a distance": -scores(point, labels, torch.from_numpy(H), 2)["nearest_mean"],
        "residual, to the means not centred": -np.linalg.norm(H - H @ Q, axis=1),
        "max_softmax, without the bias": softmax(H @ W.T, axis=1).max(1),
        "max_logit, without the bias": (H @ W.T).max(1),
    }


@pytest.mark.parametrize("planted", wrong(*KINDS["imbalanced"], features(*KINDS["imbalanced"])[1]))
def test_a_wrong_score_is_caught(planted):
    point, labels = KINDS["imbalanced"]
    _, outside = features(point, labels)
    right = scores(point, labels, outside, 2)[planted.split(",")[0]]
    assert wrong(point, labels, outside)[planted] != pytest.approx(right, rel=1e-4)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e9])
@pytest.mark.parametrize("n", [20, 40, 61])
def test_detection_is_sklearns_at_any_scale_with_ties(scale, n):
    """torchmetrics takes scores outside [0, 1] for logits: beyond 40 their sigmoid is 1, and all are equal."""
    generator = np.random.default_rng(n)
    inside, outside = (np.round(generator.standard_normal(m) + shift, 1) for m, shift in ((n, 1.0), (33, 0.0)))
    found = detection(torch.from_numpy(scale * inside + 50), torch.from_numpy(scale * outside + 50))
    if scale < 1:  # 50 + 1e-7: the differences are kept, not the ties
        inside, outside = scale * inside + 50, scale * outside + 50
    auroc, fpr95 = judged(inside, outside)
    assert found.auroc == pytest.approx(auroc, abs=1e-6)
    assert found.fpr95 == pytest.approx(fpr95, abs=1e-6)


def test_wrong_detections_are_caught():
    """Planted: positive outside, and a threshold that keeps 95% of those outside."""
    inside, outside = torch.arange(10.0), torch.cat([torch.arange(5.0) - 8, torch.tensor([4.5, 7.5])])
    found = detection(inside, outside)
    turned = detection(outside, inside)
    assert found.auroc == pytest.approx(1 - turned.auroc)
    assert found.auroc == pytest.approx((5 * 10 + 5 + 2) / 70)
    assert found.fpr95 == pytest.approx(2 / 7)
    assert turned.fpr95 == pytest.approx(1)
    assert detection(inside, inside + 20) == validate.Detection(0.0, 1.0)
    assert detection(inside + 20, inside) == validate.Detection(1.0, 0.0)
    assert detection(torch.ones(3), torch.ones(4)) == validate.Detection(0.5, 1.0)


INVARIANT = ("neco", "nci", "nearest_mean", "residual", "max_softmax", "max_logit", "neco_logit")


def test_rotations_and_shifts():
    point, labels = KINDS["imbalanced"]
    R, shift = orthogonal(point.dim), torch.arange(point.dim).double() / 3
    moved = Point(point.W @ R, (point.H + shift) @ R, point.b - point.W @ shift)
    inside, outside = features(point, labels)
    before = validate.out_of_distribution(point, inside, outside, labels)
    after = validate.out_of_distribution(moved, (inside + shift) @ R, (outside + shift) @ R, labels)
    assert after.nc5_centred == pytest.approx(before.nc5_centred, rel=1e-9)
    assert after.nc5 != pytest.approx(before.nc5, rel=1e-3)
    assert {name: after.scores[name] for name in INVARIANT} == {name: before.scores[name] for name in INVARIANT}


def test_at_collapse_orthogonal_features_are_told_apart():
    """Outside features orthogonal to the means' span have NC5 = 0, a neco of 0 and the whole length as residual."""
    point, labels = COLLAPSED
    span = torch.linalg.svd(point.H)[2]
    outside = torch.randn(9, 3, generator=torch.Generator().manual_seed(0)).double() @ span[3:]
    found = validate.out_of_distribution(point, point, outside, labels)
    assert found.nc5 < 1e-12
    for name in ("neco", "nearest_mean", "residual"):
        assert (found.scores[name].auroc, found.scores[name].fpr95) == pytest.approx((1, 0), abs=1e-6)
    planted = validate.out_of_distribution(point, point, point.H + 1e-3, labels)
    assert planted.nc5_centred > 1e-3


def test_a_feature_at_the_mean_has_no_direction_and_counts_as_outside():
    point, labels = KINDS["imbalanced"]
    inside, _ = features(point, labels)
    found = validate.out_of_distribution(point, inside, point.H.mean(0, keepdim=True), labels, components=2)
    assert found.scores["neco"].auroc == pytest.approx(1, abs=1e-6)


def test_scores_that_cannot_tell_are_all_equal():
    """All of the components, and means that span everything: what differs is rounding, and has no order."""
    point, labels = KINDS["d < K - 1"]
    found = validate.out_of_distribution(point, *features(point, labels), labels, components=3)
    for name in ("neco", "residual"):
        assert found.scores[name] == validate.Detection(0.5, 1.0)


def test_confident_softmax_is_told_apart():
    """Largest softmax probabilities that float64 rounds to 1: their order is that of 400 digits."""
    generator = torch.Generator().manual_seed(0)
    W = 4 * torch.randn(4, 6, generator=generator).double()
    train = Point(W, W.repeat(3, 1) + torch.randn(12, 6, generator=generator).double(), torch.zeros(4).double())
    inside, outside = (share * W.repeat(8, 1) + torch.randn(32, 6, generator=generator) for share in (0.9, 0.8))
    with mpmath.workdps(400):
        p, q = (
            [max(map(mpmath.exp, z)) / mpmath.fsum(map(mpmath.exp, z)) for z in (H @ W.T).tolist()]
            for H in (inside, outside)
        )
        order = sum((i > o) + (i == o) / 2 for i in p for o in q) / len(p) / len(q)
        rounded = sum((float(i) > float(o)) + (float(i) == float(o)) / 2 for i in p for o in q) / len(p) / len(q)
    found = validate.out_of_distribution(train, inside, outside, torch.arange(12) % 4).scores["max_softmax"].auroc
    assert found == pytest.approx(order, abs=1e-6)
    assert abs(rounded - order) > 1e-2


def test_what_is_not_defined_is_said_so():
    point, labels = KINDS["imbalanced"]
    inside, _ = features(point, labels)
    found = validate.out_of_distribution(point, inside, 0 * inside, labels)
    assert math.isnan(found.nc5)
    assert "NC5 not defined; about the global mean" in repr(found)


BAD = {
    "dimension": (lambda p, H: {"outside": H[:, :2]}, r"outside must be features of shape \(m, 5\)"),
    "none": (lambda p, H: {"inside": H[:0]}, "inside must be features"),
    "integers": (lambda p, H: {"inside": H.long()}, "torch.int64"),
    "NaN": (lambda p, H: {"outside": H * math.nan}, "features outside have entries that are not finite"),
    "components": (lambda p, H: {"components": 6}, r"components must lie in 1 \.\. 5"),
    "score": (lambda p, H: {"scores": {"mine": lambda fitted, H: H[:, 0] * math.nan}}, "the score 'mine' gave NaN"),
}


@pytest.mark.parametrize(("changed", "message"), BAD.values(), ids=BAD)
def test_refusals(changed, message):
    point, labels = KINDS["imbalanced"]
    inside, outside = features(point, labels)
    settings = {"inside": inside, "outside": outside, "labels": labels} | changed(point, inside)
    with pytest.raises(InputError, match=message):
        validate.out_of_distribution(point, **settings)


def test_a_point_that_tracks_gradients_is_measured_without():
    """In this file, since it takes what every further number takes."""
    point, labels = KINDS["imbalanced"]
    tracked = Point(*(part.clone().requires_grad_() for part in (point.W, point.H, point.b)))
    tags = torch.nn.functional.one_hot(labels)
    for measure in (
        lambda p: validate.hyperspherical(p, labels),
        lambda p: validate.alignment(p, labels),
        lambda p: validate.frames(p, labels),
        lambda p: repr(validate.by_group(p, labels)),
        lambda p: validate.multilabel_collapse(p, tags),
        lambda p: validate.regression_collapse(p, tags.double() + p.W[0, 0]),
        lambda p: validate.out_of_distribution(p, p, p.H, labels),
    ):
        assert measure(tracked) == measure(point)
