"""Products of pairs, symmetric products, sums over pairs, and the memory that passes use again."""

import threading

import numpy as np
import pytest
import torch

import validate.metrics.nearest_center as nearest_center
from ufm import Point
from validate import neural_collapse
from validate.statistics import gram as grams
from validate.statistics.between import Between
from validate.statistics.buffers import LARGEST, Buffers, borrowed, scratch
from validate.statistics.estimate import Estimate, PairSums
from validate.statistics.pairs import Pairs


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("columns", [1, 7, 16, 50])
def test_a_gram_matrix_is_the_product(columns, monkeypatch):
    monkeypatch.setattr(grams, "STEP", 16)
    X = normal(9, columns)
    found = grams.gram(X)
    np.testing.assert_allclose(found.numpy(), X.numpy().T @ X.numpy(), rtol=0, atol=1e-14)
    assert torch.equal(found, found.T)
    twice = grams.add_gram(grams.add_gram(X.new_zeros(columns, columns), X), X)
    np.testing.assert_allclose(grams.symmetric(twice).numpy(), 2 * found.numpy(), rtol=0, atol=1e-13)


def test_what_lies_below_the_diagonal_is_not_read():
    upper = normal(5, 5)
    spoiled = upper + torch.full_like(upper, torch.nan).tril(-1)
    assert torch.equal(grams.symmetric(spoiled), grams.symmetric(upper))


@pytest.mark.parametrize(("d", "r"), [(1, 1), (16, 16), (50, 50), (50, 23), (9, 0)])
def test_a_triangular_product_is_the_product(d, r, monkeypatch):
    monkeypatch.setattr(grams, "NARROW", 16)
    X, L = normal(8, d), normal(d, r).tril()
    found = grams.times_lower(X, L, out=X.new_empty(8, r))
    np.testing.assert_allclose(found.numpy(), X.numpy() @ L.numpy(), rtol=0, atol=1e-13)


def test_what_lies_above_the_diagonal_is_not_read(monkeypatch):
    monkeypatch.setattr(grams, "NARROW", 16)
    X, L = normal(8, 50), normal(50, 50).tril()
    spoiled = L.clone()
    spoiled[:16, 16:] = torch.nan
    assert torch.equal(grams.times_lower(X, spoiled, out=torch.empty_like(X)), grams.times_lower(X, L, out=X.clone()))


@pytest.mark.parametrize(("K", "d", "rank"), [(9, 20, 8), (30, 7, 7), (30, 7, 3), (9, 20, 4), (9, 20, 0)])
def test_the_factor_is_that_of_the_pseudo_inverse(K, d, rank):
    M = normal(K, rank) @ normal(rank, d, seed=1)
    M -= M.mean(0)
    between = Between.of(M, torch.ones(K).double(), 1e-28)
    L = between.factor.numpy()
    assert L.shape == (d, between.rank)
    assert between.rank == min(rank, K - 1)
    assert not np.triu(L, 1).any()
    expected = np.linalg.pinv(M.numpy().T @ M.numpy(), rcond=1e-10)
    np.testing.assert_allclose(L @ L.T, expected, rtol=0, atol=1e-10 * np.abs(expected).max(initial=0))


@pytest.mark.parametrize("kept", [0, 2**22])
def test_pairs_are_products_and_distances(kept, monkeypatch):
    monkeypatch.setattr("validate.statistics.pairs.KEPT", kept)
    X, Y = normal(300, 4), normal(300, 4, seed=1)
    pairs = Pairs(X, 300, Y)
    for _ in range(2):  # a metric that overwrites what it gets does not change what the next one gets
        found = torch.cat([part.mul_(1) for _, part in pairs])
        np.testing.assert_allclose(found.numpy(), X.numpy() @ Y.numpy().T, rtol=0, atol=1e-13)
        for _, part in pairs:
            part.zero_()
    distances = torch.cat([part for _, part in pairs.squared_distances()])
    direct = ((X.numpy()[:, None] - Y.numpy()) ** 2).sum(2)
    np.testing.assert_allclose(distances.numpy(), direct, rtol=0, atol=1e-12)
    some = Pairs(X, 40)
    assert not some.exact
    found = torch.cat([part for _, part in some])
    np.testing.assert_allclose(found, X[some.some] @ X[some.some].T, rtol=0, atol=1e-13)


def table(K: int, of_classes: float, of_pairs: float, generator: torch.Generator) -> torch.Tensor:
    """f_jk = a_j + a_k + e_jk, symmetric, 0 for j = k."""
    a = of_classes * torch.randn(K, generator=generator, dtype=torch.float64)
    e = of_pairs * torch.randn(K, K, generator=generator, dtype=torch.float64).triu(1)
    return (1 + a[:, None] + a + e + e.T).fill_diagonal_(0)


@pytest.mark.parametrize(("of_classes", "of_pairs"), [(1.0, 0.0), (0.0, 1.0), (0.3, 1.0)])
def test_errors_are_those_of_drawing_classes(of_classes, of_pairs):
    K, R, generator = 60, 25, torch.Generator().manual_seed(0)
    away = []
    for _ in range(400):
        f = table(K, of_classes, of_pairs, generator)
        some = torch.randperm(K, generator=generator)[:R]
        whole, sums = PairSums(K, K), PairSums(K, R)
        whole.add(f)
        sums.add(f[some][:10][:, some])
        sums.add(f[some][10:][:, some])
        found, exact = sums.mean(), whole.mean()
        assert isinstance(found, Estimate)
        assert not isinstance(exact, Estimate)
        assert exact == pytest.approx(float(f.sum()) / (K * (K - 1)))
        away.append((found - exact) / found.error)
    assert 0.85 < np.std(away) < 1.15


def test_few_classes_have_an_error_too():
    sums = PairSums(9, 3)
    sums.add(torch.tensor([[0.0, 1, 2], [1, 0, 3], [2, 3, 0]]))
    assert sums.mean(2.0) == 4.0
    assert sums.mean(2.0).error > 0


def near_ties(K: int = 12, d: int = 5) -> tuple[Point, torch.Tensor]:
    """Samples on both sides of the middle between their mean and another, at rounding's distance and farther."""
    generator = torch.Generator().manual_seed(3)
    centres = torch.randn(K, d, generator=generator, dtype=torch.float64)
    features, labels = [], []
    for k in range(K):
        distances = (centres - centres[k]).norm(dim=1)
        distances[k] = torch.inf
        step = centres[int(distances.argmin())] - centres[k]
        for share in (0.2, 0.49, 0.4999999, 0.5 - 1e-13, 0.5 + 1e-13, 0.51):
            features += [centres[k] + share * step, centres[k] - share * step]
            labels += [k, k]
    H, y = torch.stack(features), torch.tensor(labels)
    return Point(centres, H, torch.zeros(K).double()), y


def counted(point: Point, labels: torch.Tensor) -> float:
    """The nearest-centre accuracy by differences, written out."""
    H = point.H.numpy()
    means = np.stack([H[labels.numpy() == k].mean(0) for k in range(point.num_classes)])
    return float((((H[:, None] - means) ** 2).sum(2).argmin(1) == labels.numpy()).mean())


def test_clear_decisions_are_the_right_ones():
    point, labels = near_ties()
    assert 0.5 < neural_collapse(point, labels).nearest_center_accuracy < 1
    assert neural_collapse(point, labels).nearest_center_accuracy == counted(point, labels)


def test_a_radius_that_is_too_large_is_noticed(monkeypatch):
    monkeypatch.setattr(nearest_center, "CLEAR", 1.2)
    point, labels = near_ties()
    assert neural_collapse(point, labels).nearest_center_accuracy != counted(point, labels)


def test_nearly_coinciding_means_are_left_to_the_comparison():
    centres = torch.tensor([[0.0, 0.0], [1e-5, 0.0], [1.0, 1.0]], dtype=torch.float64)
    safe = nearest_center._safe_squares(Pairs(centres, 3))
    assert safe[:2].tolist() == [0, 0]
    assert 0 < float(safe[2]) < 0.5


def test_memory_is_used_again_and_large_pieces_are_not_kept():
    buffers, like = Buffers(), torch.zeros(1)
    first = buffers.get("one", 3, 4, like)
    assert buffers.get("one", 2, 5, like).data_ptr() == first.data_ptr()
    assert buffers.get("other", 3, 4, like).data_ptr() != first.data_ptr()
    assert buffers.get("one", 3, 4, like.double()).dtype == torch.float64
    buffers.get("large", LARGEST + 1, 1, like)
    assert "large" not in buffers.held


def test_threads_do_not_share_memory():
    found = []
    thread = threading.Thread(target=lambda: found.append(scratch()))
    thread.start()
    thread.join()
    assert found[0] is not scratch()
    assert scratch() is scratch()


def test_memory_that_is_lent_is_not_lent_again():
    like = torch.zeros(1)
    with borrowed() as first:
        with borrowed() as second:
            assert second is not first
        with borrowed() as third:
            assert third is second
        address = first.get("one", 3, 4, like).data_ptr()
    with pytest.raises(ValueError, match="given back"), borrowed() as again:
        raise ValueError("it is given back after an error too")
    assert again is first
    with borrowed() as again:
        assert again.get("one", 3, 4, like).data_ptr() == address


def test_batches_that_are_measured_inside_a_pass_do_not_disturb_it():
    """The loader of a pass may itself measure something, in the same thread."""
    point = Point(normal(3, 4), normal(30, 4, seed=1), torch.zeros(3).double())
    labels = torch.arange(30) % 3

    class Measuring:
        def __iter__(self):
            for part in (slice(0, 11), slice(11, 30)):
                neural_collapse(Point(point.W, normal(50, 4, seed=9), point.b), torch.arange(50) % 3)
                yield point.H[part], labels[part]

    from validate import batch_neural_collapse

    found = batch_neural_collapse(Measuring(), point.W, point.b)
    assert found.nc1 == pytest.approx(neural_collapse(point, labels).nc1, rel=1e-12)
    assert found.nearest_center_accuracy == neural_collapse(point, labels).nearest_center_accuracy
