"""The minimiser's scale, derived: f on W = alpha Pi, H = beta Pi, b = gamma 1, and where it is stationary."""

from dataclasses import dataclass
from functools import cache

import sympy as sp

from .equivariant import Model, alpha, beta, frame, lb, lH, lW, n

c, s = sp.symbols("c s", positive=True)  # the margin alpha beta; s^2 = n lW lH
gamma = sp.Symbol("gamma", real=True)
STRENGTH = sp.sqrt(n * lW * lH)  # s


@dataclass(frozen=True)
class StationaryPoint:
    """Where f is stationary on W = alpha Pi, H = beta Pi: the margin c and odds = exp(-c) in s; the others in c, s."""

    margin: sp.Expr
    odds: sp.Expr
    alpha: sp.Expr
    beta: sp.Expr

    def at(self, expression: sp.Expr) -> sp.Expr:
        """An expression in alpha, beta, n and exp(-alpha beta) at this point: in c, s, K and the decays."""
        scales = {alpha: self.alpha, beta: self.beta, n: s**2 / (lW * lH)}
        return expression.subs(sp.exp(-alpha * beta), self.odds).subs(scales)


@cache
def restricted() -> sp.Expr:
    """f at W = alpha Pi, H = beta Pi (a row a class), b = gamma 1."""
    point = (lambda i, m: alpha * frame(i, m), lambda k, m: beta * frame(k, m), lambda i: gamma)
    model = Model(())
    return model.mean_loss(*point) + sp.collect(sp.expand(model.decay(*point)), (lW, lH, lb), sp.factor)


@cache
def stationary_point() -> StationaryPoint:
    f = restricted()
    (balanced,) = sp.solve(sp.factor(alpha * f.diff(alpha) - beta * f.diff(beta)), beta)
    in_s = {n: s**2 / (lW * lH)}
    ratio = (balanced / alpha).subs(in_s)
    slope = f.diff(alpha).subs(beta, ratio * alpha).subs(alpha, sp.sqrt(c / ratio)).subs(in_s)
    odds = sp.Symbol("odds", positive=True)
    (root,) = sp.solve(slope.subs(sp.exp(-c), odds), odds)
    return StationaryPoint(sp.log(1 / root), root, sp.sqrt(c / ratio), sp.sqrt(c * ratio))
