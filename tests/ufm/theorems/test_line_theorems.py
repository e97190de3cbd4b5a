"""Claims about d = 1: they hold, fail on errors planted in the atlas, and say where they decide nothing."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

import ufm
from tests.ufm.theorems.test_theorems import spoiled
from ufm import Problem
from ufm.theorems import LINE
from ufm.theorems.claims.line import compositions, critical_lambda_b, orderings
from ufm.theorems.evidence import Evidence
from ufm.theorems.verification import judge

BY_NAME = {theorem.name: theorem for theorem in LINE}


def problem(K, rho, lambda_b, n=2, **settings):
    """Decays that differ, with that K sqrt(n lW lH)."""
    s = rho / K / n**0.5
    return Problem.balanced(K, n, 1, lambda_w=2 * s, lambda_h=s / 2, lambda_b=lambda_b, **settings)


FAR, FEWER, NEAR, LOW = problem(4, 0.3, 0.3), problem(4, 0.5, 0.1), problem(4, 0.97, 0.7), problem(4, 0.97, 0.3)
FREE = problem(3, 0.3, 0.0, bias=False)


@cache
def evidence(asked):
    return Evidence(asked, starts=1)


def with_points(found, points):
    return spoiled(found, atlas=replace(found.atlas, points=tuple(points)))


def a_block_of_another_point(found):
    """The last point but one has its logits flattened."""
    points = list(found.atlas.points)
    i = next(i for i, p in enumerate(points) if p.shape == "3+1")
    points[i] = replace(points[i], logits=0.9 * points[i].logits)
    return with_points(found, points)


def a_point_left_out(found):
    return with_points(found, [p for p in found.atlas.points if p.shape != "2+2"])


def the_minimum_left_out(found):
    return with_points(found, [p for p in found.atlas.points if p.index])


def the_minimum_moved(found):
    """In the shape of W alone: m4 differs, m3 does not."""
    first, *others = sorted(found.atlas.points, key=lambda p: p.index)
    order = first.point.W[:, 0].argsort()
    W = first.point.W.clone()
    W[order[[0, 3]], 0] *= 0.8
    return with_points(found, [replace(first, point=replace(first.point, W=W)), *others])


PLANTED = [
    ("pitchfork of a block", FAR, a_block_of_another_point),
    ("ordered partitions", FAR, a_point_left_out),
    ("moments near the threshold", NEAR, the_minimum_left_out),
    ("moments near the threshold", NEAR, the_minimum_moved),
]


@pytest.mark.parametrize(("name", "asked", "plant"), PLANTED)
def test_holds_and_a_planted_error_is_caught(name, asked, plant):
    assert judge(BY_NAME[name], asked, evidence(asked)).status == "holds"
    assert judge(BY_NAME[name], asked, plant(evidence(asked))).status == "fails"


def test_every_claim_has_a_planted_error():
    assert {name for name, _, _ in PLANTED} == set(BY_NAME)


@pytest.mark.parametrize("asked", [FEWER, LOW, FREE], ids=["K = 4 below lb_c", "near the threshold", "no bias"])
def test_the_criterion_holds_where_blocks_do_not_split_and_without_a_bias(asked):
    verdict = judge(BY_NAME["pitchfork of a block"], asked, evidence(asked))
    assert verdict.status == "holds"
    assert ("6 blocks of equal classes, 5 of which split" in verdict.note) == (asked.num_classes == 4)


def test_points_of_another_index_are_named():
    verdict = judge(BY_NAME["ordered partitions"], FEWER, evidence(FEWER))
    assert verdict.status == "inconclusive"
    assert "2+1+1 of index 0 at f = " in verdict.note


def test_below_the_critical_lambda_b_no_minimum_has_all_classes_apart():
    verdict = judge(BY_NAME["moments near the threshold"], LOW, evidence(LOW))
    assert verdict.status == "holds"
    assert verdict.note.startswith("0 minima")


@pytest.mark.parametrize(("K", "total"), [(3, 13), (4, 75), (5, 541), (6, 4683)])
def test_ordered_partitions_are_counted(K, total):
    assert sum(orderings(sizes) for sizes in compositions(K)) == total


def test_the_critical_lambda_b():
    assert [critical_lambda_b(K) for K in (4, 5, 6)] == pytest.approx([1 / 2, 1 / 10, 0])


@pytest.mark.parametrize("K", [4, 5, 6])
def test_no_kurtosis_exceeds_half_of_K_where_the_mean_and_the_third_moment_are_0(K):
    """Random directions, brought to m1 = m3 = 0 by Newton's method; and (a, 0, ..., 0, -a) attains K/2."""
    w = torch.randn(4000, K, dtype=torch.float64, generator=torch.Generator().manual_seed(K)).numpy()
    for _ in range(60):
        w -= w.mean(1, keepdims=True)
        w /= np.sqrt((w**2).mean(1, keepdims=True))
        slope = w**2 - 1 - (w**3).mean(1, keepdims=True) * w
        w -= slope * ((w**3).mean(1) / np.maximum((slope**2).mean(1) * 3, 1e-9))[:, None]
    good = np.abs((w**3).mean(1)) < 1e-9
    assert good.sum() > 1000
    kurtosis = (w**4).mean(1) / (w**2).mean(1) ** 2
    assert kurtosis[good].max() <= K / 2 + 1e-6


def test_verify_lists_them_at_d_1_alone():
    line = ufm.verify(FREE, starts=1, atlas=True)
    assert {v.claim: str(v.status) for v in line[-3:]} == dict(
        zip(BY_NAME, ["holds", "holds", "not covered"], strict=True)
    )
    assert not set(BY_NAME) & {v.claim for v in ufm.verify(FREE, starts=1)}
