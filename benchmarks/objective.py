"""Objective with gradient against its three matrix products alone: the hardware's floor."""

from collections.abc import Iterator
from itertools import product

import torch

import ufm
from benchmarks.timing import Row, interleaved
from ufm.losses import CrossEntropy, LabelSmoothing, MeanSquare
from ufm.solvers.minimize import random_point

SIZES = ((100, 128, 5_000), (1000, 512, 20_000))
LOSSES = (CrossEntropy(), LabelSmoothing(0.1), MeanSquare())


def rows() -> Iterator[Row]:
    for (K, d, N), loss in product(SIZES, LOSSES):
        problem = ufm.Problem.balanced(K, N // K, d, lambda_w=5e-4, lambda_h=1e-6, lambda_b=1e-3, loss=loss)
        f, x = problem.landscape_at(random_point(problem))
        W, H, _ = f.split(x)
        G = torch.randn(N, K, dtype=torch.float64)

        def fused(f=f, x=x):
            jet = f.jet(x)
            return jet.value, jet.gradient

        def products(W=W, H=H, G=G):
            return H @ W.T, G.T @ H, G @ W

        ours, floor = interleaved(fused, products)
        task = f"objective and gradient, {loss.name}, K = {K}, d = {d}, N = {N:,}"
        yield Row(task, "fused", ours, "three matrix products (floor)", floor, f"{ours / floor:.2f} times the floor")
