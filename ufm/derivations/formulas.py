"""A derived formula: what it says, how it was reached, its numbers for a problem, its text, LaTeX and JSON."""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import sympy as sp

from ..errors import given, require
from ..losses import BinaryCrossEntropy, CrossEntropy, LabelSmoothing, MeanSquare
from ..problem import Problem
from .equivariant import K, alpha, beta, d, lb, lH, lW, n
from .stationary import STRENGTH, c, gamma, s, stationary_point

p, q, x = sp.symbols("p q x", positive=True)
s1 = sp.Symbol("s1", nonnegative=True)
smoothing = sp.Symbol("a", nonnegative=True)
other = sp.Symbol("other", positive=True)  # sigmoid of a wrong logit
a_W, a_H, mu = sp.symbols("a_W a_H mu", real=True)

ABBREVIATIONS = {p: 1 - (K - 1) * s, q: 1 - K * s}
SYMBOLS = {
    "K, n, d": "classes, samples in each, feature dimension",
    "lW, lH, lb": "weight decays of W, H, b",
    "s": "sqrt(n lW lH), the strength of the decay and the probability of a wrong class",
    "p": "1 - (K - 1) s, the probability of the right class",
    "q": "p - s = 1 - K s, positive below the collapse threshold",
    "c": "log(p/s), the logit margin",
    "x": "an eigenvalue",
    "e_0, e_1, ...": "unit vectors, one a class; v = e_0 - e_1, w = e_2 - e_3, Pi = I - 11^T/K",
}
NAMES = {
    "lW": r"\lambda_W",
    "lH": r"\lambda_H",
    "lb": r"\lambda_b",
    "s1": r"\sigma_1",
    "f*": "f^*",
    "a_W/a_H": "a_W/a_H",
}
HERE = "derived here"


@dataclass(frozen=True)
class Result:
    """A closed form and how it was reached.

    name, topic    topic is one of TOPICS; no two results share a name
    statement      what the formulas or the eigenvalues are, in words
    derivation     the steps, in words
    source         where the statement was published, or "derived here"
    formulas       (symbol, expression) pairs: symbol = expression
    blocks         for a spectrum: symmetric matrices, whose eigenvalues those of the Hessian are
    multiplicity   how often each eigenvalue of the blocks occurs. At K = 2 that of the part S is -1: it takes
                   away two of the eigenvalues of V, which has one copy less in W and in H there
    bias           True: for models with a bias only; False: without one only; None: for both
    conditions     on (K, n, d, lW, lH, lb), without which the result is not true
    loss           the class of the losses that it is about

    SYMBOLS says what the letters mean; `explicit` leaves K, n, d, lW, lH, lb only (and a, the smoothing).
    """

    name: str
    topic: str
    statement: str
    derivation: tuple[str, ...]
    source: str = HERE
    formulas: tuple[tuple[sp.Symbol, sp.Expr], ...] = ()
    blocks: tuple[sp.ImmutableMatrix, ...] = ()
    multiplicity: sp.Expr | None = None
    bias: bool | None = None
    conditions: tuple[sp.Rel, ...] = ()
    loss: type[Any] = CrossEntropy

    @property
    def copies(self) -> sp.Expr:
        """The multiplicity; InputError for a result that is not about eigenvalues."""
        return given(self.multiplicity, f"{self.name!r} is not about eigenvalues: it has no multiplicity")

    @property
    def eigenvalues(self) -> tuple[sp.Expr, ...]:
        """Those of the blocks of one or two rows, in radicals."""
        return tuple(value for block in self.blocks if block.rows <= 2 for value in radicals(block))

    @property
    def large_blocks(self) -> tuple[sp.ImmutableMatrix, ...]:
        """The blocks of three or four rows: their eigenvalues have no short form in radicals."""
        return tuple(block for block in self.blocks if block.rows > 2)

    def values(self, problem: Problem, **more: float) -> list[float]:
        """The right sides of the formulas, or the eigenvalues, as floats at the numbers of a balanced problem.

        `more` gives symbols that are not settings of a problem, by name: s1, a_W, a_H, alpha, beta, gamma, other.
        InputError when the result is not about this problem, or a symbol is left without a number.
        """
        numbers = self._numbers(problem) | {symbol: _float(more[symbol.name]) for symbol in _free(more)}
        known = [_number(value, numbers) for value in [*(right for _, right in self.formulas), *self.eigenvalues]]
        for block in self.large_blocks:
            entries = [_number(entry, numbers) for entry in block]
            known += np.linalg.eigvalsh(np.reshape(entries, block.shape)).tolist()
        return known

    def count(self, problem: Problem) -> int:
        """How often each eigenvalue occurs for a problem (-1 for the part S at K = 2, see above)."""
        return int(self.copies.subs(self._numbers(problem)))

    def _numbers(self, problem: Problem) -> dict[sp.Symbol, sp.Expr]:
        require(
            isinstance(problem.loss, self.loss), f"{self.name!r} is about {self.loss.name}, not {problem.loss.name}"
        )
        sizes = {K: problem.num_classes, n: problem.per_class, d: problem.dim}
        decays = {lW: problem.lambda_w, lH: problem.lambda_h, lb: problem.lambda_b}
        numbers = sizes | {symbol: _float(value) for symbol, value in decays.items()}
        if isinstance(problem.loss, LabelSmoothing):
            numbers[smoothing] = _float(problem.loss.smoothing)
        settled = isinstance(problem.loss, MeanSquare | BinaryCrossEntropy)
        plain = not settled or isinstance(problem.loss.to_plain(), str)
        require(plain, f"{self.name!r} is about one-hot targets of weight 1")
        fits = self.bias is None or self.bias is problem.bias
        require(fits, f"{self.name!r} is about models {'with' if self.bias else 'without'} a bias")
        for condition in self.conditions:
            holds = bool(condition.subs(s, STRENGTH).subs(numbers))
            shown = ", ".join(f"{symbol} = {float(value):g}" for symbol, value in numbers.items())
            require(holds, f"{self.name!r} needs {condition}, which fails at {shown}")
        return numbers

    def plain(self) -> dict[str, Any]:
        """Everything as plain data for JSON; an expression as text, LaTeX and srepr (what sympy reads back).

        polynomials lists the coefficients of det(x - B) for each large block B, the highest power first.
        """
        return {
            "name": self.name,
            "topic": self.topic,
            "statement": self.statement,
            "formulas": [{"symbol": left.name} | forms(right) for left, right in self.formulas],
            "eigenvalues": [forms(value) for value in self.eigenvalues],
            "blocks": [forms(block) for block in self.blocks],
            "large_blocks": [[[str(entry) for entry in row] for row in block.tolist()] for block in self.large_blocks],
            "polynomials": [[forms(each) for each in characteristic(block)] for block in self.large_blocks],
            "multiplicity": None if self.multiplicity is None else forms(self.multiplicity),
            "bias": self.bias,
            "conditions": [forms(condition) for condition in self.conditions],
            "derivation": list(self.derivation),
            "source": self.source,
        }


def latex(expression: sp.Basic) -> str:
    """LaTeX of an expression, in the symbols of the literature, for a mathematical environment."""
    named = {symbol: NAMES[symbol.name] for symbol in expression.free_symbols if symbol.name in NAMES}
    return sp.latex(expression, symbol_names=named)


def forms(expression: sp.Basic) -> dict[str, str]:
    """The expression as text, LaTeX and srepr."""
    return {"text": str(expression), "latex": latex(expression), "srepr": sp.srepr(expression)}


def explicit(expression: sp.Expr) -> sp.Expr:
    """The expression as a function of K, n, d, lW, lH, lb: without c, p, q and s."""
    return expression.subs(c, stationary_point().margin).subs(ABBREVIATIONS).subs(s, STRENGTH)


@cache
def radicals(block: sp.ImmutableMatrix) -> tuple[sp.Expr, ...]:
    """The eigenvalues of a symmetric block of one or two rows, ascending where they are the roots of a quadratic."""
    if block.is_diagonal():
        return tuple(block.diagonal())
    half, determinant = sp.factor(block.trace()) / 2, sp.factor(sp.simplify(block.det()))
    if determinant == 0:
        return sp.S.Zero, 2 * half
    apart = sp.factor((block[0, 0] - block[1, 1]) / 2) ** 2 + sp.factor(block[0, 1] ** 2)
    root = sp.sqrt(min(half**2 - determinant, apart, key=sp.count_ops))
    return half - root, half + root


@cache
def characteristic(block: sp.ImmutableMatrix) -> tuple[sp.Expr, ...]:
    """The coefficients of det(x - B), the highest power of x first: by monomials in lW, lH, lb, over K, c, q."""
    in_q = block.subs(p, ABBREVIATIONS[p]).subs(s, (1 - q) / K)
    return tuple(map(_by_decays, in_q.charpoly(x).all_coeffs()))


def _by_decays(coefficient: sp.Expr) -> sp.Expr:
    terms = sp.Poly(sp.expand(sp.simplify(coefficient)), lW, lH, lb).terms()
    return sum((sp.factor(value) * lW**i * lH**j * lb**k for (i, j, k), value in terms), sp.S.Zero)


def shortest(expression: sp.Expr) -> sp.Expr:
    """The shortest of the factored and expanded forms in s, in p or in q."""
    versions = [expression, expression.subs(s, (1 - p) / (K - 1)), expression.subs(s, (1 - q) / K)]
    return min((form(version) for version in versions for form in (sp.factor, sp.expand)), key=sp.count_ops)


def _free(more: dict[str, float]) -> list[sp.Symbol]:
    symbols = {symbol.name: symbol for symbol in (s1, alpha, beta, gamma, a_W, a_H, other)}
    unknown = sorted(set(more) - set(symbols))
    require(not unknown, f"no symbol {', '.join(unknown)}; choose from {', '.join(symbols)}")
    return [symbols[name] for name in more]


def _float(value: float) -> sp.Float:
    return sp.Float(value, 30)


def _number(expression: sp.Expr, numbers: dict[sp.Symbol, sp.Expr]) -> float:
    full = explicit(expression)
    missing = sorted(symbol.name for symbol in full.free_symbols - set(numbers))
    require(not missing, f"give a number for {', '.join(missing)}")
    return float(full.evalf(30, subs=numbers))
