"""Claims about the points at hand that are proved in ball arithmetic, not measured.

Each check reads proofs of `ufm.prove` from the evidence. A proof of something else than is claimed is a failure, one
that was refused decides nothing.
"""

import math
from collections.abc import Collection, Mapping

from ...losses import LOSSES, Weighted
from ...problem import Problem
from ...proofs import PRECISION, Proof, is_available
from ...results import PointVerdict
from ..evidence import Evidence, Undecided
from ..hypotheses import CONVEX, ETF, WIDE
from ..theorem import Finding, Hypothesis, Theorem, here, worst_of

MOST_CLASSES = 10
LEAST_VALUE = 1e-15  # a value below this counts as it where a width is relative

FEW = Hypothesis(
    f"K <= {MOST_CLASSES} and no more types (ball arithmetic)",
    lambda p: max(p.num_classes, p.num_types) <= MOST_CLASSES,
)


def _in_the_table(problem: Problem) -> bool:
    """Whether the loss is one of `ufm.losses`, and so is what is weighted in it."""
    loss = problem.loss.loss if isinstance(problem.loss, Weighted) else problem.loss
    return type(loss) in LOSSES.values()


ENCLOSED = Hypothesis("a loss of ufm.losses (ball arithmetic)", _in_the_table)
FLINT = Hypothesis("python-flint", lambda p: is_available())


def proved_minimizer(problem: Problem, evidence: Evidence) -> Finding:
    """A critical point near the best descent is proved to be a global minimiser; how wide its value is enclosed."""
    proof = _given(evidence.proofs["minimiser"])
    return Finding(_width(proof, PointVerdict.GLOBAL_MINIMIZER), 1e-12, f"{proof.statement}; width of [a, b] / b")


PROVED_MINIMIZER = Theorem(
    "proved minimiser",
    "a global minimiser is at the best descent: proved, value enclosed",
    here("9.1", "9.2", "9.6"),
    (ENCLOSED, CONVEX, WIDE, FEW, FLINT),
    proved_minimizer,
)


def proved_closed_form(problem: Problem, evidence: Evidence) -> Finding:
    """A global minimiser is proved near the closed form; its value is f* = -log(1 - (K-1) s) + s (K-1) c.

    The formula is evaluated in balls with s = sqrt(n lW lH), c = log((1 - (K-1) s)/s), and subtracted.
    """
    proof = _given(evidence.closed_form_proof)
    found = proof.verdict == PointVerdict.GLOBAL_MINIMIZER
    worst = _value_deviation(problem, proof) if found else math.inf
    note = f"f* = {proof.digits}" if found else proof.statement
    return Finding(worst, 1e-30, f"{note}; |value - f*| at most")


PROVED_CLOSED_FORM = Theorem(
    "proved closed form",
    "a global minimiser of value f* is at the closed form: proved",
    here("9.2", "9.5"),
    (*ETF, FEW, FLINT),
    proved_closed_form,
)


def proved_saddles(problem: Problem, evidence: Evidence) -> Finding:
    """The origin and a point of every rank 1 .. K-2 are proved strict saddles; counts those proved something else."""
    names = ["origin", *(f"rank {rank}" for rank in evidence.ranks)]
    missing = [name for name in names if name not in evidence.proofs]
    others = _proved_else(
        {name: evidence.proofs[name] for name in names if name not in missing}, {PointVerdict.STRICT_SADDLE}
    )
    if missing and not others:
        raise Undecided(f"no point was found of {', '.join(missing)}")
    curvatures = [evidence.proofs[name].curvature for name in names if name not in (*missing, *others)]
    known = [curvature for curvature in curvatures if curvature is not None]
    steepest = f"; curvature at most {max(known):.3g}" if known else ""
    return Finding(float(len(others)), 0.0, f"{', '.join(names)}{steepest}")


PROVED_SADDLES = Theorem(
    "proved saddles",
    "0 and a point of every rank 1 .. K - 2 are strict saddles: proved",
    here("9.1", "9.3"),
    (*ETF, FEW, FLINT),
    proved_saddles,
)


def proved_dichotomy(problem: Problem, evidence: Evidence) -> Finding:
    """Every critical point at hand is proved a global minimiser or a strict saddle; counts those proved otherwise.

    For a convex loss and d >= the largest rank there is no other kind (docs/theory, section 10.1).
    """
    others = _proved_else(evidence.proofs, {PointVerdict.GLOBAL_MINIMIZER, PointVerdict.STRICT_SADDLE})
    return Finding(float(len(others)), 0.0, ", ".join(others or evidence.proofs))


PROVED_DICHOTOMY = Theorem(
    "proved dichotomy",
    "every critical point at hand is a global minimiser or a strict saddle: proved",
    here("9.2", "9.3", "9.6"),
    (ENCLOSED, CONVEX, WIDE, FEW, FLINT),
    proved_dichotomy,
)


def _given(proof: Proof) -> Proof:
    """The proof, unless it was refused."""
    if proof.refused:
        raise Undecided(proof.statement)
    return proof


def _proved_else(proofs: Mapping[str, Proof], verdicts: Collection[PointVerdict]) -> list[str]:
    """The names of the points that are proved to be of another kind; undecided when there is none but a refusal."""
    others = [name for name, proof in proofs.items() if not proof.refused and proof.verdict not in verdicts]
    refused = [f"{name}: {proof.reason}" for name, proof in proofs.items() if proof.refused]
    if not others and (refused or not proofs):
        raise Undecided(f"not proved: {'; '.join(refused) or 'there is no point'}")
    return others


def _width(proof: Proof, verdict: PointVerdict) -> float:
    """(b - a)/b of a proof of that verdict, b at least 1e-15; infinite for another one."""
    if proof.verdict != verdict or proof.value is None:
        return math.inf
    low, high = proof.value
    return worst_of([(high - low) / max(high, LEAST_VALUE)])


def _value_deviation(problem: Problem, proof: Proof) -> float:
    """An upper bound on |value - f*|; the value's decimal digits are read back as a ball."""
    from flint import arb

    from ...proofs.balls import upper, working_precision

    with working_precision(PRECISION):
        K, n = problem.num_classes, problem.per_class
        s = (n * arb(float(problem.lambda_w)) * arb(float(problem.lambda_h))).sqrt()
        right = 1 - (K - 1) * s
        value = s * (K - 1) * (right / s).log() - right.log()
        return upper(abs(value - arb(proof.digits)))
