"""Class counts, class means and within-class scatter of a stream of features, merged about their centres.

With n samples of mean m in one part and n' of mean m' in the other, per class,

    mean      m + (m' - m) n'/(n + n')
    scatter   S + S' + (m' - m)(m' - m)^T n n'/(n + n')

where S is the sum of (h - m)(h - m)^T. Nothing large is subtracted from anything large, as the textbook's sum of
squares less the square of the sum does. Source: Chan, Golub and LeVeque, "Updating Formulae and a Pairwise Algorithm
for Computing Sample Variances", 1979 (Stanford STAN-CS-79-773), and The American Statistician 37, 1983.
"""

from dataclasses import dataclass

import torch

from ufm.errors import given, require


@dataclass(eq=False)
class Moments:
    """What one pass over labelled features leaves, changed in place by `update` and `merge`.

    counts (K,) int64, means (K, d), spreads (K,) = sum of |h - h_k|^2 over the class,
    scatter (d, d) = sum over all samples of (h - h_k)(h - h_k)^T, or None where it is not wanted.
    Means of classes not seen yet are 0. The three floating tensors share dtype (float64 for full accuracy) and device.
    """

    counts: torch.Tensor
    means: torch.Tensor
    spreads: torch.Tensor
    scatter: torch.Tensor | None

    @classmethod
    def zero(cls, num_classes: int, dim: int, *, scatter: bool = True, device: torch.device | str = "cpu") -> "Moments":
        """The moments of no samples, in float64: 8 (K (d + 2) + d^2) bytes, without the scatter 8 K (d + 2)."""
        none = torch.zeros(0, dtype=torch.float64, device=device)
        return cls(
            torch.zeros(num_classes, dtype=torch.int64, device=device),
            none.new_zeros(num_classes, dim),
            none.new_zeros(num_classes),
            none.new_zeros(dim, dim) if scatter else None,
        )

    def update(self, features: torch.Tensor, labels: torch.Tensor) -> None:
        """Add features (m, d) of any dtype with labels (m,) in 0 .. K-1, on the device of the moments.

        Raises InputError for shapes that do not fit, labels out of range and features that are not finite.
        """
        check(features, labels, self.means)
        if not len(labels):
            return
        features = features.to(self.means.dtype)
        classes, places, counts = torch.unique(labels, return_inverse=True, return_counts=True)
        means = features.new_zeros(len(classes), features.shape[1]).index_add_(0, places, features)
        means /= counts[:, None]
        deviations = features - means[places]
        spreads = means.new_zeros(len(classes)).index_add_(0, places, deviations.square().sum(1))
        self._add(classes, counts, means, spreads, deviations)

    def merge(self, other: "Moments") -> None:
        """Add what another part of the stream left. Raises InputError where it lacks a scatter that this one has."""
        classes = other.counts.nonzero().flatten()
        if not len(classes):
            return
        if self.scatter is not None:
            self.scatter += given(other.scatter, "the other moments have no scatter; keep it there too")
        self._add(classes, other.counts[classes], other.means[classes], other.spreads[classes], None)

    def _add(
        self,
        classes: torch.Tensor,
        counts: torch.Tensor,
        means: torch.Tensor,
        spreads: torch.Tensor,
        deviations: torch.Tensor | None,
    ) -> None:
        """Merge the listed classes; `deviations` are the rows that the scatter still lacks."""
        seen = self.counts[classes]
        share = counts / (seen + counts).to(means)
        shifts = means - self.means[classes]
        weights = seen * share
        self.spreads[classes] += spreads + weights * shifts.square().sum(1)
        self.means[classes] += shifts * share[:, None]
        self.counts[classes] += counts
        if self.scatter is not None:
            rows = shifts * weights.sqrt()[:, None]
            rows = rows if deviations is None else torch.cat([deviations, rows])
            self.scatter.addmm_(rows.T, rows)


def check(features: torch.Tensor, labels: torch.Tensor, means: torch.Tensor) -> None:
    """Raise InputError unless features and labels fit class means (K, d)."""
    K, d = means.shape
    require(
        features.ndim == 2 and features.shape[1] == d and features.is_floating_point(),
        f"features must be floating point of shape (m, {d}), got {features.dtype} of shape {tuple(features.shape)}",
    )
    require(
        labels.shape == features.shape[:1] and not labels.is_floating_point(),
        f"labels must be {len(features)} integers, one for each row of features; got {labels.dtype} "
        f"of shape {tuple(labels.shape)}",
    )
    if len(labels):
        low, high = int(labels.min()), int(labels.max())
        require(low >= 0 and high < K, f"labels must lie in 0 .. {K - 1}, got {low} .. {high}")
        finite = bool(torch.isfinite(features).all())
        require(finite, "features have entries that are not finite (NaN or infinity); collapse needs numbers")
