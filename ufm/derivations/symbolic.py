"""The closed forms, derived: sympy starts from the objective f and arrives at each, for every K, n, d at once.

Balanced classes, cross-entropy; the other losses have files of their own. `derive()` gives the table; the second forms
are those of `ufm.derivations.equivariant`. The numerical side of the package neither uses these formulas nor is used
for them, so that each checks the other.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import cache

import sympy as sp

from ..errors import require
from . import binary_cross_entropy, equivariant, label_smoothing, mean_square
from .equivariant import AT_FRAME, AT_ORIGIN, K, Model, Part, alpha, beta, d, frame, lH, lW, n, orthonormal
from .formulas import HERE, SYMBOLS, Result, a_H, a_W, mu, p, q, radicals, s1, shortest
from .stationary import STRENGTH, c, gamma, restricted, s, stationary_point

ZHU = "Zhu et al. 2021 (arXiv 2105.02375)"
FRAME = (sp.Ge(d, K - 1), sp.Lt(K * s, 1))  # the minimiser is a simplex frame
PLACES = {True: equivariant.FRAME, False: equivariant.ORIGIN}


def _probability(j: int) -> sp.Expr:
    """The probability of class j at a feature of class 0 of the minimiser: the slope of log sum_i exp(z_i) in z_j."""
    tilt, model = sp.Symbol("tilt", real=True), Model((0, 1))
    point = (lambda i, m: alpha * frame(i, m), lambda k, m: beta * frame(k, m), lambda i: tilt * int(i == j))
    slope = model.loss(*point, 0).diff(tilt).subs(tilt, 0)  # of log sum_i exp(z_i) - z_0
    return sp.factor(stationary_point().at(slope) + int(j == 0))


@cache
def _scale() -> tuple[Result, ...]:
    point, f = stationary_point(), restricted()
    right, wrong = _probability(0), _probability(1)
    (offset,) = sp.solve(f.diff(gamma), gamma)
    least = sp.expand_log(sp.simplify(point.at(f.subs(gamma, offset))), force=True)
    return (
        Result(
            "restricted objective",
            "scale",
            "f where W = alpha Pi, H = beta Pi (a row a class), b = gamma 1, and Pi = I - 11^T/K.",
            ("the losses and the squared norms, summed over K classes",),
            formulas=((sp.Symbol("f"), f),),
        ),
        Result(
            "margin",
            "scale",
            "The logit margin c of the minimiser, W h_k = c (e_k - 1/K), from s, the strength of the decay.",
            (
                "f is stationary where the restricted objective is, by symmetry (Palais)",
                "alpha df/dalpha = beta df/dbeta gives beta as a multiple of alpha",
                "df/dalpha = 0 at alpha beta = c is linear in exp(-c): solve for it",
            ),
            formulas=((s, STRENGTH), (c, point.margin)),
            conditions=FRAME,
        ),
        Result(
            "amplitudes",
            "scale",
            "W W^T = alpha^2 Pi and H H^T = beta^2 Pi (a row a class) at the minimiser.",
            ("alpha df/dalpha = beta df/dbeta, and alpha beta = c",),
            f"{ZHU}, Theorem 3.1 (geometry); {HERE} (scale)",
            formulas=((alpha, point.alpha), (beta, point.beta)),
            conditions=FRAME,
        ),
        Result(
            "bias",
            "scale",
            "The bias of the minimiser is gamma 1; at lb = 0 every gamma will do.",
            ("solve df/dgamma = K lb gamma = 0",),
            f"{ZHU}, Theorem 3.1",
            formulas=((gamma, offset),),
            bias=True,
        ),
        Result(
            "probabilities",
            "scale",
            "The softmax at the minimiser: p at the right class, p_wrong at the others; q is the difference.",
            ("differentiate log sum_j exp(z_j) in one logit, where exp(-c) is that of the margin",),
            formulas=((p, right), (sp.Symbol("p_wrong"), wrong), (q, sp.factor(right - wrong))),
            conditions=FRAME,
        ),
        Result(
            "value",
            "scale",
            "f at this point: its least value, as the duality gap of `ufm.certify` certifies for any one problem.",
            ("put the margin and the amplitudes into the restricted objective",),
            formulas=((sp.Symbol("f*"), least),),
            conditions=FRAME,
        ),
    )


# Spectra.


def _blocks(hessian: sp.Matrix) -> tuple[sp.ImmutableMatrix, ...]:
    """The matrix cut where nothing couples."""
    return tuple(map(sp.ImmutableMatrix, hessian.get_diag_blocks()))


def _spectral(topic: str, part: Part) -> list[Result]:
    """The results about one part: with the bias and, where that is one direction of several, without."""
    at_frame = topic == "etf"
    tidy = (lambda entry: sp.factor(stationary_point().at(entry))) if at_frame else sp.factor
    hessian = orthonormal(part, PLACES[at_frame], tidy).applyfunc(shortest)
    settings = {
        "topic": topic,
        "statement": f"Eigenvalues: {part.meaning}.",
        "derivation": (
            f"differentiate f twice along these directions, {'at the minimiser' if at_frame else 'at 0'}",
            "divide by their norms",
            "take the roots of det(x - B)",
        ),
        "multiplicity": part.multiplicity,
        "conditions": FRAME if at_frame else (),
    }
    biased = part.directions[-1][0] == "b"
    results = [Result(f"{topic} {part.name}", blocks=_blocks(hessian), bias=biased or None, **settings)]
    if biased and hessian.rows > 1:
        rest = _blocks(hessian[:-1, :-1])
        results.append(Result(f"{topic} {part.name} without bias", blocks=rest, bias=False, **settings))
    return results


@cache
def _origin() -> tuple[Result, ...]:
    levels = [result for part in AT_ORIGIN for result in _spectral("origin", part)]
    return (*levels, _size("origin", levels))


@cache
def _etf() -> tuple[Result, ...]:
    levels = [result for part in AT_FRAME for result in _spectral("etf", part)]
    zeros = sum(result.copies * result.eigenvalues.count(0) for result in levels if result.bias is not False)
    nullity = Result(
        "etf nullity",
        "etf",
        "The number of zeros in the spectrum: the dimension of the orbit of O(d). (A bias with lb = 0 adds one.)",
        ("add up the multiplicities of the eigenvalues that are 0",),
        formulas=((sp.Symbol("nullity"), sp.factor(zeros)),),
        conditions=FRAME,
    )
    return (*levels, _size("etf", levels), nullity)


def _size(topic: str, levels: list[Result]) -> Result:
    size = sum(r.copies * block.rows for r in levels if r.bias is not False for block in r.blocks)
    return Result(
        f"{topic} size",
        topic,
        "The number of eigenvalues, with multiplicities: all variables of W, H and b.",
        ("add up the multiplicities of all parts",),
        formulas=((sp.Symbol("size"), sp.expand(size)),),
        bias=True,
        conditions=levels[0].conditions,
    )


# Where the minimiser leaves the origin, and the descent from saddles.


@cache
def _threshold() -> tuple[Result, ...]:
    margin = stationary_point().margin
    (flat,) = (result for result in _origin() if result.name == "origin V")
    determinant = flat.blocks[0].det().subs(n, s**2 / (lW * lH))
    return tuple(
        Result(name, "threshold", statement, derivation, formulas=((s, _only(sp.solve(zero, s))),))
        for name, statement, derivation, zero in (
            (
                "margin vanishes",
                "The strength s of the decay at which the frame shrinks to the origin: beyond it, c < 0: no frame.",
                ("solve c = 0 for s",),
                margin,
            ),
            (
                "origin turns",
                "The strength s of the decay at which the least eigenvalue at the origin changes sign: the same.",
                ("the two eigenvalues of the part V multiply to the determinant of its block", "solve det B = 0 for s"),
                determinant,
            ),
        )
    )


@cache
def _saddle() -> tuple[Result, ...]:
    z, r, t = sp.symbols("z r t")
    L = sp.Function("L")
    per_slope = sp.diff(L(z + t**2 * r), t, 2).subs(t, 0).doit() / (r * sp.diff(L(z), z))
    form = lW * a_W**2 + lH * a_H**2 + sp.simplify(per_slope) * (-a_W * a_H * s1)
    block = sp.ImmutableMatrix(sp.hessian(form, (a_W, a_H)) / 2)
    least = radicals(block)[0]
    ratio, balance = sp.Symbol("a_W/a_H"), sp.Symbol("ratio")
    return (
        Result(
            "second form",
            "saddle",
            "The second form at a critical point with W v = 0, |v| = 1, along dW = a_W u v^T, dH~ = -a_H t v^T, "
            "with u, s1, t the top singular triple of G~.",
            (
                "rows of W and of H are orthogonal to v, so logits move by t^2 dW dH^T only",
                "differentiate L(z + t^2 r) twice at t = 0: 2 r L'(z)",
                "summed over the logits, r L'(z) is <G, dW dH^T> = -a_W a_H u^T G~ t = -a_W a_H s1",
            ),
            f"{ZHU}, proof of Theorem 3.2 (a direction of this kind)",
            formulas=((sp.Symbol("Q"), form),),
        ),
        Result(
            "descent curvature",
            "saddle",
            "The least value of the second form over a_W^2 + a_H^2 = 1, where a_W/a_H = s1/(lW - mu).",
            ("stationarity with a multiplier mu: mu is the smaller eigenvalue of half the Hessian of Q",),
            formulas=((mu, least), (ratio, _only(sp.solve((lW - mu) * balance - s1, balance)).subs(mu, least))),
        ),
        Result(
            "descent begins",
            "saddle",
            "The largest singular value of G~ at which the least curvature is 0: beyond it, mu < 0.",
            ("the product of both extremes of Q is the determinant of half its Hessian: solve for s1",),
            formulas=((s1, _only(sp.solve(block.det(), s1))),),
        ),
    )


def _only(roots: list[sp.Expr]) -> sp.Expr:
    (root,) = roots
    return root


TOPICS = {"scale": _scale, "threshold": _threshold, "etf": _etf, "origin": _origin, "saddle": _saddle}
LOSSES: dict[str, Mapping[str, Callable[[], tuple[Result, ...]]]] = {  # by the name of the loss
    "cross-entropy": TOPICS,
    "mse": mean_square.TOPICS,
    "label-smoothing": label_smoothing.TOPICS,
    "bce": binary_cross_entropy.TOPICS,
}

SYMBOLS_OF = {  # what the letters of a loss's results mean
    "cross-entropy": SYMBOLS,
    "mse": mean_square.SYMBOLS,
    "label-smoothing": label_smoothing.SYMBOLS,
    "bce": binary_cross_entropy.SYMBOLS,
}


def derive(
    *topics: str, loss: str = "cross-entropy", track: Callable[[Iterable[str]], Iterable[str]] = iter
) -> tuple[Result, ...]:
    """The closed forms of the topics named, or of all: scale, threshold, etf, origin, saddle.

    scale      the minimiser's margin, amplitudes, probabilities and value, from stationarity
    threshold  the decay beyond which the minimiser is the origin, in two ways
    etf        the spectrum of the Hessian at the simplex frame, with multiplicities; twelve numbers and those
               off the frame and within classes
    origin     the spectrum at W = 0, H = 0, b = 0
    saddle     the curvature of the descent direction at a saddle

    loss       one of LOSSES: mse has the topics scale, threshold, spectrum; label-smoothing and bce the first two

    Derived by sympy on the first call (seconds), remembered after it; `track` wraps the sequence of topics, to show
    progress. InputError when a loss or a topic is unknown.

    >>> import ufm
    >>> for result in ufm.derive("threshold"):
    ...     print(result.name, *result.formulas)
    margin vanishes (s, 1/K)
    origin turns (s, 1/K)
    """
    require(loss in LOSSES, f"no closed forms are derived for the loss {loss!r}; choose from: {', '.join(LOSSES)}")
    known = LOSSES[loss]
    unknown = [topic for topic in topics if topic not in known]
    require(not unknown, f"unknown topic {', '.join(map(repr, unknown))}; choose from: {', '.join(known)}")
    return tuple(result for topic in track(topics or tuple(known)) for result in known[topic]())
