"""One-versus-rest distances against an enumeration of faces, and the known softmax codes against explicit ones."""

import itertools
import math

import numpy as np
import pytest
import torch

import ufm
from ufm import InputError
from ufm.traps.code_search import search_code
from ufm.traps.codes import one_vs_rest_distance, softmax_code_distance


def polygon(K: int) -> torch.Tensor:
    angles = 2 * math.pi * torch.arange(K, dtype=torch.float64) / K
    return torch.stack([angles.cos(), angles.sin()], 1)


def simplex(K: int, dim: int) -> torch.Tensor:
    centred = torch.eye(K, dtype=torch.float64) - 1 / K
    rows = torch.linalg.svd(centred)[0][:, : K - 1]
    return torch.nn.functional.pad(rows, (0, dim - K + 1))


def cross_polytope(K: int, dim: int) -> torch.Tensor:
    """K vertices of 2d: d of one sign first, then the antipodes of the first K - d."""
    eye = torch.eye(dim, dtype=torch.float64)
    return torch.cat([eye, -eye])[:K]


def nearest_on_faces(w: np.ndarray, others: np.ndarray) -> float:
    """The distance to a hull by brute force: over all subsets, the projection on its affine hull if it is inside."""
    best = math.inf
    for size in range(1, min(len(others), len(w) + 1) + 1):
        for face in itertools.combinations(range(len(others)), size):
            points = others[list(face)]
            edges = (points[1:] - points[0]).T
            inner = np.linalg.lstsq(edges, w - points[0], rcond=None)[0]
            weights = np.append(1 - inner.sum(), inner)
            if weights.min() >= -1e-12:
                best = min(best, float(np.linalg.norm(weights @ points - w)))
    return best


@pytest.mark.parametrize(("K", "dim"), [(2, 1), (3, 1), (4, 2), (6, 2), (5, 3), (7, 3), (6, 4), (8, 2)])
@pytest.mark.parametrize("seed", range(3))
def test_distance_is_the_least_over_all_faces(K, dim, seed):
    W = np.random.default_rng(seed).standard_normal((K, dim))
    unit = W / np.linalg.norm(W, axis=1, keepdims=True)
    expected = min(nearest_on_faces(unit[k], np.delete(unit, k, axis=0)) for k in range(K))
    assert one_vs_rest_distance(torch.from_numpy(W)) == pytest.approx(expected, abs=1e-12)


CODES = {
    **{f"polygon of {K}": (polygon(K), 1 - math.cos(2 * math.pi / K)) for K in (3, 4, 5, 6, 8, 11)},
    **{f"simplex of {K}": (simplex(K, dim), K / (K - 1)) for K, dim in ((2, 1), (3, 2), (4, 6), (7, 6))},
    **{f"{K} cross vertices in {d}": (cross_polytope(K, d), 1.0) for K, d in ((4, 2), (5, 3), (6, 3), (6, 4), (8, 5))},
    "two of three coincide": (torch.tensor([[1.0], [-1.0], [1.0]]), 0.0),
}


@pytest.mark.parametrize(("code", "distance"), CODES.values(), ids=CODES)
def test_known_codes_attain_their_value(code, distance):
    assert one_vs_rest_distance(code) == pytest.approx(distance, abs=1e-12)
    assert softmax_code_distance(*code.shape) == pytest.approx(distance, abs=1e-15)


def test_length_and_rotation_of_the_rows_do_not_matter():
    code = polygon(5)
    turned = code @ torch.linalg.qr(torch.randn(2, 2, dtype=torch.float64, generator=torch.Generator()))[0]
    scaled = turned * torch.tensor([[0.1], [3.0], [1.0], [7.0], [2.0]])
    assert one_vs_rest_distance(scaled) == pytest.approx(one_vs_rest_distance(code), abs=1e-12)


@pytest.mark.parametrize(("K", "dim"), [(3, 1), (3, 2), (5, 2), (7, 2), (4, 3), (5, 3), (6, 3), (6, 4), (7, 4)])
def test_no_climb_exceeds_a_known_optimum_and_the_best_reaches_it(K, dim):
    code = search_code(K, dim, starts=4)
    assert torch.allclose(code.norm(dim=1), torch.ones(K, dtype=torch.float64), atol=1e-12)
    assert one_vs_rest_distance(code) == pytest.approx(softmax_code_distance(K, dim), abs=1e-9)


def test_unknown_optima_are_none_and_bounded_from_below():
    assert softmax_code_distance(7, 3) is None
    assert 0.78 < one_vs_rest_distance(search_code(7, 3)) < softmax_code_distance(6, 3)


def test_a_class_at_the_origin_has_distance_zero():
    with_centre = torch.cat([polygon(5), torch.zeros(1, 2)])
    assert one_vs_rest_distance(with_centre) == pytest.approx(0, abs=1e-12)
    assert one_vs_rest_distance(torch.zeros(4, 3)) == 0
    aside = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    assert one_vs_rest_distance(aside) == pytest.approx(math.sqrt(0.5), abs=1e-12)


def test_minimisers_that_are_simplex_frames_are_softmax_codes():
    problem = ufm.Problem.balanced(4, 2, 3, lambda_w=2e-4, lambda_h=2e-4, lambda_b=1e-3)
    assert one_vs_rest_distance(ufm.minimize(problem).point.W) == pytest.approx(4 / 3, abs=1e-8)


BAD = {
    "a vector": (lambda: one_vs_rest_distance(torch.ones(3)), r"shape \(K, d\) with K >= 2, got \(3,\)"),
    "one row": (lambda: one_vs_rest_distance(torch.ones(1, 3)), r"got \(1, 3\)"),
    "NaN": (lambda: one_vs_rest_distance(torch.full((2, 2), math.nan)), "not finite"),
    "K = 1": (lambda: softmax_code_distance(1, 2), "got K = 1, d = 2"),
    "d = 0": (lambda: search_code(3, 0), "got K = 3, d = 0"),
    "no starts": (lambda: search_code(3, 2, starts=0), "starts must be >= 1, got 0"),
}


@pytest.mark.parametrize(("call", "message"), BAD.values(), ids=BAD)
def test_refusals(call, message):
    with pytest.raises(InputError, match=message):
        call()
