"""The nearest-centre accuracy, the fraction of samples whose nearest class mean is that of their own class:

    P( argmin_k |h - h_k| = y ).

The class means are those of the same samples, so a class of one sample is always right.
"""

import math

import torch

from ..statistics.blocks import blocks
from ..statistics.classes import ClassStatistics
from ..statistics.estimate import Estimate
from ..statistics.largest import Largest


class NearestCenterAccuracy:
    """Listens to a pass over the samples: coordinates of their deviations in `Between.basis` (m, r), and classes (m,).

    statistics   K classes; the numbers of the classes are those of its means
    rows         up to so many classes every sample is judged; of more, about so many samples, drawn at random

    |h - h_k| is least where <h, h_k> - |h_k|^2/2 is largest: inner products within the means' span, about the global
    mean, as float64 decides. Of equal distances the first class has it.
    Source: Ben-Shaul and Dekel, "Nearest class-center simplification through intermediate layers", 2022 (arXiv
    2201.08924); Galanti, Gyorgy and Hutter, ICLR 2022 (arXiv 2112.15121).
    """

    def __init__(self, statistics: ClassStatistics, rows: int):
        self.coordinates, self.defined = statistics.between.coordinates, bool(statistics.between.rank)
        K = len(self.coordinates)
        self.chance = 1.0 if rows >= K else rows / statistics.num_samples
        self.counts = self.coordinates.new_zeros(2)  # right, judged
        if self.defined:
            self.generator = torch.Generator(device="cpu").manual_seed(0)
            parts = blocks(*self.coordinates.shape)
            halves = torch.cat([self.coordinates[part].square().sum(1) / -2 for part in parts])
            self.nearest = Largest(self.coordinates, halves, screen=self.chance >= 1)

    def __call__(self, image: torch.Tensor, y: torch.Tensor) -> None:
        if not self.defined:
            return
        if self.chance < 1:
            drawn = (torch.rand(len(y), generator=self.generator, device="cpu") < self.chance).to(y.device)
            image, y = image[drawn], y[drawn]
        if len(y):
            right = self.nearest(image + self.coordinates[y]) == y
            self.counts += torch.stack([right.sum(), torch.ones_like(y).sum()]).to(self.counts)

    @property
    def accuracy(self) -> float:
        """The fraction; an `Estimate` where samples were drawn, NaN where none came or all means are equal."""
        right, judged = self.counts.tolist()
        if not judged:
            return math.nan
        if self.chance >= 1:
            return right / judged
        likely = (right + 1) / (judged + 2)  # Laplace's: all of a sample does not make all certain
        return Estimate(right / judged, (likely * (1 - likely) / judged) ** 0.5)
