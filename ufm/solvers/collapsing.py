"""A model of f for trust-region Newton over all N features, which collapse (docs/theory, section 6.5).

The Hessian at a collapsed point is a direct sum (section 6.1): deviations of features from the means of their types
meet neither those means nor W and b. The model at any point is such a sum, with the gradient of f:

    (W, means, b)   the Hessian of the problem with one feature a type, at the means
    deviations      the second derivative in H at the point, dh_i -> W^T S_i W dh_i/N + lH dh_i, less its types' means

A product with the first costs T/N of one with the Hessian of f, one with the second a third, and few of it are needed.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from typing import NamedTuple

import torch

from ..landscape import Jet, Landscape
from .newton import Trial, steihaug

SHARPER = 0.3  # of the tolerance is asked for of the first part, whose products are cheap


class Part(NamedTuple):
    """The model of one of the two."""

    gradient: torch.Tensor
    hvp: Callable[[torch.Tensor], torch.Tensor]


class Collapsing:
    """The models of a landscape whose rows stand for one sample each: the one at a jet when called."""

    def __init__(self, landscape: Landscape):
        f = self.f = landscape
        counts = torch.bincount(f.labels).to(f.counts)
        self.means = replace(f, labels=torch.arange(len(counts), device=f.labels.device), counts=counts)

    def __call__(self, jet: Jet) -> "Model":
        return Model(self, jet)

    def of_types(self, rows: torch.Tensor) -> torch.Tensor:
        """(T, d) sqrt(n_t) times the means of (N, d) rows."""
        return rows.new_zeros(len(self.means.labels), self.f.dim).index_add_(0, self.f.labels, rows) / self.means.roots

    def of_samples(self, means: torch.Tensor) -> torch.Tensor:
        """(N, d) rows with those (T, d) means: the transpose, and the inverse on rows that are alike within types."""
        return (means / self.means.roots)[self.f.labels]


class Model:
    """The model at one jet. Called, it is solved: a step of each part in a ball of its own, added up.

    A part whose gradient is within the tolerance rests.
    """

    def __init__(self, collapsing: Collapsing, jet: Jet):
        self.collapsing, self.jet = collapsing, jet
        self.known: Trial | None = None  # the step of the deviations; a smaller radius may leave it as it is

    def __call__(self, radius: float, tolerance: float) -> Trial:
        among = steihaug(self.shared, radius, SHARPER * tolerance)
        if self.known is None or float(self.known.step.norm()) > radius:
            self.known = steihaug(self.own, radius, tolerance)
        within, self.known = self.known, self.known._replace(products=0)
        W, means, b = self.collapsing.means.split(among.step)
        H = self.collapsing.of_samples(means).add_(within.step.view(-1, self.collapsing.f.dim))
        step = self.collapsing.f.join(W, H, b)
        return Trial(step, among.decrease + within.decrease, among.products + within.products)

    @cached_property
    def shared(self) -> Part:
        """Of (W, means, b)."""
        c, jet = self.collapsing, self.jet
        W, H, b = c.f.split(jet.gradient)
        there = c.means.jet(c.means.join(jet.W, c.of_types(jet.scaled), jet.b))
        return Part(c.means.join(W, c.of_types(H), b), there.hvp)

    @cached_property
    def own(self) -> Part:
        """Of the deviations, flat (N d)."""
        return Part(self._deviations(self.collapsing.f.split(self.jet.gradient)[1].clone()), self._within)

    def _deviations(self, rows: torch.Tensor) -> torch.Tensor:
        c = self.collapsing
        return rows.sub_(c.of_samples(c.of_types(rows))).flatten()

    def _within(self, v: torch.Tensor) -> torch.Tensor:
        f, jet, rows = self.collapsing.f, self.jet, v.view(-1, self.collapsing.f.dim)
        slopes = jet.curvature(rows @ jet.W.T)
        return self._deviations(torch.addmm(rows, slopes, jet.W, beta=f.lambda_h, alpha=1 / f.num_samples))
