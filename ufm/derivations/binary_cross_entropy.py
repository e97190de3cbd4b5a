"""The closed forms of binary cross-entropy, derived: the branches of the bias, threshold and value.

The slopes of the own and of another class, -own and other, are unknowns of their own: where f is stationary they solve
linear equations, and z_own = log((1 - own)/own), z_other = log(other/(1 - other)).
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

import sympy as sp

from ..losses import BinaryCrossEntropy
from .equivariant import Entries, K, Model, d, lb
from .family import margin, restricted, size
from .formulas import Result, other
from .stationary import STRENGTH, gamma, s


class Binary(Model):
    """The sum over the classes of logistic losses, y = +1 at the own class alone."""

    def loss(self, W: Entries, H: Entries, b: Entries, k: int) -> sp.Expr:
        """log(1 + exp(-z_k)) + sum over the others of log(1 + exp(z_j))."""

        def term(j: int) -> sp.Expr:
            sign = -1 if j == k else 1
            return sp.log(1 + sp.exp(sp.expand(sp.cancel(sign * self.logit(W, H, b, j, k)))))

        return self.over(term, k)


SYMBOLS = {
    "K, n, d": "classes, samples in each, feature dimension",
    "lW, lH, lb": "weight decays of W, H, b",
    "s": "sqrt(n lW lH), the strength of the decay",
    "margin, level": "W Hbar^T = margin Pi + level J, Pi = I - 11^T/K, J = 11^T/K, a row of Hbar a class",
    "gamma": "the bias is gamma 1",
    "own, other": "1 - sigmoid of the own class's logit, and sigmoid of another's",
}
own = sp.Symbol("own", positive=True)
level = sp.Symbol("level", real=True)
z_own, z_other = sp.log((1 - own) / own), sp.log(other / (1 - other))
SPREAD = sp.Lt(K * s, 1)


@dataclass(frozen=True)
class Branch:
    """A branch: what own and other are, margin, level and gamma, and f there."""

    own: sp.Expr
    other: sp.Expr
    margin: sp.Expr
    level: sp.Expr
    gamma: sp.Expr
    value: sp.Expr


def _in_slopes(expression: sp.Expr, sign: int) -> sp.Expr:
    """A derivative of f, of sigmoids of the two logits, in own and other."""
    return sp.cancel(sp.together(expression.subs(_powers(sign))))


def _powers(sign: int) -> dict[sp.Expr, sp.Expr]:
    """exp(-z_own) and exp(z_other), in margin, size and gamma: what they are in own and other."""
    shared = (sign * size - margin) / K + gamma
    left = sp.exp(sp.expand(-shared - margin)), sp.exp(sp.expand(shared))
    return dict(zip(left, (own / (1 - own), other / (1 - other)), strict=True))


@cache
def _branch(name: str) -> Branch:
    """free: lb = 0; below: level < 0; between: level = 0 otherwise, in gamma, or without bias in other."""
    sign = -1 if name.startswith("below") else 0
    f = restricted(Binary, sign).f
    slopes = {x: _in_slopes(f.diff(x), sign) for x in (margin, size, gamma)}
    wanted, unknowns = [slopes[margin]], [own, other]
    if name == "free":
        wanted.append(slopes[gamma].subs(lb, 0))
    elif name == "between":
        wanted.append(slopes[gamma])
    elif name == "below":
        wanted += [slopes[size], slopes[gamma]]
        unknowns.append(gamma)
    elif name == "below without bias":
        wanted.append(slopes[size])
    else:
        unknowns = [own]
    (found,) = sp.solve(wanted, unknowns, dict=True)
    at = {own: sp.factor(found[own]), other: sp.factor(found.get(other, other))}
    total = z_own + (K - 1) * z_other
    bias = {"free": total / K, "between": gamma, "below": found.get(gamma)}.get(name, sp.S.Zero)
    lift = total - K * bias if name.startswith("below") else sp.S.Zero
    value = f.subs(_powers(sign)).replace(sp.log, lambda x: -sp.log(sp.factor(1 / x)))
    value = value.subs({margin: z_own - z_other, size: -lift, gamma: bias})
    value = value if name != "free" else value.subs(lb, 0)
    return Branch(at[own], at[other], *((part.subs(at)) for part in (z_own - z_other, lift, bias, value)))


MEANING = {
    "free": ("lb = 0: level = 0.", True, (sp.Ge(d, K - 1), SPREAD, sp.Le(lb, 0))),
    "below": (
        "level < 0, where this level is negative; lb > 0.",
        True,
        (sp.Ge(K, 3), sp.Ge(d, K), SPREAD, sp.Gt(lb, 0)),
    ),
    "below without bias": (
        "level < 0, where this level is negative; no bias.",
        False,
        (sp.Ge(K, 3), sp.Ge(d, K), SPREAD),
    ),
}


@cache
def _scale() -> tuple[Result, ...]:
    found = (result for name in MEANING for result in _results(name))
    return (*found, _between("between", gamma), _between("between without bias", other))


def _between(name: str, left: sp.Symbol) -> Result:
    """level = 0: one equation for what is left, without radicals."""
    branch, bias = _branch(name), name == "between"
    gap = (z_own + (K - 1) * z_other).subs({own: branch.own, other: branch.other}) - K * branch.gamma
    step = "df/dmargin = df/dgamma = 0 for own and other" if bias else "df/dmargin = 0 for own"
    return Result(
        name,
        "scale",
        f"The minimiser where the other branches do not hold: level = 0, and {left} is the one zero of gap.",
        (f"solve {step}", "gap = z_own + (K - 1) z_other - K gamma = level"),
        formulas=((own, branch.own), (other, branch.other), (sp.Symbol("gap"), gap)),
        bias=bias,
        conditions=(sp.Ge(d, K - 1), SPREAD, sp.Gt(lb, 0)) if bias else (sp.Ge(d, K - 1), SPREAD),
        loss=BinaryCrossEntropy,
    )


def _results(name: str) -> tuple[Result, Result]:
    meaning, bias, conditions = MEANING[name]
    branch = _branch(name)
    unknowns = {"free": "own and other", "below": "own, other and gamma"}.get(name, "own and other")
    equations = {"free": "df/dmargin = df/dgamma", "below": "df/dmargin = df/dlevel = df/dgamma"}
    solve = f"solve {equations.get(name, 'df/dmargin = df/dlevel')} = 0 for {unknowns}: linear"
    facts: dict[str, Any] = {"topic": "scale", "bias": bias, "conditions": conditions, "loss": BinaryCrossEntropy}
    formulas = (
        (s, STRENGTH),
        (own, branch.own),
        (other, branch.other),
        (margin, branch.margin),
        (level, branch.level),
        (gamma, branch.gamma),
    )
    return (
        Result(
            name,
            statement=f"The minimiser. {meaning}",
            derivation=(solve, "take logarithms"),
            formulas=formulas,
            **facts,
        ),
        Result(
            f"value, {name}",
            statement=f"f at this point. {meaning}",
            derivation=("put margin, level and gamma into f",),
            formulas=((sp.Symbol("f*"), branch.value),),
            **facts,
        ),
    )


@cache
def _threshold() -> tuple[Result, ...]:
    """margin = 0 where z_own = z_other, that is own = 1 - other: the same s on every branch."""
    names = (*MEANING, "between", "between without bias")
    zeros = {name: sp.solve(sp.factor(_branch(name).own + _branch(name).other - 1), s) for name in names}
    return tuple(
        Result(
            f"margin vanishes, {name}",
            "threshold",
            "The strength s of the decay at which margin = 0: beyond it margin would be < 0.",
            ("z_own = z_other where own + other = 1: solve for s",),
            formulas=((s, root),),
            loss=BinaryCrossEntropy,
        )
        for name, (root,) in zeros.items()
    )


TOPICS = {"scale": _scale, "threshold": _threshold}
