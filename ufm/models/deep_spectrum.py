"""The spectrum of the Hessian of a deep linear model at a critical point, exact and cheap in n and d.

At a critical point with features collapsed (docs/theory, section 12.4) every factor has rank r and maps U_l, r
dimensions of the inner space l = 1, ..., L-1, into U_(l+1). In bases that begin with these the Hessian splits into
  1. the Hessian of the same model of width r, each eigenvalue once: (K + T) r + (L-2) r^2 variables;
  2. for each inner space l, of what one factor puts outside of U_l and the next one takes from there:
     [[decay, C_l], [C_l^T, decay]] with C_l = (W_(L-1) ... W_(l+1))^T G~^T (W_(l-1) ... H~)^T in these bases: decay
     +- its singular values (and decay, for what is left over), d - r times each;
  3. decay, (d-r)^2 times for each of the L-2 square layers;
  4. for each type t and W the product of the layers: W^T S_t W/N + decay on U_1, decay outside, n_t - 1 times each.
For 1 < l < L-1 C_l is -decay times the identity: 0 and 2 decay, r times each. So are the ends for L >= 3, beside
decay, T - r and K - r times: nothing outside of the spaces U_l has negative curvature, and an index does not depend on
the width. For L = 2, C_1 = G~^T has singular values of its own.

The orbit of a critical point under the rotations of the inner spaces has the dimension (L-1) (r d - r (r+1)/2).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from ..errors import require
from ..solvers.sharpen import DENSE
from ..spectra.spectrum import BLOCKS, Spectrum
from .chain import Chain, ChainJet
from .factors import Factors

CRITICAL = 1e-7  # a relative gradient above this is no critical point's
ZERO = 1e-11  # of the largest eigenvalue: what counts as 0
FLAT = 1e-10  # of the largest eigenvalue: along smaller ones no step is made
SWEEPS = 8  # of Newton's method at most
EXACT_RANK = 1e-11  # of sqrt(2 excess/decay), the largest size of a factor: a smaller singular value is 0


@dataclass(frozen=True, eq=False)
class Inner:
    """A critical point in the r dimensions that it lives in: the chain of width r and its flat vector."""

    chain: Chain
    x: torch.Tensor

    @property
    def rank(self) -> int:
        return self.chain.inner.dim

    @property
    def jet(self) -> ChainJet:
        return self.chain.jet(self.x)


def inner_point(chain: Chain, point: Factors) -> Inner:
    """The critical point near a collapsed one whose relative gradient is at most 1e-7, in its r dimensions.

    A singular value of H~ counts as in `ufm.solvers.sharpen.row_space`. Newton's method goes on within these to
    where rounding ends it. Raises InputError for a point that is not critical, and where block 1 has more than 3,000
    rows.
    """
    jet = chain.jet(chain.pack(point))
    residual = jet.relative_gradient
    require(residual <= CRITICAL, f"the point is not critical (relative gradient {residual:.1e}); minimise further")
    unit = (2 * jet.excess / chain.inner.lambda_h) ** 0.5
    U, sizes, rows = torch.linalg.svd(jet.scaled, full_matrices=False)
    rank = int((sizes > min(1e-5, max(EXACT_RANK, 100 * residual)) * unit).sum())
    space, layers = rows[:rank].T, []
    for W in jet.layers[:-1]:
        following = torch.linalg.qr(W @ space)[0]
        layers.append(following.T @ W @ space)
        space = following
    narrow = chain.of_width(rank)
    x = narrow.join([*layers, jet.layers[-1] @ space], U[:, :rank] * sizes[:rank])
    require(narrow.size <= DENSE, f"the spectrum needs (K + T) r + (L-2) r^2 <= {DENSE:,}, got {narrow.size:,}")
    return Inner(narrow, settled(narrow, x))


def settled(chain: Chain, x: torch.Tensor) -> torch.Tensor:
    """The critical point next to x, a saddle too, by Newton steps off the orbit, as long as they halve the gradient."""
    jet = chain.jet(x)
    for _ in range(SWEEPS if len(x) else 0):
        values, vectors = torch.linalg.eigh(jet.hessian())
        flat = values.abs() <= max(FLAT, jet.relative_gradient) * values.abs().max()
        step = vectors @ torch.where(flat, 0.0, (vectors.T @ jet.gradient) / values)
        trial = chain.jet(x - step)
        if not float(trial.gradient.norm()) < 0.5 * float(jet.gradient.norm()):
            break
        x, jet = x - step, trial
    return x


def spectrum_of(found: Inner, dim: int) -> Spectrum:
    """The complete spectrum of the model of width d = dim over all N features."""
    values, counts = zip(*levels(found, dim), strict=True)
    multiplicities = torch.cat([torch.full_like(v, m, dtype=torch.int64) for v, m in zip(values, counts, strict=True)])
    every = torch.cat(values)[multiplicities > 0]
    order, f = every.argsort(), found.chain.inner
    tolerance = min(ZERO * float(every.abs().max()), 0.01 * f.lambda_h)
    wide = found.chain.of_width(dim)
    variables = wide.size + (f.num_samples - len(f.labels)) * dim
    return Spectrum(every[order], multiplicities[multiplicities > 0][order], tolerance, variables, BLOCKS)


def levels(found: Inner, dim: int) -> Iterator[tuple[torch.Tensor, int]]:
    """(eigenvalues, how often each of them occurs)."""
    jet, r, f = found.jet, found.rank, found.chain.inner
    out, decay = dim - r, jet.scaled.new_tensor([f.lambda_h])
    yield torch.linalg.eigvalsh(jet.hessian()), 1
    for C in across(jet):
        sizes = torch.linalg.svdvals(C)
        yield torch.cat([decay - sizes, decay + sizes]), out
        yield decay, out * abs(C.shape[0] - C.shape[1])
    yield decay, (found.chain.depth - 2) * out**2
    yield decay, (f.num_samples - len(f.labels)) * out
    if r:
        yield from within(found, jet)


def across(jet: ChainJet) -> Iterator[torch.Tensor]:
    """C_l^T for l = 1, ..., L-1: (T, r), (r, r), ..., (r, K); (T, K) for L = 2."""
    yield jet.behind[1]  # G~ times the layers behind W_1: (T, d), or (T, K)
    yield from (Y.mT @ B for Y, B in zip(jet.before, jet.behind[2:], strict=False))


def within(found: Inner, jet: ChainJet) -> Iterator[tuple[torch.Tensor, int]]:
    """W^T S_t W/N + decay for each type t, n_t - 1 times."""
    f, W = found.chain.inner, found.chain.unpack(found.x).classifier
    columns = W.T[:, None, :].expand(found.rank, len(f.labels), len(W))
    SW = torch.stack([jet.curvature(column) for column in columns], -1)
    curved = torch.linalg.eigvalsh(torch.einsum("cr,tcs->trs", W, SW) / f.num_samples) + f.lambda_h
    yield from ((row, int(n) - 1) for row, n in zip(curved, f.counts, strict=True))


def orbit_dimension(rank: int, dim: int, depth: int) -> int:
    """(L-1) (r d - r (r+1)/2): a Stiefel manifold for each inner space."""
    return (depth - 1) * (rank * dim - rank * (rank + 1) // 2)
