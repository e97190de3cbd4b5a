"""What a pass that somebody else makes leaves of the deviations h - h_k: traces alone, for the metrics to read."""

from dataclasses import dataclass

import torch

from .between import Between


@dataclass(eq=False)
class Projected:
    """traces (K,) or (1,) float64, whose sum is tr(S (M^T M)^+): filled in place while the pass goes on."""

    traces: torch.Tensor

    weights = None  # see within.Deviations

    def restricted(self, classes: torch.Tensor) -> "Projected":
        return self

    def whitened(self, between: Between, num_samples: int, listener: object = None) -> torch.Tensor:
        """The traces; there are no samples for a listener."""
        return self.traces
