"""The part of a Hessian that acts within types: directions that keep every type's mean."""

import torch

from ..landscape import Jet
from ..spectra import Spectrum
from ..spectra.spectrum import BLOCKS

ZERO = 1e-12  # of the largest eigenvalue: what counts as 0


def with_features_within(
    collapsed: torch.Tensor, jet: Jet, inside: torch.Tensor, class_counts: tuple[int, ...], least_decay: float
) -> Spectrum:
    """The spectrum over all samples, from the eigenvalues of the Hessian over one feature a type.

    For each type t the block W_F^T S_t W_F/N + lH I over the columns F in which its feature is free, n_t - 1 times:
    inside (T, d) says which. An eigenvalue within 1e-12 of the largest, or 1% of the least decay, counts as 0.
    """
    f, W = jet.landscape, jet.W
    values, counts = [collapsed], [torch.ones(len(collapsed), dtype=torch.int64, device="cpu")]
    for t, n in enumerate(class_counts):
        columns = W[:, inside[t]]
        if n > 1 and columns.shape[1]:
            every = torch.zeros(columns.shape[1], *jet.slopes.shape, dtype=W.dtype, device=W.device)
            every[:, t] = columns.T
            block = columns.T @ jet.curvature(every)[:, t].T / f.num_samples
            values.append(torch.linalg.eigvalsh((block + block.T) / 2) + f.lambda_h)
            counts.append(torch.full((columns.shape[1],), n - 1, dtype=torch.int64, device="cpu"))
    found, multiplicities = torch.cat(values), torch.cat(counts)
    order = found.argsort()
    tolerance = min(ZERO * float(found.abs().max()), 0.01 * least_decay)
    return Spectrum(found[order], multiplicities[order], tolerance, int(multiplicities.sum()), BLOCKS)
