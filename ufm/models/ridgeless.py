"""Decays that vanish: the largest margin for given norms, where the directions of cross-entropy's minimisers lead.

    minimise  (t |W|^2 + |H|^2/t)/2   subject to  (w_y - w_c).h_i >= 1  for every sample i of class y and every c != y

with t = sqrt(ratio), ratio = lW/lH. As lW, lH -> 0 at that ratio, minimisers of cross-entropy without a bias turn to
its solutions (docs/theory, section 12.5; Rosset, Zhu and Hastie 2004 for linear models). The value is the least
nuclear norm of Z~ = H~ W^T under the constraints, for d >= K - 1.

*Dual.* For multipliers mu >= 0 let A~ have -mu_kc/sqrt(n_k) off the label and minus their sum on it. Then

    value >= sum mu/|A~|_2,        as sum mu <= sum mu m = <A~, Z~> <= |A~|_2 |Z~|_*.

*Closed form, d >= K - 1* (Thrampoulidis et al. 2022, arXiv 2208.05512: SELI): every margin is 1, Z~ = D^(1/2) Pi with
D = diag(n_k), Pi = I - 11^T/K. With Z~ = U S V^T, W = V S^(1/2) and H~ = U S^(1/2) (at ratio 1) solve the problem if
and only if the dual variable A~ = U V^T is nowhere positive off the labels. That holds for every class counts:

    A~ = D^(1/2) (Pi D Pi)^(+1/2),  and off the diagonal (Pi D Pi)^(+1/2) is
    -(1/pi) int_0^inf s^(-1/2) / [(n_k + s) (n_c + s) sum_j 1/(n_j + s)] ds  <  0.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from ..errors import InputError, NoClosedForm, Setting, require
from ..losses import CrossEntropy
from ..losses.loss import Loss
from ..point import Point
from ..problem import Problem
from ..results import PointVerdict
from ..spectra import Spectrum
from .max_margin import Margins, least_norm
from .model import Judgement, Minimum, Recorded, judge, require_tol

FEASIBLE = 1e-9  # a margin may fall short of 1 by this
ACTIVE = 1e-6  # a multiplier above this fraction of the largest holds its margin at 1
ZERO = 1e-7  # of the Lagrangian's curvature, whose largest eigenvalue is about 1: what counts as 0


@dataclass(frozen=True)
class Ridgeless(Recorded):
    """W (K, d) and H (N, d) without a bias, one class of samples a type; cross-entropy's limit as its decays vanish.

    class_counts, dim   as for `ufm.Problem`; d >= 2, or K = 2: else no point has positive margins
    ratio               lW/lH, at which the decays vanish
    Raises InputError, repeating the offending values.
    """

    class_counts: tuple[int, ...]
    dim: int
    ratio: float = 1.0
    name = "ridgeless"

    def __post_init__(self) -> None:
        good = isinstance(self.ratio, int | float) and not isinstance(self.ratio, bool) and 1e-12 <= self.ratio <= 1e12
        require(good, (Setting("ratio"), f" must be a number in 1e-12 .. 1e12, got {self.ratio!r}"))
        object.__setattr__(self, "class_counts", self.free.class_counts)
        flat = self.dim == 1 and len(self.class_counts) > 2
        require(not flat, (Setting("dim"), " must be >= 2: on a line no bias-free W has a margin over K > 2 classes"))

    @cached_property
    def free(self) -> Problem:
        """The problem with lW lH = 1 and that ratio: its decays are the objective."""
        return Problem(tuple(self.class_counts), self.dim, self.ratio**0.5, self.ratio**-0.5, bias=False)

    @property
    def loss(self) -> Loss:
        """Cross-entropy, whose limit this is."""
        return CrossEntropy()

    @property
    def num_variables(self) -> int:
        """K d + N d."""
        return self.free.num_variables

    def require_decidable(self) -> None:
        """No decay is too small here."""

    def problem(self, decay: float) -> Problem:
        """Cross-entropy without a bias whose decays have that geometric mean and this ratio."""
        return Problem(self.class_counts, self.dim, decay * self.ratio**0.5, decay * self.ratio**-0.5, bias=False)

    def random_point(self, seed: int = 0, scale: float = 1.0) -> Point:
        """Rows w_k of norm 1 in random directions, h_k along w_k with a least margin of 1 + scale |normal|."""
        generator = torch.Generator("cpu").manual_seed(seed)
        K = len(self.class_counts)
        W = torch.randn(K, self.dim, generator=generator, dtype=torch.float64, device="cpu")
        W = W.new_tensor([[1.0], [-1.0]]) if self.dim == 1 else W / W.norm(dim=1, keepdim=True)
        gram = W @ W.T
        least = 1 - (gram - 2 * torch.eye(K, dtype=W.dtype, device="cpu")).amax(1)
        wanted = 1 + scale * torch.randn(K, generator=generator, dtype=torch.float64, device="cpu").abs()
        return Point(W, (wanted / least)[:, None] * W, W.new_zeros(K))

    def objective(self, point: Point) -> torch.Tensor:
        """0-d (t |W|^2 + |H|^2/t)/2, over all N features. Raises InputError where a margin is below 1."""
        margins, x = self._at(point)
        least = float(margins.of(x.detach()).min())
        require(least >= 1 - FEASIBLE, f"the least margin must be >= 1, got {least:g}; divide W and H by its root")
        return x.square().sum() / 2

    def minimize(self, seed: int = 0, tol: float = 1e-10) -> Minimum[Point]:
        """From a random start, features averaged within classes, to where the KKT residual is <= tol.

        The method of multipliers, which uses nothing of the closed form. Raises InputError for more than 3,000 margins
        and for a tol that is none.
        """
        require_tol(tol)
        f = self.free.even.landscape(collapsed=True)
        generator = torch.Generator("cpu").manual_seed(seed)
        start = torch.randn(f.size, generator=generator, dtype=torch.float64, device="cpu") / math.sqrt(self.dim)
        x, residual, rounds = least_norm(Margins(f), start, tol)
        point = self.free.unevened(Point(*f.unpack(x)))
        return Minimum(point, float(x.square().sum()) / 2, residual, rounds, residual <= tol)

    def residual(self, point: Point) -> float:
        """How far the point, scaled to the least margin 1, is from a KKT point, relative: `Margins.multipliers`.

        For every point of positive margins, so also along a flow. Raises InputError for others.
        """
        margins, x = self._at(point)
        return margins.multipliers(x)[1]

    def lower_bound(self, point: Point) -> float:
        """sum mu/|A~|_2 of the module's docstring, with the multipliers that fit the point best."""
        margins, x = self._at(point)
        multipliers, _ = margins.multipliers(x)
        largest = float(torch.linalg.matrix_norm(margins.spread(multipliers), 2))
        return float(multipliers.sum()) / largest if largest > 0 else 0.0

    def certify(self, point: Point) -> Judgement:
        """What a point is: global where its duality gap closes, as it does at minimisers for d >= K - 1."""
        return judge(self, point, self._second_order)

    def _second_order(self, point: Point) -> PointVerdict:
        """What the Lagrangian's curvature says along the directions that keep every pressing margin."""
        margins, x = self._at(point)
        x = x / math.sqrt(float(margins.of(x).min()))
        multipliers, _ = margins.multipliers(x)
        pressing = (multipliers > ACTIVE * multipliers.max()).reshape(-1)
        _, sizes, vectors = torch.linalg.svd(margins.gradients(x)[pressing])
        kept = vectors[int((sizes > ACTIVE * sizes[0]).sum()) :]
        A = margins.spread(multipliers)
        curved = torch.stack([v - margins.pull(v, A) for v in kept])
        levels = torch.linalg.eigvalsh(kept @ curved.T)
        if int((levels < -ZERO).sum()):
            return PointVerdict.STRICT_SADDLE
        zeros, rank = int((levels <= ZERO).sum()), int(torch.linalg.matrix_rank(margins.f.split(x)[0], rtol=ACTIVE))
        explained = rank * self.dim - rank * (rank + 1) // 2  # the orbit of O(d)
        return PointVerdict.LOCAL_MINIMIZER if zeros == explained else PointVerdict.DEGENERATE

    def spectrum(self, point: Point) -> Spectrum:
        """Raises InputError: under constraints the objective has no spectrum of a Hessian."""
        raise InputError(
            "the largest margin is a problem under constraints, and has no Hessian spectrum; "
            "take ufm.spectrum of model.problem(decay) at a small decay"
        )

    def closed_form(self) -> Point:
        """The global minimiser for d >= K - 1 and any class counts: every margin is 1.

        Raises NoClosedForm for fewer dimensions.
        """
        U, S, V = self._factors
        W, H = (np.zeros((len(self.class_counts), self.dim)) for _ in range(2))
        W[:, : len(S)] = V * np.sqrt(S)
        H[:, : len(S)] = U * np.sqrt(S) / np.sqrt(self.class_counts)[:, None]
        b = torch.zeros(len(W), dtype=torch.float64, device="cpu")
        return self.free.unevened(Point(torch.from_numpy(W), torch.from_numpy(H), b))

    @property
    def dual(self) -> torch.Tensor:
        """(K, K) A~ = U V^T, the multipliers of the closed form: negative off the diagonal, of spectral norm 1."""
        U, _, V = self._factors
        return torch.from_numpy(U @ V.T)

    @cached_property
    def _factors(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """U (K, K-1), S and V (K, K-1) of D^(1/2) Pi."""
        K = len(self.class_counts)
        if self.dim < K - 1:
            raise NoClosedForm(f"no closed form of the ridgeless limit for d = {self.dim} < K - 1 = {K - 1}; minimise")
        U, S, Vh = np.linalg.svd(np.sqrt(self.class_counts)[:, None] * (np.eye(K) - 1 / K))
        return U[:, :-1], S[:-1], Vh[:-1].T

    def _at(self, point: Point) -> tuple[Margins, torch.Tensor]:
        """(the margins of the point's rows, the point as a flat vector), in coordinates of equal decays."""
        require(not bool(point.b.any()), "the model has no bias, and the point's b is not 0; leave it out")
        f, x = self.free.even.landscape_at(self.free.evened(point.to("cpu", torch.float64)))
        return Margins(f), x
