"""The closed forms of label smoothing, derived: scale, threshold and value at the simplex frame."""

from functools import cache

import sympy as sp

from ..losses import LabelSmoothing
from .equivariant import Entries, K, Model, d
from .family import margin, restricted
from .formulas import Result, smoothing
from .stationary import STRENGTH, gamma, s


class Smoothed(Model):
    """Cross-entropy with the targets (1 - a) e_y + a/K."""

    def loss(self, W: Entries, H: Entries, b: Entries, k: int) -> sp.Expr:
        """log sum_j exp(z_j - z_k) + (a/K) sum_j (z_k - z_j)."""
        right = self.logit(W, H, b, k, k)
        behind = self.over(lambda j: right - self.logit(W, H, b, j, k), k)
        return super().loss(W, H, b, k) + smoothing / K * sp.cancel(behind)


SYMBOLS = {
    "K, n, d": "classes, samples in each, feature dimension",
    "lW, lH, lb": "weight decays of W, H, b",
    "a": "the smoothing: targets are (1 - a) e_y + a/K",
    "s": "sqrt(n lW lH), the strength of the decay",
    "margin": "the logit of the own class less that of another: W Hbar^T = margin Pi, Pi = I - 11^T/K",
    "alpha, beta": "W W^T = alpha^2 Pi and Hbar Hbar^T = beta^2 Pi, a row of Hbar a class",
}
FRAME = (sp.Ge(d, K - 1), sp.Lt(K * s, 1 - smoothing))


@cache
def _odds() -> sp.Expr:
    """exp(-margin) where f is stationary in the margin."""
    odds = sp.Symbol("odds", positive=True)
    slope = restricted(Smoothed, 0).f.diff(margin).subs(gamma, 0)
    slope = sp.together(slope.replace(sp.exp, lambda power: odds ** sp.cancel(-power / margin)))
    (root,) = sp.solve(sp.numer(sp.simplify(slope)), odds)
    return sp.factor(root)


@cache
def _scale() -> tuple[Result, ...]:
    found, wide = restricted(Smoothed, 0), sp.log(sp.factor(1 / _odds()))
    (offset,) = sp.solve(sp.simplify(found.f.diff(gamma)), gamma)
    wrong = sp.factor(_odds() / (1 + (K - 1) * _odds()))
    value = found.f.subs(gamma, offset).replace(sp.exp, lambda power: _odds() ** sp.cancel(-power / margin))
    value = sp.collect(value, margin, sp.factor).replace(sp.log, lambda term: sp.log(sp.factor(term)))
    return (
        Result(
            "margin",
            "scale",
            "The logit margin of the minimiser, from s, the strength of the decay, and a, the smoothing.",
            (
                "for a given margin the decays are least where W and H are balanced",
                "df/dmargin = 0 is linear in exp(-margin)",
            ),
            formulas=((s, STRENGTH), (margin, wide)),
            conditions=FRAME,
            loss=LabelSmoothing,
        ),
        Result(
            "amplitudes",
            "scale",
            "W W^T = alpha^2 Pi and Hbar Hbar^T = beta^2 Pi at the minimiser.",
            ("the decays are stationary in alpha at alpha beta = margin",),
            formulas=tuple(
                (sp.Symbol(name), value.subs(margin, wide))
                for name, value in (("alpha", found.alpha), ("beta", sp.simplify(margin / found.alpha)))
            ),
            conditions=FRAME,
            loss=LabelSmoothing,
        ),
        Result(
            "bias",
            "scale",
            "The bias of the minimiser is gamma 1; at lb = 0 every gamma will do.",
            ("solve df/dgamma = K lb gamma = 0",),
            formulas=((gamma, offset),),
            bias=True,
            loss=LabelSmoothing,
        ),
        Result(
            "probabilities",
            "scale",
            "The softmax at the minimiser: of the right class, and of each other: s + a/K.",
            ("exp(-margin) over 1 + (K - 1) exp(-margin)",),
            formulas=((sp.Symbol("p_correct"), sp.factor(1 - (K - 1) * wrong)), (sp.Symbol("p_wrong"), wrong)),
            conditions=FRAME,
            loss=LabelSmoothing,
        ),
        Result(
            "value",
            "scale",
            "f at this point: its least value, as the duality gap of `ufm.certify` certifies for any one problem.",
            ("put the margin into f",),
            formulas=((sp.Symbol("f*"), value.subs(margin, wide)),),
            conditions=FRAME,
            loss=LabelSmoothing,
        ),
    )


@cache
def _threshold() -> tuple[Result, ...]:
    (vanishing,) = sp.solve(_odds() - 1, s)
    return (
        Result(
            "margin vanishes",
            "threshold",
            "The strength s of the decay at which the frame shrinks to the origin: beyond it, margin < 0: no frame.",
            ("solve margin = 0, that is exp(-margin) = 1, for s",),
            formulas=((s, vanishing),),
            loss=LabelSmoothing,
        ),
    )


TOPICS = {"scale": _scale, "threshold": _threshold}
