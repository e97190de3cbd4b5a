"""NC4, how far the bias is from taking up the global mean: | b + W h_G |_2."""

import torch


def nc4(W: torch.Tensor, b: torch.Tensor, global_mean: torch.Tensor) -> float:
    """|b + W h_G|_2 for W (K, d), b (K,) and the mean h_G (d,) of all samples, float64.

    0 where the logits are W (h - h_G): the classifier then sees the features about their mean. What Papyan, Han and
    Donoho call NC4 is in `nearest_center`. Source: Zhu et al. 2021 (arXiv 2105.02375), section on experiments.
    """
    return float((b + W @ global_mean).norm())
