"""Each definition by name, and held-out features about training centres, against loops in numpy and mpmath."""

import math
import re
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch

import validate
from tests.validate.metrics.routes import DECISIONS, ROUTES, agree, draw, of_batches, of_point, streamed
from ufm import InputError, Point
from validate import (
    CollapseRecorder,
    Definitions,
    Moments,
    NeuralCollapse,
    NeuralCollapseMetric,
    collect,
    neural_collapse,
)
from validate.metrics.definitions import Options
from validate.statistics.classes import point_statistics

WITHIN = {"nc1", "nc1_quotient", "nc1_worst_class", "cdnv"}


def held_out(point, labels, counts, noise=0.6, seed=1):
    """Other features of the same layer, moved away from the training means."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    means = torch.stack([point.H[labels == k].double().mean(0) for k in range(len(counts))])
    H = means[y] + 0.2 + noise * torch.randn(len(y), point.dim, generator=generator).double()
    return Point(point.W, H.to(point.H), point.b), y


def by_hand(point, labels, *, train=None, centre="samples", centre_w=False, p=2.0, classes=None):
    """Every number from its definition, by loops: means and global mean of `train` (None: of the features), numpy."""
    chosen = list(range(point.num_classes)) if classes is None else classes
    W, b = point.W.double().numpy()[chosen], point.b.double().numpy()[chosen]

    def kept(H, y):
        rows = [(h, chosen.index(k)) for h, k in zip(H.double().numpy(), y.tolist(), strict=True) if k in chosen]
        return np.array([h for h, _ in rows]), np.array([k for _, k in rows])

    H, y = kept(point.H, labels)
    T, t = kept(train[0].H, train[1]) if train else (H, y)
    K = len(W)
    means = np.stack([T[t == k].mean(0) for k in range(K)])
    overall = T.mean(0) if centre == "samples" else means.mean(0)
    M = means - overall
    between = M.T @ M / K
    within = sum(np.outer(h - means[k], h - means[k]) for h, k in zip(H, y, strict=True)) / len(H)
    variance = {k: np.mean([np.sum((h - means[k]) ** 2) for h in H[y == k]]) for k in set(y.tolist())}
    pairs = [(i, j) for i in variance for j in variance if i != j]
    apart = [(variance[i] + variance[j]) / 2 / np.linalg.norm(means[i] - means[j]) ** p for i, j in pairs]
    V = W - W.mean(0) if centre_w else W
    ideal = (np.eye(K) - 1 / K) / math.sqrt(K - 1)
    nearest = np.array([np.argmin(np.linalg.norm(means - h, axis=1)) for h in H])

    def distance(gram):
        return np.linalg.norm(gram / np.linalg.norm(gram) - ideal)

    def shape(X):
        norms = np.linalg.norm(X, axis=1)
        cosines = ((X / norms[:, None]) @ (X / norms[:, None]).T)[~np.eye(K, dtype=bool)]
        gaps = np.abs(cosines + 1 / (K - 1))
        return {
            "equinorm": norms.std() / norms.mean(),
            "equiangularity": cosines.std(),
            "simplex_angles": gaps.mean(),
            "coherence": gaps.max(),
        }

    return {
        "nc1": np.trace(within @ np.linalg.pinv(between, rcond=1e-10)) / K,
        "nc2": distance(V @ V.T),
        "nc3": distance(V @ M.T),
        "nc4": np.linalg.norm(b + W @ overall),
        "nearest_center_disagreement": np.mean((H @ W.T + b).argmax(1) != nearest),
        "nearest_center_accuracy": np.mean(nearest == y),
        "nc1_quotient": np.trace(within) / np.trace(between),
        "nc1_worst_class": max(variance.values()) / np.trace(between),
        "cdnv": np.mean(apart),
        "nc2_means": distance(M @ M.T),
        "self_duality": np.linalg.norm(V / np.linalg.norm(V) - M / np.linalg.norm(M)),
        **{f"{name}_w": value for name, value in shape(V).items()},
        **{f"{name}_means": value for name, value in shape(M).items()},
    }


FEATURES = {
    "balanced": lambda: draw((6, 6, 6, 6)),
    "imbalanced": lambda: draw((3, 2, 20, 9)),
    "collapsed": lambda: draw((4, 6, 3, 5), noise=1e-6),
    "a class of one sample": lambda: draw((1, 5, 7, 4)),
    "K > d + 1": lambda: draw((3, 4, 5, 6, 7), d=2),
    "float32": lambda: draw((4, 6, 9, 5), dtype=torch.float32),
    "float16": lambda: draw((4, 6, 9, 5), dtype=torch.float16),
    "bfloat16": lambda: draw((4, 6, 9, 5), dtype=torch.bfloat16),
}
ASKED = {  # the arguments of the metrics, and what they are by hand
    "the paper's": ({}, {}),
    "the mean of the class means": ({"centre": "classes"}, {"centre": "classes"}),
    "W less its mean": ({"centre_w": True}, {"centre_w": True}),
    "distances to another power": ({"cdnv_exponent": 1}, {"p": 1.0}),
    "some classes": ({"classes": [3, 1, 2]}, {"classes": [1, 2, 3]}),
    "all at once": (
        {"centre": "classes", "centre_w": True, "cdnv_exponent": 4, "classes": torch.tensor([0, 2, 3])},
        {"centre": "classes", "centre_w": True, "p": 4.0, "classes": [0, 2, 3]},
    ),
}
CLOSE = {"collapsed": 1e-5}  # of deviations 1e-6 of the features, ten digits are left


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("kind", FEATURES)
@pytest.mark.parametrize(("asked", "meant"), ASKED.values(), ids=ASKED)
def test_equals_its_definition(route, kind, asked, meant):
    point, labels = FEATURES[kind]()
    found = route(point, labels, **asked)
    agree(found, by_hand(point, labels, **meant), CLOSE.get(kind, 1e-9), DECISIONS if route is streamed else set())


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("kind", FEATURES)
@pytest.mark.parametrize("counts", [(5, 3, 8, 2), (1, 1, 1, 1), (4, 0, 0, 1)])
@pytest.mark.parametrize(("asked", "meant"), [ASKED["the paper's"], ASKED["all at once"]])
def test_held_out_features_are_measured_about_training_centres(route, kind, counts, asked, meant):
    """Also where every held-out sample is alone in its class, and where a class has none."""
    train = FEATURES[kind]()
    counts = counts if train[0].num_classes == 4 else (*counts, 3)
    point, labels = held_out(*train, counts)
    found = route(point, labels, reference=train, **asked)
    agree(found, by_hand(point, labels, train=train, **meant), 1e-9, DECISIONS if route is streamed else set())


def test_every_form_of_a_reference_is_the_same():
    train = draw((3, 2, 20, 9))
    point, labels = held_out(*train, (5, 3, 8, 2))
    expected = of_point(point, labels, reference=train)
    metric, moments = NeuralCollapseMetric(4), Moments.zero(4, 5, scatter=False)
    metric.update(train[0].H, train[1])
    moments.update(train[0].H, train[1])
    own = Point(train[0].W, train[0].H, train[0].b, train[1])
    batches = [(train[0].H[part], train[1][part]) for part in (slice(0, 11), slice(11, None))]
    for reference in (own, (own, None), batches, metric.statistics(), moments, point_statistics(*train)):
        agree(of_point(point, labels, reference=reference), expected, 1e-12)


def test_of_the_training_set_itself_a_reference_changes_nothing():
    point, labels = draw((3, 2, 20, 9))
    agree(of_point(point, labels, reference=(point, labels)), of_point(point, labels), 1e-12)


def test_a_collapsed_point_can_be_held_out():
    """A row a class, which stands for as many samples as the labels say."""
    train = draw((3, 2, 20, 9))
    rows, _ = held_out(*train, (1, 1, 1, 1))
    labels = torch.tensor([0, 0, 0, 2, 3, 3])
    expanded = Point(rows.W, rows.H[labels], rows.b)
    agree(of_point(rows, labels, reference=train), of_point(expanded, labels, reference=train), 1e-12)


def test_classes_by_count():
    point, labels = draw((3, 2, 20, 9))
    for asked, classes in (
        ({"least_count": 3}, [0, 2, 3]),
        ({"most_count": 9}, [0, 1, 3]),
        ({"least_count": 3, "most_count": 9}, [0, 3]),
        ({"least_count": 3, "classes": [1, 2, 3]}, [2, 3]),
    ):
        for route in (of_point, of_batches):
            agree(route(point, labels, **asked), by_hand(point, labels, classes=classes))
        found = streamed(point, labels, **asked)
        agree(found, by_hand(point, labels, classes=classes), without=DECISIONS | {"nc1"})
        assert math.isnan(found["nc1"])  # its one scatter is of all classes


def test_counts_are_those_behind_the_means():
    train = draw((3, 2, 20, 9))
    point, labels = held_out(*train, (1, 30, 4, 4))
    found = of_point(point, labels, reference=train, least_count=3)
    agree(found, by_hand(point, labels, train=train, classes=[0, 2, 3]))


def test_a_class_without_centre_is_missed_or_dropped():
    train = draw((3, 0, 20, 9))
    point, labels = held_out(*draw((3, 2, 20, 9)), (4, 4, 4, 4))
    with pytest.raises(InputError, match=r"no sample of class 1 .*absent="):
        neural_collapse(point, labels, reference=train)
    expected = by_hand(point, labels, train=train, classes=[0, 2, 3])
    agree(of_point(point, labels, reference=train, absent="drop"), expected)
    agree(of_point(point, labels, reference=train, least_count=1), expected)


def test_only_what_a_definition_is_about_depends_on_it():
    """The planted error of each: another definition gives another number, and the numbers that it is not about stay."""
    point, labels = draw((3, 2, 20, 9))
    paper = of_point(point, labels)
    about = {
        "centre": ("classes", {"nc1", "nc1_quotient", "nc1_worst_class", "nc3", "nc4", "nc2_means", "self_duality"}),
        "centre_w": (True, {"nc2", "nc3", "self_duality", "equinorm_w", "simplex_angles_w"}),
        "cdnv_exponent": (1, {"cdnv"}),
        "classes": ([0, 1, 2], {"nc1", "nc2", "nc3", "nc4", "cdnv"}),
        "least_count": (3, {"nc1", "nc2", "nc3", "nc4", "cdnv"}),
        "most_count": (9, {"nc1", "nc2", "nc3", "nc4", "cdnv"}),
    }
    assert set(about) == set(Options.__annotations__) == set(vars(Definitions()))
    stays = {
        "centre": {"nc2", "cdnv", "nearest_center_accuracy", "coherence_w"},
        "centre_w": {"nc1", "nc4", "cdnv", "nc2_means", *DECISIONS},
        "cdnv_exponent": set(paper) - {"cdnv"},
    }
    for name, (value, changed) in about.items():
        found = of_point(point, labels, **{name: value})
        assert all(abs(found[metric] - paper[metric]) > 1e-3 * paper[metric] for metric in changed), name
        agree(found, {metric: paper[metric] for metric in stays.get(name, ())}, 1e-9)


def test_means_of_the_held_out_features_themselves_are_another_thing():
    """The planted error of a reference: what one gets by measuring the held-out set alone."""
    train = draw((3, 2, 20, 9))
    point, labels = held_out(*train, (5, 3, 8, 2), noise=0.1)
    about, alone = of_point(point, labels, reference=train), of_point(point, labels)
    assert all(about[name] > 1.5 * alone[name] for name in WITHIN)
    assert about["nearest_center_accuracy"] <= alone["nearest_center_accuracy"]
    agree(about, {name: of_point(*train)[name] for name in ("nc2", "nc3", "nc4", "rank", "condition", "nc2_means")})


# The table of docs/metrics.md.


PAGE = (Path(__file__).parents[3] / "docs" / "metrics.md").read_text()


def named(heading, text=PAGE):
    """The names in the first column of the table under a heading; each row has four cells and says what it is about."""
    lines = text.split(f"## {heading}")[1].split("\n## ")[0].splitlines()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith("| `")]
    assert all(len(row) == 4 and row[1] for row in rows)
    return [re.split("=", name)[0] for row in rows for name in re.findall("`(.+?)`", row[0])]


def test_the_table_has_every_number_and_every_definition():
    assert named("The numbers") == [field.name for field in fields(NeuralCollapse)]
    assert list(dict.fromkeys(named("The definitions"))) == [field.name for field in fields(Definitions)]
    assert named("The numbers", PAGE.replace("| `nc1` |", "| nc1 |"))[0] == "nc2"


LAYER_TABLE = {field.name for field in fields(validate.Layer)} - {field.name for field in fields(NeuralCollapse)}
FURTHER = {
    "Layers": LAYER_TABLE - {"name", "dim", "samples", "pooling"} | {"largest_angle"},
    "Single classes": set(validate.per_class(*draw((3, 2)))[0]) - {"class", "samples"},
    "The last layer's decisions": {field.name for field in fields(validate.LastLayer)},
    "Fewer dimensions than K - 1": {field.name for field in fields(validate.GeneralizedCollapse)},
    "Regression": {field.name for field in fields(validate.RegressionCollapse)} - {"gamma"},
}


@pytest.mark.parametrize("heading", FURTHER)
def test_the_tables_of_further_numbers_have_each(heading):
    section = PAGE.split(f"### {heading}\n")[1].split("\n### ")[0]
    firsts = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    assert {name for name in re.findall("`(.+?)`", " ".join(firsts)) if "." not in name} == FURTHER[heading]


# The published code, each number from what it computes, in numpy: docs/metrics.md names them.


def test_the_public_package_has_the_same_numbers_under_its_names():
    """github.com/rhubarbwu/neural-collapse: means.compute() weighs classes alike, W is not centred, no bias decides."""
    point, labels = draw((3, 2, 20, 9))
    H, W, y = point.H.numpy(), point.W.numpy(), labels.numpy()
    M = np.stack([H[y == k].mean(0) for k in range(4)])
    m_G = M.mean(0)
    V_intra = sum(np.outer(h - M[k], h - M[k]) for h, k in zip(H, y, strict=True)) / len(H)
    V_inter = (M - m_G).T @ (M - m_G) / 4
    V_norms = np.array([((H[y == k] - M[k]) ** 2).sum(1).mean() for k in range(4)])
    struct = W @ (M - m_G).T
    struct = struct / np.linalg.norm(struct) + 1 / 4 / math.sqrt(3) - np.eye(4) / math.sqrt(3)
    Y_ncc = ((H**2).sum(1)[:, None] + (M**2).sum(1) - 2 * H @ M.T).argmin(1)
    squared = ((M[:, None] - M) ** 2).sum(2)[np.triu_indices(4, 1)]
    averages = ((V_norms[:, None] + V_norms) / 2)[np.triu_indices(4, 1)]
    unbiased = Point(point.W, point.H, torch.zeros(4).double())
    for dist_exp in (1.0, 0.5, 2.0):
        found = of_point(unbiased, labels, centre="classes", cdnv_exponent=2 * dist_exp)
        assert found["cdnv"] == pytest.approx(np.mean(averages / squared**dist_exp)), "variability_cdnv"
    assert found["nc1"] == pytest.approx(np.trace(np.linalg.pinv(V_inter, rcond=1e-10) @ V_intra) / 4), "pinv"
    assert found["nc1_quotient"] == pytest.approx(np.trace(V_intra) / np.trace(V_inter)), "quotient"
    assert found["nc3"] == pytest.approx(np.linalg.norm(struct)), "self_duality_error"
    assert 1 - found["nearest_center_disagreement"] == pytest.approx(np.mean((H @ W.T).argmax(1) == Y_ncc))


def test_the_notebook_of_papyan_han_and_donoho_has_the_same_numbers_up_to_factors():
    """Its means weigh classes alike; no 1/K in its NC1, K - 1 in its deviations, a square in its self-duality."""
    point, labels = draw((3, 2, 20, 9))
    H, W, b, y = point.H.numpy(), point.W.numpy(), point.b.numpy(), labels.numpy()
    M = np.stack([H[y == k].mean(0) for k in range(4)])
    M_ = (M - M.mean(0)).T
    Sw = sum(np.outer(h - M[k], h - M[k]) for h, k in zip(H, y, strict=True)) / len(H)
    U, s, _ = np.linalg.svd(M_ @ M_.T / 4)
    found = of_point(point, labels, centre="classes")
    assert found["nc1"] == pytest.approx(np.trace(Sw @ (U[:, :3] / s[:3]) @ U[:, :3].T) / 4), "Sw_invSb / C"
    for X, of in ((M_, "means"), (W.T, "w")):
        norms = np.linalg.norm(X, axis=0)
        assert found[f"equinorm_{of}"] == pytest.approx(math.sqrt(3 / 4) * norms.std(ddof=1) / norms.mean())
        G = (X / norms).T @ (X / norms) + 1 / 3
        assert found[f"simplex_angles_{of}"] == pytest.approx(np.abs(G - np.diag(np.diag(G))).sum() / 12)
    gap = W.T / np.linalg.norm(W) - M_ / np.linalg.norm(M_)
    assert found["self_duality"] == pytest.approx(math.sqrt((gap**2).sum())), "W_M_dist"
    nearest = [np.argmin(np.linalg.norm(h - M, axis=1)) for h in H]
    assert found["nearest_center_disagreement"] == np.mean(nearest != (H @ W.T + b).argmax(1)), "NCC_mismatch"


def test_the_code_of_zhu_et_al_has_the_same_numbers_and_another_sign_in_nc4():
    """Its mean is that of all samples; its fourth number is |W h_G - b|, the paper's is |W h_G + b|."""
    point, labels = draw((3, 2, 20, 9))
    H, W, b, y = point.H.numpy(), point.W.numpy(), point.b.numpy(), labels.numpy()
    M, mu_G = np.stack([H[y == k].mean(0) for k in range(4)]), H.mean(0)
    found, other = of_point(point, labels), of_point(Point(point.W, point.H, -point.b), labels)
    Sigma_W = sum(np.outer(h - M[k], h - M[k]) for h, k in zip(H, y, strict=True)) / len(H)
    Sigma_B = sum(np.outer(m - mu_G, m - mu_G) for m in M) / 4
    sub = (np.eye(4) - 1 / 4) / math.sqrt(3)
    assert found["nc1"] == pytest.approx(np.trace(Sigma_W @ np.linalg.pinv(Sigma_B, rcond=1e-10)) / 4)
    for name, gram in (("nc2", W @ W.T), ("nc3", W @ (M - mu_G).T)):
        assert found[name] == pytest.approx(np.linalg.norm(gram / np.linalg.norm(gram) - sub))
    assert other["nc4"] == pytest.approx(np.linalg.norm(W @ mu_G - b)), "Wh_b_relation_metric"
    assert abs(found["nc4"] - other["nc4"]) > 1e-3


# Loops, and what is refused.


def test_a_recorder_takes_the_training_loader_as_reference():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))
    train, test = ([(torch.randn(9, 3), torch.arange(9) % 2)] for _ in range(2))
    row = CollapseRecorder(model, test, reference=train, centre="classes")()
    point, labels = collect(model, test)
    agree(row, by_hand(point, labels, train=collect(model, train), centre="classes"), 1e-6)


BAD = {
    "centre": ({"centre": "class"}, 'centre must be "samples" or "classes", got \'class\''),
    "centre_w": ({"centre_w": 1}, "centre_w must be True or False, got 1"),
    "exponent": ({"cdnv_exponent": 0}, "cdnv_exponent must be a finite number > 0, got 0"),
    "count": ({"least_count": 0}, "least_count must be a whole number >= 1, got 0"),
    "no classes": ({"classes": []}, "classes must be a list of class numbers"),
    "half classes": ({"classes": [0.5]}, "classes must be a list of class numbers"),
    "a mask": ({"classes": [True, False]}, "classes must be a list of class numbers"),
    "beyond": ({"classes": [0, 4]}, r"classes must lie in 0 \.\. 3, got 0 \.\. 4"),
    "texts": ({"classes": ["cat", "dog"]}, "classes must be a list of class numbers"),
    "lists": ({"classes": [[0, 1], [2]]}, "classes must be a list of class numbers"),
    "once": ({"classes": iter([0, 1])}, "classes must be a list of class numbers"),
    "one left": ({"least_count": 20}, "at least 2 classes, got 1"),
    "none left": ({"least_count": 21}, "at least 2 classes, got 0"),
    "reference": ({"reference": 3}, r"reference must be \(point, labels\), batches"),
    "a loader": (
        {"reference": [(torch.ones(4, 1, 8, 8), torch.arange(4))]},
        r"of the reference: features must .* got torch.float32 of shape \(4, 1, 8, 8\); .* pass validate.collect",
    ),
    "reference of another layer": ({"reference": draw((2, 2, 2, 2), d=4)}, r"shape \(4, 4\), and .* 5 dimensions"),
    "reference of other classes": ({"reference": draw((2, 2, 2))}, r"shape \(3, 5\), and .* 4 classes"),
}


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize(("asked", "message"), BAD.values(), ids=BAD)
def test_refuses(route, asked, message):
    point, labels = draw((3, 2, 20, 9))
    with pytest.raises(InputError, match=message):
        route(point, labels, **asked)


@pytest.mark.parametrize("call", [of_point, of_batches, validate.per_class])
def test_a_name_that_is_none_is_refused_with_those_near(call):
    with pytest.raises(InputError, match="no argument and no definition is named 'center'; near it are centre"):
        call(*draw((3, 2)), center="classes")
    with pytest.raises(InputError, match="named 'weighted'; near it are centre, centre_w, cdnv_exponent, classes"):
        call(*draw((3, 2)), weighted=True)


def test_numbers_and_sets_of_any_kind():
    point, labels = draw((3, 2, 20, 9))
    asked = {"classes": {0, 2, 3}, "least_count": np.int64(3), "cdnv_exponent": np.float32(1)}
    expected = of_point(point, labels, classes=[0, 2, 3], least_count=3, cdnv_exponent=1)
    agree(of_point(point, labels, **asked), expected)


@pytest.mark.parametrize("centre", ["samples", "classes"])
def test_the_table_of_classes_takes_definitions(centre):
    """Against numpy, of classes 0, 2 and 3 alone and rows of W less their mean."""
    point, labels = draw((3, 2, 20, 9))
    H, y, kept = point.H.numpy(), labels.numpy(), [0, 2, 3]
    means = np.stack([H[y == k].mean(0) for k in kept])
    M = means - (H[np.isin(y, kept)].mean(0) if centre == "samples" else means.mean(0))
    W = point.W.numpy()[kept]
    W = W - W.mean(0)
    rows = validate.per_class(point, labels, centre=centre, centre_w=True, classes=kept)
    assert [row["class"] for row in rows] == kept
    for row, mean, m, w in zip(rows, means, M, W, strict=True):
        D = H[y == row["class"]] - mean
        assert row["nc1"] == pytest.approx(np.trace(D.T @ D / len(D) @ np.linalg.pinv(M.T @ M, rcond=1e-10)))
        assert row["nc1_quotient"] == pytest.approx((D**2).sum() / len(D) / ((M**2).sum() / 3))
        assert (row["norm_w"], row["norm_mean"]) == pytest.approx((np.linalg.norm(w), np.linalg.norm(m)))
        assert row["alignment"] == pytest.approx(w @ m / np.linalg.norm(w) / np.linalg.norm(m))
    with pytest.raises(InputError, match="leave cdnv_exponent out"):
        validate.per_class(point, labels, cdnv_exponent=1)
