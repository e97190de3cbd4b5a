"""Every collapse metric against one matrix product, against loops over samples, and at a vocabulary's size.

`neural_collapse` computes all of its metrics each time; the peers compute what the note says.
"""

import math
import multiprocessing
import resource
from collections.abc import Iterator

import torch

import validate
from benchmarks.timing import Row, interleaved, seconds
from ufm import Point


def draw(K: int, d: int, N: int) -> tuple[Point, torch.Tensor]:
    """float32 features about random class means, with a random classifier."""
    generator = torch.Generator().manual_seed(0)
    means, W = (torch.randn(K, d, generator=generator) for _ in range(2))
    labels = torch.arange(N) % K
    H = torch.randn(N, d, generator=generator).mul_(0.5).add_(means[labels])
    return Point(W, H, torch.zeros(K)), labels


def rows() -> Iterator[Row]:
    yield from against_products()
    yield from against_peers()
    for K, d in ((10, 512), (100, 64), (1000, 512)):
        yield against_public(K, d)
    yield at_vocabulary_size()


def against_products(K: int = 1000, d: int = 2048, N: int = 50_000, repeats: int = 2) -> Iterator[Row]:
    """float64, as the metrics are computed in, and the features' own float32, which a pass of batches is beside too."""
    point, labels = draw(K, d, N)
    task = f"all metrics, K = {K:,}, d = {d:,}, N = {N:,}"
    for dtype in (torch.float64, torch.float32):
        H = point.H.to(dtype)
        ours, floor = interleaved(lambda: validate.neural_collapse(point, labels), lambda H=H: H.T @ H, repeats=repeats)
        name = f"one N x d x d product, {str(dtype).removeprefix('torch.')} (floor)"
        yield Row(task, "neural_collapse", ours, name, floor, f"{ours / floor:.2f} times the floor")
    ours = min(seconds(lambda: streaming(point, labels))[0] for _ in range(repeats))
    yield Row(task, "NeuralCollapseMetric", ours, name, floor, f"{ours / floor:.2f} times the floor")


def against_peers(K: int = 10, d: int = 512, N: int = 10_000) -> Iterator[Row]:
    point, labels = draw(K, d, N)
    task = f"all metrics, K = {K}, d = {d}, N = {N:,}"
    expected = validate.neural_collapse(point, labels).nc1
    for ours in OURS.values():
        ours(Point(point.W, point.H[:100], point.b), labels[:100])  # to warm up
    spent, nc1 = seconds(lambda: loop_over_samples(point.double(), labels))
    note = f"peer: NC1 alone; they differ by {abs(nc1 / expected - 1):.0e}"
    for name, ours in OURS.items():
        yield Row(task, name, seconds(lambda ours=ours: ours(point, labels))[0], "loop over samples", spent, note)


def one_point(point: Point, labels: torch.Tensor) -> float:
    return validate.neural_collapse(point, labels).nc1


def streaming(point: Point, labels: torch.Tensor, batch: int = 256) -> float:
    metric = validate.NeuralCollapseMetric(point.num_classes)
    for H, y in zip(point.H.split(batch), labels.split(batch), strict=True):
        metric.update(H, y)
    return float(metric.compute()["nc1"])


OURS = {"neural_collapse": one_point, "NeuralCollapseMetric": streaming}


def loop_over_samples(point: Point, labels: torch.Tensor) -> float:
    """NC1 from its definition, an outer product for each sample, and numpy's pseudo-inverse."""
    K, d, N = point.num_classes, point.dim, len(labels)
    means = torch.stack([point.H[labels == k].mean(0) for k in range(K)])
    within, between = point.H.new_zeros(d, d), point.H.new_zeros(d, d)
    for h, k in zip(point.H, labels.tolist(), strict=True):
        within += torch.outer(h - means[k], h - means[k]) / N
    overall = point.H.mean(0)
    for mean in means:
        between += torch.outer(mean - overall, mean - overall) / K
    return float((within @ torch.linalg.pinv(between, rtol=1e-10, hermitian=True)).trace()) / K


def against_public(K: int, d: int, N: int = 10_000) -> Row:
    """NC1 as github.com/rhubarbwu/neural-collapse defines and accumulates it."""
    point, labels = draw(K, d, N)
    ours, spent = interleaved(lambda: one_point(point, labels), lambda: public_formula(point, labels), repeats=5)
    apart = abs(public_formula(point, labels) / one_point(point, labels) - 1)
    note = f"peer: NC1 alone; they differ by {apart:.0e}"
    return Row(f"all metrics, K = {K:,}, d = {d:,}, N = {N:,}", "neural_collapse", ours, "public formula", spent, note)


def public_formula(point: Point, labels: torch.Tensor, batch: int = 256) -> float:
    """NC1 in float64: class totals by products with one-hot labels, then d x d scatters and a pseudo-inverse."""
    K, d, N = point.num_classes, point.dim, len(labels)
    batches = list(zip(point.H.split(batch), labels.split(batch), strict=True))
    totals, counts = torch.zeros(K, d, dtype=torch.float64), torch.zeros(K, dtype=torch.int32)
    for H, y in batches:
        members = y[:, None] == torch.arange(K)
        counts += members.sum(0, dtype=torch.int32)
        totals += members.T.double() @ H.double()
    means = totals / counts[:, None]
    within = totals.new_zeros(d, d)
    for H, y in batches:
        away = H.double() - means[y]
        within += away.T @ away
    centred = means - means.mean(0)
    between = centred.T @ centred / K
    return float((torch.linalg.pinv(between) @ within).trace()) / N / K


def at_vocabulary_size(K: int = 128_000, d: int = 1024, per_class: int = 2) -> Row:
    """In a process of its own, whose peak memory is told."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        ours, floor, peak, errors = pool.apply(_vocabulary, (K, d, per_class * K, torch.get_num_threads()))
    sampled = ", ".join(f"{name} to {error:.0e}" for name, error in errors.items())
    return Row(
        f"all metrics, K = {K:,}, d = {d:,}, N = {per_class * K:,}",
        "neural_collapse",
        ours,
        "one N x d x d product, float32 (floor)",
        floor,
        f"peak memory {peak / 2**30:.1f} GiB; sampled, standard error over value: {sampled}",
    )


def _vocabulary(K: int, d: int, N: int, threads: int) -> tuple[float, float, int, dict[str, float]]:
    torch.set_num_threads(threads)
    point, labels = draw(K, d, N)
    ours, found = seconds(lambda: validate.neural_collapse(point, labels))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    floor = seconds(lambda: point.H.T @ point.H)[0]
    estimates = {name: value for name, value in vars(found).items() if isinstance(value, validate.Estimate)}
    return ours, floor, peak, {k: v.error / v for k, v in estimates.items() if v and not math.isinf(v.error)}
