"""The closed forms of the squared error, derived: scale, threshold, value, and the spectrum in radicals.

One-hot targets, balanced classes. W Hbar^T = margin Pi + level J, b = gamma 1: f is a quadratic in margin, level and
gamma. The spectrum is that without a bias, where W W^T is a multiple of I, and that at the simplex frame for lb = 0.
"""

from collections.abc import Iterable
from functools import cache
from typing import Any

import sympy as sp

from ..losses import MeanSquare
from .equivariant import (
    AT_FRAME,
    OUT,
    Entries,
    K,
    Model,
    Part,
    Place,
    alpha,
    antisymmetric,
    beta,
    d,
    diagonal,
    frame,
    lb,
    lH,
    lW,
    n,
    one,
    orthonormal,
    out,
    rows_alike,
    standard,
    symmetric,
    zero,
)
from .family import margin, restricted, size
from .formulas import ABBREVIATIONS, Result, q
from .stationary import STRENGTH, gamma, s

HALF = sp.Rational(1, 2)
level = sp.Symbol("level", real=True)


class Square(Model):
    """Half the squared error, one-hot targets."""

    def loss(self, W: Entries, H: Entries, b: Entries, k: int) -> sp.Expr:
        """sum_j (z_j - [j = k])^2/2."""
        return self.over(lambda j: (sp.cancel(self.logit(W, H, b, j, k)) - int(j == k)) ** 2, k) / 2


SYMBOLS = {
    "K, n, d": "classes, samples in each, feature dimension",
    "lW, lH, lb": "weight decays of W, H, b",
    "s": "sqrt(n lW lH), the strength of the decay",
    "margin, level": "W Hbar^T = margin Pi + level J, Pi = I - 11^T/K, J = 11^T/K, a row of Hbar a class",
    "gamma": "the bias is gamma 1",
    "x": "an eigenvalue",
}
SPREAD = sp.Lt(K * s, 1)
MANY = sp.Le(lb / (1 + lb), K * s)  # the decay of W and H is strong beside that of b
BRANCHES = {  # name: (meaning, bias, conditions)
    "simplex": ("the simplex frame, level = 0", True, (sp.Ge(d, K - 1), SPREAD, MANY)),
    "raised": ("level > 0", True, (sp.Ge(d, K), SPREAD, sp.Gt(lb / (1 + lb), K * s))),
    "orthogonal": ("no bias, an orthogonal frame", False, (sp.Ge(d, K), SPREAD)),
}


@cache
def _branch(name: str) -> tuple[sp.Expr, sp.Expr, sp.Expr, sp.Expr]:
    """(margin, level, gamma, f) where f is stationary."""
    f = restricted(Square, 0 if name == "simplex" else 1).f
    f = f.subs(gamma, 0) if name == "orthogonal" else f
    unknowns = {"simplex": (margin, gamma), "raised": (margin, size, gamma), "orthogonal": (margin, size)}[name]
    positive = {x: sp.Symbol(x.name + "_", real=True) for x in unknowns}  # signs are not known beforehand
    slopes = [f.diff(x).subs(positive) for x in unknowns]
    (root,) = sp.solve(slopes, list(positive.values()), dict=True)
    found = {x: sp.factor(root[positive[x]]) for x in unknowns}
    value = sum(map(sp.factor, sp.Add.make_args(sp.apart(sp.factor(f.subs(found)), lb))))
    return found[margin], found.get(size, sp.S.Zero), found.get(gamma, sp.S.Zero), value


@cache
def _scale() -> tuple[Result, ...]:
    results = []
    for name, (meaning, bias, conditions) in BRANCHES.items():
        wide, raised, offset, value = _branch(name)
        facts: dict[str, Any] = {"topic": "scale", "bias": bias, "conditions": conditions, "loss": MeanSquare}
        unknowns = ", ".join(["margin", *["level"] * (name != "simplex"), *["gamma"] * (name != "orthogonal")])
        results += [
            Result(
                name,
                statement=f"The minimiser: {meaning}.",
                derivation=(
                    "for given margin and level the decays are least where W and H are balanced",
                    f"f is stationary in {unknowns}: linear equations",
                ),
                formulas=((s, STRENGTH), (margin, wide), (level, raised), (gamma, offset)),
                **facts,
            ),
            Result(
                f"value, {name}",
                statement=f"f there: {meaning}.",
                derivation=("put margin, level and gamma into f",),
                formulas=((sp.Symbol("f*"), value),),
                **facts,
            ),
        ]
    return (*results, _amplitudes())


def _amplitudes() -> Result:
    found = restricted(Square, 0)
    wide = _branch("simplex")[0]
    pair = [x.subs(margin, wide) for x in (found.alpha, sp.simplify(margin / found.alpha))]
    return Result(
        "amplitudes",
        "scale",
        "W = alpha Q and Hbar = beta Q off the direction of 1, Q^T Q = Pi.",
        ("the decays are stationary in alpha at alpha beta = margin",),
        formulas=tuple(zip(sp.symbols("alpha beta"), pair, strict=True)),
        conditions=(SPREAD,),
        loss=MeanSquare,
    )


@cache
def _threshold() -> tuple[Result, ...]:
    wide, raised, _, _ = _branch("raised")
    return tuple(
        Result(name, "threshold", statement, (step,), formulas=((s, root),), bias=bias, loss=MeanSquare)
        for name, statement, step, root, bias in (
            (
                "margin vanishes",
                "The strength s of the decay beyond which margin < 0: W = H = 0 there.",
                "solve margin = 0 for s",
                sp.solve(wide, s)[0],
                None,
            ),
            (
                "level vanishes",
                "The strength s of the decay beyond which level < 0: the minimiser is the simplex frame there.",
                "solve level = 0 for s",
                sp.factor(sp.solve(raised, s)[0]),
                True,
            ),
        )
    )


# The spectrum.


def _both(X: Entries, Y: Entries, sign: int) -> Entries:
    return lambda i, m: X(i, m) + sign * Y(i, m)


def _transposed(X: Entries) -> Entries:
    return lambda i, m: sp.S.Zero if m == OUT else X(m, i)


def _identity(i: int, m: int) -> sp.Expr:
    return sp.Integer(int(i == m))


def _ones(_: int, m: int) -> sp.Expr:
    return sp.S.Zero if m == OUT else 1 / K


def _pairs(*moves: Entries) -> tuple[tuple[str, Entries], ...]:
    return tuple((name, move) for move in moves for name in "WH")


def _at(m: int) -> Entries:
    """The feature direction e_m, in every row."""
    return lambda _, feature: sp.Integer(int(feature == m))


_ONTO = _both(lambda i, m: sp.S.Zero if m == OUT else rows_alike(i, m), _transposed(rows_alike), 1)
_ACROSS = _both(lambda i, m: sp.S.Zero if m == OUT else rows_alike(i, m), _transposed(rows_alike), -1)
AT_IDENTITY = (
    Part("1", "dW, dH along Pi and along J", sp.Integer(1), (), _pairs(frame, _ones)),
    Part(
        "V",
        "dW, dH along 1 v^T + v 1^T, 1 v^T - v 1^T and Pi diag(v) Pi",
        K - 1,
        (0, 1),
        _pairs(_ONTO, _ACROSS, diagonal),
    ),
    Part("S", "dW, dH along v w^T + w v^T", K * (K - 3) / 2, (0, 1, 2, 3), _pairs(symmetric)),
    Part("L", "dW, dH antisymmetric without row sums", (K - 1) * (K - 2) / 2, (0, 1, 2), _pairs(antisymmetric)),
    Part("1 out", "dW, dH along 1 u^T, u off the row space", d - K, (), _pairs(out(one))),
    Part("V out", "dW, dH along v u^T, u off the row space", (K - 1) * (d - K), (0, 1), _pairs(out(standard))),
    Part("within along", "two samples of a class part", K * (n - 1), (0,), (("H", _at(0)),), within=True),
    Part("within across", "two samples of a class part", K * (n - 1) * (K - 1), (0, 1), (("H", _at(1)),), within=True),
    Part(
        "within out", "two samples part off the row space", K * (n - 1) * (d - K), (0,), (("H", out(one)),), within=True
    ),
)


def _tidy(entry: sp.Expr) -> sp.Expr:
    """An entry at the minimiser, in q, s, K and the decays."""
    scale = restricted(Square, 0).alpha.subs(margin, q)
    entry = entry.subs({alpha: scale, beta: q / scale}).subs(n, s**2 / (lW * lH))
    return sp.factor(sp.expand(entry))


def _levels(name: str, parts: Iterable[Part], place: Place, fixed: dict[sp.Symbol, sp.Expr]) -> list[Result]:
    """One result for each block that occurs, with the multiplicities of all its copies."""
    blocks: dict[sp.ImmutableMatrix, tuple[sp.Expr, list[str]]] = {}
    for part in parts:
        hessian = orthonormal(part, place, lambda entry: _tidy(entry.subs(fixed)), Square)
        for cut in hessian.applyfunc(_in_s).get_diag_blocks():
            block = sp.ImmutableMatrix(cut)
            count, names = blocks.get(block, (sp.S.Zero, []))
            blocks[block] = count + part.multiplicity, [*names, part.name]
    _, bias, (room, spread, *_) = BRANCHES["orthogonal" if name == "square" else "simplex"]
    labels = [", ".join(names) for _, names in blocks.values()]
    return [
        Result(
            f"{name}: {label}" + f", {block.rows} rows" * (labels.count(label) > 1 and block.rows > 1),
            "spectrum",
            f"Eigenvalues on these representations of the permutations of the classes: {MEANING[name]}.",
            (
                "differentiate f twice along a vector of each copy, at the minimiser",
                "divide by their norms; copies that do not couple are blocks of their own",
                "take the roots of det(x - B); add the multiplicities of equal blocks",
            ),
            blocks=(block,),
            multiplicity=sp.factor(count),
            bias=bias,
            conditions=(room, spread) if name == "square" else (room, spread, sp.Le(lb, 0)),
            loss=MeanSquare,
        )
        for label, (block, (count, _)) in zip(labels, blocks.items(), strict=True)
    ]


def _in_s(entry: sp.Expr) -> sp.Expr:
    return sp.factor(entry.subs(q, ABBREVIATIONS[q]))


MEANING = {
    "square": "without a bias, W W^T a multiple of I",
    "frame": "with a bias of lb = 0, at the simplex frame",
}


@cache
def _spectrum() -> tuple[Result, ...]:
    square = Place(lambda i, m: alpha * _identity(i, m), lambda k, m: beta * _identity(k, m), zero)
    offset = _branch("simplex")[2].subs(lb, 0)
    simplex = Place(lambda i, m: alpha * frame(i, m), lambda k, m: beta * frame(k, m), lambda i: offset)
    return (
        *_sized("square", _levels("square", AT_IDENTITY, square, {})),
        *_sized("frame", _levels("frame", AT_FRAME, simplex, {lb: sp.S.Zero})),
    )


def _sized(name: str, levels: list[Result]) -> list[Result]:
    """The levels, and how many eigenvalues and zeros they are."""
    size = sum(result.copies * block.rows for result in levels for block in result.blocks)
    zeros = sum(result.copies * result.eigenvalues.count(0) for result in levels)
    counts = (
        ("size", "The number of eigenvalues, with multiplicities: all variables.", sp.expand(size)),
        ("nullity", "The number of zeros: the dimension of the orbit of O(d).", sp.factor(zeros)),
    )
    first = levels[0]
    return levels + [
        Result(
            f"{name} {what}",
            "spectrum",
            statement,
            ("add up the multiplicities",),
            formulas=((sp.Symbol(what), count),),
            bias=first.bias,
            conditions=first.conditions,
            loss=MeanSquare,
        )
        for what, statement, count in counts
    ]


TOPICS = {"scale": _scale, "threshold": _threshold, "spectrum": _spectrum}
