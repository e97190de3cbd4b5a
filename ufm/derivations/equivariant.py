"""Second forms in sympy for a number K of classes that stays a symbol, at points that every permutation keeps.

A direction that tells a few *named* classes apart and treats all others alike is a function of indices: the
classes 0, 1, 2, ... are integers, and a sum over all K of them is the sum over the named ones plus
K - (how many) times the term at any other. So f along such a direction is an explicit expression, and sympy
differentiates it twice. Features have one coordinate a class, in which the simplex frame is
Pi = I - 11^T/K itself, and one more, OUT, for the directions of R^d that the frame does not span.

As a representation of the permutations of the classes R^K = 1 + V, and V x V = 1 + V + S + L with
S = (K-2,2) and L = L2V. By Schur's lemma the Hessian acts on the m copies of one irreducible representation as
an m x m matrix, which one vector shows when it is taken from each copy alike. (Reflections of the features off the
frame, and permutations of the samples of a class, keep equal representations of different kinds apart.) AT_FRAME
and AT_ORIGIN list these vectors; how often each eigenvalue occurs is the dimension of the representation.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache

import sympy as sp

K, n, d = sp.symbols("K n d", positive=True, integer=True)
lW, lH = sp.symbols("lW lH", positive=True)
lb = sp.Symbol("lb", nonnegative=True)
alpha, beta = sp.symbols("alpha beta", positive=True)  # W = alpha Pi, H = beta Pi
OUT = -1

Entries = Callable[..., sp.Expr]  # of W (class, feature), of H (class, feature) or of b (class), by index
Direction = tuple[str, Entries]  # which of W, H, b moves, and how


def total(term: Callable[[int], sp.Expr], named: Iterable[int]) -> sp.Expr:
    """The sum of term(i) over all K classes, for a term that is the same at all classes that are not named."""
    named = sorted({*named} - {OUT})
    other = max(named, default=-1) + 1
    return sum((term(i) for i in named), (K - len(named)) * term(other))


def one(*_: int) -> sp.Expr:
    return sp.Integer(1)


def standard(i: int) -> sp.Expr:
    """e_0 - e_1, a vector of V."""
    return sp.Integer({0: 1, 1: -1}.get(i, 0))


def frame(i: int, m: int) -> sp.Expr:
    """Pi = I - 11^T/K."""
    return sp.Integer(0) if m == OUT else int(i == m) - 1 / K


def rows_alike(_: int, m: int) -> sp.Expr:
    """1 v^T, v = e_0 - e_1."""
    return standard(m)


def diagonal(i: int, m: int) -> sp.Expr:
    """Pi diag(v) Pi, v = e_0 - e_1."""
    return sp.cancel(total(lambda j: frame(i, j) * standard(j) * frame(j, m), {0, 1, i, m}))


def symmetric(i: int, m: int) -> sp.Expr:
    """v w^T + w v^T, v = e_0 - e_1, w = e_2 - e_3: symmetric, zero diagonal, no row sums."""
    return standard(i) * standard(m - 2) + standard(i - 2) * standard(m)


def antisymmetric(i: int, m: int) -> sp.Expr:
    """The cycle 0 -> 1 -> 2 -> 0 less its reverse: no row sums."""
    return sp.Integer({(0, 1): 1, (1, 2): 1, (2, 0): 1, (1, 0): -1, (2, 1): -1, (0, 2): -1}.get((i, m), 0))


def out(x: Entries) -> Entries:
    """x (class) in the coordinate OUT."""
    return lambda i, m: x(i) if m == OUT else sp.Integer(0)


@dataclass(frozen=True)
class Part:
    """The copies of one irreducible representation: a vector of each, and how often each eigenvalue occurs.

    meaning  the directions in words, with v = e_0 - e_1, w = e_2 - e_3
    named    the classes that the directions may tell from the others
    within   the direction of H moves two samples of class 0 opposite ways, by its row 0
    """

    name: str
    meaning: str
    multiplicity: sp.Expr
    named: tuple[int, ...]
    directions: tuple[Direction, ...]
    within: bool = False


_OUT_1, _OUT_V = ((("W", out(x)), ("H", out(x))) for x in (one, standard))

AT_FRAME = (
    Part(
        "1",
        "dW, dH along Pi; db along 1",
        sp.Integer(1),
        (),
        (("W", frame), ("H", frame), ("b", one)),
    ),
    Part(
        "V",
        "dW, dH along 1 v^T and along Pi diag(v) Pi; db along v",
        K - 1,
        (0, 1),
        (("W", rows_alike), ("W", diagonal), ("H", diagonal), ("H", rows_alike), ("b", standard)),
    ),
    Part(
        "S",
        "dW, dH along v w^T + w v^T: symmetric, no diagonal, no row sums "
        "(at K = 2 the multiplicity -1 takes two of V's away)",
        K * (K - 3) / 2,
        (0, 1, 2, 3),
        (("W", symmetric), ("H", symmetric)),
    ),
    Part(
        "L",
        "dW, dH antisymmetric without row sums: rotations of the frame, and W against H",
        (K - 1) * (K - 2) / 2,
        (0, 1, 2),
        (("W", antisymmetric), ("H", antisymmetric)),
    ),
    Part("1 out", "dW, dH along 1 u^T, u a feature direction off the frame", d - K + 1, (), _OUT_1),
    Part("V out", "dW, dH along v u^T, u a feature direction off the frame", (K - 1) * (d - K + 1), (0, 1), _OUT_V),
    Part(
        "within along",
        "two samples of a class part along their class mean",
        K * (n - 1),
        (0,),
        (("H", frame),),
        within=True,
    ),
    Part(
        "within across",
        "two samples of a class part in the frame's span, orthogonally to their class mean",
        K * (K - 2) * (n - 1),
        (0, 1, 2),
        (("H", lambda _, m: standard(m - 1)),),
        within=True,
    ),
    Part(
        "within out",
        "two samples of a class part off the frame",
        K * (n - 1) * (d - K + 1),
        (0,),
        (("H", out(one)),),
        within=True,
    ),
)
AT_ORIGIN = (
    Part("1", "dW, dH along 1 u^T, u a feature direction", d, (), _OUT_1),
    Part("V", "dW, dH along v u^T, u a feature direction", d * (K - 1), (0, 1), _OUT_V),
    Part("b 1", "db along 1", sp.Integer(1), (), (("b", one),)),
    Part("b V", "db along v", K - 1, (0, 1), (("b", standard),)),
    Part("within", "two samples of a class part", K * d * (n - 1), (0,), (("H", out(one)),), within=True),
)


@dataclass(frozen=True)
class Place:
    """A point (W, H, b) that every permutation of the classes keeps, by its entries."""

    W: Entries
    H: Entries
    b: Entries

    def moved(self, moves: dict[str, Entries]) -> tuple[Entries, Entries, Entries]:
        """The entries of (W, H, b) with the moves added."""
        return _sum(self.W, moves["W"]), _sum(self.H, moves["H"]), _sum(self.b, moves["b"])


def _sum(X: Entries, Y: Entries) -> Entries:
    return lambda *index: X(*index) + Y(*index)


def zero(*_: int) -> sp.Expr:
    return sp.Integer(0)


FRAME = Place(lambda i, m: alpha * frame(i, m), lambda k, m: beta * frame(k, m), zero)
ORIGIN = Place(zero, zero, zero)


@dataclass(frozen=True)
class Model:
    """f at W (class, feature), H (class, feature) with n samples to each row, b (class), told by `named` classes.

    The loss is cross-entropy; a subclass has another.
    """

    named: tuple[int, ...]

    def logit(self, W: Entries, H: Entries, b: Entries, j: int, k: int) -> sp.Expr:
        """z_j at the feature of class k."""
        return self._features(lambda m: W(j, m) * H(k, m), j, k) + b(j)

    def over(self, term: Callable[[int], sp.Expr], k: int) -> sp.Expr:
        """The sum of term(j) over all classes j, where class k is told from the others."""
        return total(term, (*self.named, k))

    def loss(self, W: Entries, H: Entries, b: Entries, k: int) -> sp.Expr:
        """Cross-entropy at the feature of class k: log sum_j exp(z_j - z_k)."""
        right = self.logit(W, H, b, k, k)

        def ratio(j: int) -> sp.Expr:
            return sp.exp(sp.expand(sp.cancel(self.logit(W, H, b, j, k) - right)))

        return sp.log(self.over(ratio, k))

    def mean_loss(self, W: Entries, H: Entries, b: Entries) -> sp.Expr:
        return total(lambda k: self.loss(W, H, b, k), self.named) / K

    def decay(self, W: Entries, H: Entries, b: Entries) -> sp.Expr:
        """lW/2 |W|^2 + n lH/2 |H|^2 + lb/2 |b|^2."""
        squares = lW * self._square(W) + n * lH * self._square(H) + lb * total(lambda i: b(i) ** 2, self.named)
        return squares / 2

    def pair_loss(self, W: Entries, H: Entries, b: Entries, move: Entries) -> sp.Expr:
        """What two samples of class 0 add to f when their features are row 0 of H + move and of H - move."""
        features = [lambda k, m, sign=sign: H(k, m) + sign * move(k, m) for sign in (1, -1)]
        return sum(self.loss(W, feature, b, 0) for feature in features) / (K * n)

    def pair_decay(self, H: Entries, move: Entries) -> sp.Expr:
        squares = self._features(lambda m: (H(0, m) + move(0, m)) ** 2 + (H(0, m) - move(0, m)) ** 2, 0)
        return lH * squares / 2

    def _square(self, X: Entries) -> sp.Expr:
        return total(lambda i: self._features(lambda m: X(i, m) ** 2, i), self.named)

    def _features(self, term: Callable[[int], sp.Expr], *classes: int) -> sp.Expr:
        return total(term, (*self.named, *classes)) + term(OUT)


ModelOf = Callable[[tuple[int, ...]], Model]  # a model's class


@cache
def second_form(part: Part, place: Place, model: ModelOf = Model) -> tuple[sp.ImmutableMatrix, sp.ImmutableMatrix]:
    """(Hessian of f, Gram matrix of the directions) on the span of a part's directions, by differentiating twice.

    At the place, such as FRAME (W = alpha Pi, H = beta Pi, b = 0 for any alpha and beta) or ORIGIN. The Gram matrix is
    the Hessian of half the squared norm of all variables, which is the decay at lW = lH = lb = 1.
    """
    steps, f = sp.symbols(f"t:{len(part.directions)}", real=True), model(part.named)

    def move(name: str) -> Entries:
        moves = [(t, X) for t, (variable, X) in zip(steps, part.directions, strict=True) if variable == name]
        return lambda *index: sum((t * X(*index) for t, X in moves), sp.Integer(0))

    if part.within:
        loss = f.pair_loss(place.W, place.H, place.b, move("H"))
        decay = f.pair_decay(place.H, move("H"))
    else:
        moved = place.moved({name: move(name) for name in "WHb"})
        loss, decay = f.mean_loss(*moved), f.decay(*moved)
    hessian = _hessian(loss + decay, steps)
    return hessian, _hessian(decay.subs({lW: 1, lH: 1, lb: 1}), steps)


def _hessian(f: sp.Expr, steps: tuple[sp.Symbol, ...]) -> sp.ImmutableMatrix:
    """The Hessian of f in the steps, at zero."""
    slopes = [f.diff(t) for t in steps]  # two derivatives at once would have sympy factor between them

    def entry(i: int, j: int) -> sp.Expr:
        along = steps[max(i, j)]
        line = slopes[min(i, j)].subs({t: 0 for t in steps if t != along})
        return line.diff(along).subs(along, 0)

    upper = {(i, j): entry(i, j) for j in range(len(steps)) for i in range(j + 1)}
    return sp.ImmutableMatrix(len(steps), len(steps), lambda i, j: upper[min(i, j), max(i, j)])


def orthonormal(part: Part, place: Place, tidy: Callable[[sp.Expr], sp.Expr], model: ModelOf = Model) -> sp.Matrix:
    """The part's Hessian in orthonormal coordinates; `tidy` is applied to every entry. K >= 3 is used for signs."""
    hessian, gram = second_form(part, place, model)
    return sp.Matrix(*hessian.shape, lambda i, j: _normal(tidy(hessian[i, j]), tidy(gram[i, i]) * tidy(gram[j, j])))


def _normal(entry: sp.Expr, squares: sp.Expr) -> sp.Expr:
    beyond = sp.Symbol("beyond", positive=True)  # K - 2
    return sp.simplify((entry / sp.sqrt(squares)).subs(K, beyond + 2)).subs(beyond, K - 2)
