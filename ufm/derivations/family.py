"""f where W Hbar^T = margin Pi + level J and b = gamma 1, J = 11^T/K, for any loss that classes may be exchanged in.

W = alpha Pi + omega J and Hbar = (margin/alpha) Pi + (level/omega) J, a row a class. For given margin and level the
logits are, and alpha and omega matter to the decays alone, which are least where they are stationary.
"""

from dataclasses import dataclass
from functools import cache

import sympy as sp

from .equivariant import OUT, Entries, K, ModelOf, alpha, frame, lb, lH, lW
from .equivariant import n as per_class
from .stationary import gamma, s

margin, size, omega = sp.symbols("margin size omega", positive=True)


@dataclass(frozen=True)
class Restricted:
    """f in margin, size = |level|, gamma, K, s, lb; and alpha of W = alpha Pi + ..., Hbar = (margin/alpha) Pi + ..."""

    f: sp.Expr
    alpha: sp.Expr


@cache
def restricted(model: ModelOf, sign: int) -> Restricted:
    """f with level = sign size; sign 0: level = 0."""
    point = _along(alpha, omega * abs(sign)), _along(margin / alpha, sign * size / omega), lambda i: gamma
    f = model(())
    decay, loss = sp.expand(f.decay(*point)), f.mean_loss(*point)
    least = {alpha: _positive_root(decay, alpha)}
    if sign:
        least[omega] = _positive_root(decay, omega)
    loss = loss.replace(sp.exp, lambda power: sp.exp(sp.expand(power)))
    decay = sp.simplify(decay.subs(least).subs(per_class, s**2 / (lW * lH)))
    return Restricted(loss + sp.collect(sp.expand(decay), (margin, size, lb), sp.factor), least[alpha])


def _along(on_frame: sp.Expr, on_ones: sp.Expr) -> Entries:
    """The entries of on_frame Pi + on_ones J."""
    return lambda i, m: sp.S.Zero if m == OUT else on_frame * frame(i, m) + on_ones / K


def _positive_root(decay: sp.Expr, scale: sp.Symbol) -> sp.Expr:
    """Where the decays are stationary in one scale x: the derivative is A x - B/x^3."""
    slope = sp.expand(sp.diff(decay, scale) * scale**3)
    power = sp.Symbol("power", positive=True)
    (fourth,) = sp.solve(slope.subs(scale, power ** sp.Rational(1, 4)), power)
    return fourth ** sp.Rational(1, 4)
