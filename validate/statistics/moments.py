"""Class counts, class means and within-class scatter of a stream of features, merged about their centres.

With n samples of mean m in one part and n' of mean m' in the other, per class,

    mean      m + (m' - m) n'/(n + n')
    scatter   S + S' + (m' - m)(m' - m)^T n n'/(n + n')

where S is the sum of (h - m)(h - m)^T. Nothing large is subtracted from anything large, as the textbook's sum of
squares less the square of the sum does. Source: Chan, Golub and LeVeque, "Updating Formulae and a Pairwise Algorithm
for Computing Sample Variances", 1979 (Stanford STAN-CS-79-773), and Chan, Golub and LeVeque 1983.
"""

from dataclasses import dataclass, field

import torch

from ufm.errors import given, require

from .buffers import scratch
from .gram import add_gram
from .scale import exponent_of, power


@dataclass(eq=False)
class Moments:
    """What one pass over labelled features leaves, changed in place by `update` and `merge`.

    counts (K,) int64, means (K, d), spreads (K,) = sum of |h - h_k|^2 over the class,
    scatter (d, d) = sum over all samples of (h - h_k)(h - h_k)^T on and above the diagonal (what is below means
    nothing: `gram.symmetric` completes it), or None where it is not wanted,
    exponent () int64: means are in units of 2^exponent, spreads and scatter in units of 4^exponent. 0 unless float64
    features came whose size is beyond `scale.RANGE`; features of several sizes are in the units of the largest.
    Means of classes not seen yet are 0. The three floating tensors share dtype (float64 for full accuracy) and device.
    """

    counts: torch.Tensor
    means: torch.Tensor
    spreads: torch.Tensor
    scatter: torch.Tensor | None
    exponent: torch.Tensor = field(default_factory=lambda: torch.zeros((), dtype=torch.int64, device="cpu"))

    @classmethod
    def zero(cls, num_classes: int, dim: int, *, scatter: bool = True, device: torch.device | str = "cpu") -> "Moments":
        """The moments of no samples, in float64: 8 (K (d + 2) + d^2) bytes, without the scatter 8 K (d + 2)."""
        none = torch.zeros(0, dtype=torch.float64, device=device)
        return cls(
            torch.zeros(num_classes, dtype=torch.int64, device=device),
            none.new_zeros(num_classes, dim),
            none.new_zeros(num_classes),
            none.new_zeros(dim, dim) if scatter else None,
            torch.zeros((), dtype=torch.int64, device=device),
        )

    def update(self, features: torch.Tensor, labels: torch.Tensor) -> None:
        """Add features (m, d) of any dtype with labels (m,) in 0 .. K-1, on the device of the moments.

        Raises InputError for shapes that do not fit, labels out of range and features that are not finite.
        """
        check(features, labels, self.means)
        if not len(labels):
            return
        features, labels = features.detach(), labels.long()  # bool and uint8 would index as masks
        size = exponent_of(features)
        if size != int(self.exponent) and bool(features.any()):
            self._in_units_for(size)
        (m, d), buffers = features.shape, scratch()
        deviations = buffers.get("deviations", m, d, self.means).copy_(features)
        if self.exponent:
            deviations *= power(-int(self.exponent))
        classes, places, counts = _classes_of(labels.long(), len(self.counts))
        means = buffers.get("means", len(classes), d, self.means).zero_().index_add_(0, places, deviations)
        means /= counts[:, None]
        deviations -= torch.index_select(means, 0, places, out=buffers.get("own", m, d, means))
        spreads = means.new_zeros(len(classes)).index_add_(0, places, deviations.norm(dim=1).square_())
        shifts = self._add(classes, counts, means, spreads)
        if self.scatter is not None:
            deviations += torch.index_select(shifts, 0, places, out=buffers.get("own", m, d, means))
            add_gram(self.scatter, deviations)

    def merge(self, other: "Moments") -> None:
        """Add what another part of the stream left. Raises InputError where it lacks a scatter that this one has."""
        classes = other.counts.nonzero().flatten()
        if not len(classes):
            return
        scatter = other.scatter
        if self.scatter is not None:
            scatter = given(scatter, "the other moments have no scatter; keep it there too")
        step = 0
        if not other._is_zero:
            self._in_units_for(int(other.exponent))
            step = int(other.exponent) - int(self.exponent)
        means, spreads = other.means[classes] * power(step), other.spreads[classes] * power(2 * step)
        if self.scatter is not None and scatter is not None:
            self.scatter += scatter * power(2 * step)
        counts = other.counts[classes]
        shifts = self._add(classes, counts, means, spreads)
        if self.scatter is not None:
            add_gram(self.scatter, shifts * counts.to(shifts).sqrt()[:, None])

    @property
    def _is_zero(self) -> bool:
        """Whether no feature came that is not 0, so that any unit is right."""
        return not bool(self.means.any()) and not bool(self.spreads.any())

    def _in_units_for(self, exponent: int) -> None:
        """Go over to units of 2^exponent, if features of that size do not fit the present ones."""
        step = int(self.exponent) - exponent
        if step < 0 and not self._is_zero:
            self.means *= power(step)
            self.spreads *= power(2 * step)
            if self.scatter is not None:
                self.scatter *= power(2 * step)
        if step < 0 or (step > 0 and self._is_zero):
            self.exponent.fill_(exponent)

    def _add(
        self,
        classes: torch.Tensor,
        counts: torch.Tensor,
        means: torch.Tensor,
        spreads: torch.Tensor,
    ) -> torch.Tensor:
        """Merge the listed classes, but for the scatter.

        Returns the (K', d) rows s_k that each of the n' new samples of a class has to be moved by for the scatter: n'
        of them make the (m' - m)(m' - m)^T n n'/(n + n') of the two means, and deviations from m' add up to 0, so that
        those of h - m' + s_k have it in them.
        """
        seen = self.counts[classes]
        share = counts / (seen + counts).to(means)
        shifts = means - self.means[classes]
        weights = seen * share
        self.spreads[classes] += spreads + weights * shifts.square().sum(1)
        self.means[classes] += shifts * share[:, None]
        self.counts[classes] += counts
        return shifts.mul_((weights / counts).sqrt_()[:, None])


def _classes_of(labels: torch.Tensor, K: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(the classes that are there (K',), ascending, the place of each label (m,) among them, how often each comes)"""
    if len(labels) < K:
        return torch.unique(labels, return_inverse=True, return_counts=True)
    counts = torch.bincount(labels, minlength=K)
    there = counts > 0
    classes = there.nonzero().flatten()
    return (classes, labels, counts) if len(classes) == K else (classes, (there.cumsum(0) - 1)[labels], counts[classes])


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
        reason = "features have entries that are not finite (NaN or infinity); collapse needs numbers"
        require(is_finite(features), reason)


def is_finite(features: torch.Tensor) -> bool:
    """Whether no entry is NaN or infinite: their sum is not finite then, and it is looked at closely only if so."""
    return bool(torch.isfinite(features.sum(dtype=torch.float64))) or bool(torch.isfinite(features).all())
