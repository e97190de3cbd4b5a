"""Every theorem holds where it should, says so where it does not apply, and fails on an error planted for it."""

from dataclasses import replace

import pytest
import torch

import ufm
from tests.cases import DECAY, PROBLEMS, orthogonal, random_point
from ufm import THEOREMS, Problem
from ufm.certificates import descent_direction
from ufm.losses import CrossEntropy, MeanSquare
from ufm.theorems import worst_of
from ufm.theorems.evidence import Evidence, Undecided
from ufm.theorems.verification import judge

PROBLEM = PROBLEMS["balanced"]
BY_NAME = {theorem.name: theorem for theorem in THEOREMS}


@pytest.fixture(scope="module")
def sound():
    """Evidence with everything computed, to be copied and spoiled."""
    evidence = Evidence(PROBLEM, starts=2)
    for theorem in THEOREMS:
        judge(theorem, PROBLEM, evidence)
    return evidence


def spoiled(evidence: Evidence, **changes) -> Evidence:
    copy = Evidence(evidence.problem, evidence.seed, evidence.starts)
    vars(copy).update(vars(evidence))
    # What follows from the solutions, saddles and closed form is collected again.
    for name in ("ends", "level", "critical_points", "judged", "siblings", "proofs", "closed_form_proof"):
        vars(copy).pop(name, None)
    vars(copy).update(changes)
    return copy


def with_solution(evidence: Evidence, **parts) -> Evidence:
    """The second of the free solutions with parts of its point changed by functions of them."""
    first, second = evidence.solutions
    point = replace(second.point, **{name: change(getattr(second.point, name)) for name, change in parts.items()})
    return spoiled(evidence, solutions=[first, replace(second, point=point)])


def one_row_moved(H):
    H = H.clone()
    H[0, 0] += 1e-5
    return H


def wrong_spectrum(evidence: Evidence) -> Evidence:
    spectra = dict(evidence.spectra)
    point, levels = spectra["origin"]
    spectra["origin"] = point, replace(levels, values=levels.values * (1 + 1e-9))
    return spoiled(evidence, spectra=spectra)


def wrong_multiplicity(evidence: Evidence) -> Evidence:
    point, levels = evidence.spectra["minimiser, blocks"]
    multiplicities = levels.multiplicities.clone()
    multiplicities[levels.values.abs() <= levels.tolerance] += 1
    changed = replace(levels, multiplicities=multiplicities)
    return spoiled(evidence, spectra=evidence.spectra | {"minimiser, blocks": (point, changed)})


def stuck_at_a_saddle(evidence: Evidence) -> Evidence:
    """One descent ends at the rank-2 saddle: a critical point, not a global minimiser."""
    first, second = evidence.solutions
    point = PROBLEM.expand(evidence.saddles[2])
    value = float(PROBLEM.objective(point))
    return spoiled(evidence, solutions=[first, replace(second, point=point, value=value)])


def stuck_above_threshold(evidence: Evidence) -> Evidence:
    """The sibling above the threshold keeps a classifier."""
    found = evidence.threshold_solutions
    above = replace(found[1.1], point=replace(found[1.1].point, W=found[1.1].point.W + 1e-3))
    return spoiled(evidence, threshold_solutions=found | {1.1: above})


def rotated_features(evidence: Evidence) -> Evidence:
    return with_solution(evidence, H=lambda H: H @ orthogonal(PROBLEM.dim))


def minimum_that_is_none(evidence: Evidence) -> Evidence:
    """A point beside the minimiser passes for the end of a descent."""
    return with_solution(evidence, b=lambda b: b + torch.tensor([1e-3, -1e-3, 0, 0]))


def trapped(evidence: Evidence) -> Evidence:
    """A trap's certificate turns up among the others."""
    flat, local, _ = evidence.trap
    return spoiled(evidence, judged=[*evidence.judged, ufm.certify(flat, local)])


def lost_saddles(evidence: Evidence) -> Evidence:
    """Only minimisers are left to look at."""
    return spoiled(evidence, critical_points=[solution.point for solution in evidence.solutions])


def hollow_sibling(evidence: Evidence) -> Evidence:
    """At d = K - 1 a trap's certificate turns up among the others."""
    sibling, (flat, local, _) = evidence.siblings[PROBLEM.num_classes - 1], evidence.trap
    judged = [*sibling.judged, ufm.certify(flat, local)]
    return spoiled(evidence, siblings=evidence.siblings | {3: spoiled(sibling, judged=judged)})


def spoiled_trap(evidence: Evidence, change) -> Evidence:
    return spoiled(evidence, trap=change(*evidence.trap))


PLANTED = {
    "within-class collapse": lambda e: with_solution(e, H=one_row_moved),
    "zero row sum": lambda e: with_solution(e, W=lambda W: W + 1e-5),
    "balance": lambda e: with_solution(e, W=lambda W: 1.0001 * W),
    "isotropic residual": lambda e: with_solution(e, b=lambda b: b + torch.tensor([1e-3, -1e-3, 0, 0])),
    "averaging descends": lambda e: spoiled(e, averaged_points=[random_point(PROBLEM, scale=9)] * 6),
    "global optimality": stuck_at_a_saddle,
    "ETF geometry": stuck_at_a_saddle,
    "self-duality": rotated_features,
    "closed-form scale": lambda e: with_solution(e, W=lambda W: 1.0001 * W, H=lambda H: H / 1.0001),
    "zero bias": lambda e: with_solution(e, b=lambda b: b + 1e-5),
    "collapse threshold": stuck_above_threshold,
    "zero saddle": lambda e: spoiled(
        e, certificates=e.certificates | {0: ufm.certify(PROBLEM, e.minimizer)}, origin=e.minimizer
    ),
    "saddles of every rank": lambda e: spoiled(e, saddles=e.saddles | {1: e.minimizer}),
    "landscape, d > K": trapped,
    "landscape, d >= K - 1": hollow_sibling,
    "sharpness": lambda e: spoiled_trap(e, lambda problem, local, better: (problem, better, better)),
    "descent rate": lambda e: spoiled(e, descent=e.descent | {"slowest": e.descent["slowest"] ** 1.02}),
    "exact spectrum": wrong_spectrum,
    "nondegeneracy": wrong_multiplicity,
    "minority collapse": lambda e: spoiled(e, minimizer=replace(e.minimizer, W=1.001 * e.minimizer.W)),
}


def test_every_theorem_has_a_planted_error():
    """Weak duality is about every point there is: its error is planted in the bound, below."""
    assert set(PLANTED) | {"weak duality"} == set(BY_NAME)


@pytest.mark.parametrize("name", BY_NAME)
def test_holds(name, sound):
    verdict = judge(BY_NAME[name], PROBLEM, sound)
    assert verdict.status == "holds", verdict
    assert verdict.worst <= verdict.tolerance


@pytest.mark.parametrize("name", PLANTED)
def test_planted_error_is_caught(name, sound):
    verdict = judge(BY_NAME[name], PROBLEM, PLANTED[name](sound))
    assert verdict.status == "fails", verdict
    assert verdict.worst > verdict.tolerance


def test_bound_of_a_stronger_problem_is_caught(sound, monkeypatch):
    """The bound is computed for 1.5 times the feature decay: at that problem's minimiser it is too high."""
    stronger = replace(PROBLEM, lambda_h=1.5 * PROBLEM.lambda_h)
    evidence = spoiled(sound, random_points=[ufm.global_minimizer(stronger)])
    assert judge(BY_NAME["weak duality"], PROBLEM, evidence).status == "holds"
    monkeypatch.setattr(
        "ufm.theorems.claims.duality.lower_bound", lambda problem, point: ufm.lower_bound(stronger, point)
    )
    assert judge(BY_NAME["weak duality"], PROBLEM, evidence).status == "fails"


@pytest.mark.parametrize("name", ["zero saddle", "saddles of every rank"])
def test_curvature_that_is_not_the_second_form_is_caught(name, sound, monkeypatch):
    def wrong(problem, point):
        direction, curvature = descent_direction(problem, point)
        return direction, curvature * (1 + 1e-6)

    monkeypatch.setattr("ufm.theorems.claims.saddles.descent_direction", wrong)
    assert judge(BY_NAME[name], PROBLEM, sound).status == "fails"


class Bent(CrossEntropy):
    """Cross-entropy with a wrong curvature."""

    def expand(self, logits, labels):
        values, slopes, curvature = super().expand(logits, labels)
        return values, slopes, lambda change: 3 * curvature(change) + 0.1 * change


def test_a_wrong_curvature_is_seen_in_the_nullity():
    """The orbit's dimension is not put in: too steep a Hessian has fewer zeros than the orbit has dimensions."""
    problem = Problem.balanced(10, 5, 12, **DECAY, loss=Bent())
    assert judge(BY_NAME["nondegeneracy"], problem, Evidence(problem, starts=1)).status == "fails"


NARROW_ESCAPES = {
    "just below the threshold": Problem.balanced(4, 3, 6, lambda_w=0.14425, lambda_h=0.14425, lambda_b=1e-2),
    "hardly any decay of the bias": Problem.balanced(4, 3, 6, **DECAY, lambda_b=1e-10),
    "a nearly perfect fit": Problem.balanced(2, 1, 2, lambda_w=1.2e-4, lambda_h=2.3e-4, lambda_b=1.0),
}


@pytest.mark.parametrize("problem", NARROW_ESCAPES.values(), ids=NARROW_ESCAPES)
def test_true_theorems_hold_at_awkward_parameters(problem):
    assert [verdict for verdict in ufm.verify(problem, seed=34, starts=1) if verdict.status == "fails"] == []


@pytest.mark.parametrize("name", ["landscape, d > K", "landscape, d >= K - 1"])
def test_a_landscape_without_saddles_is_not_judged(name, sound):
    assert judge(BY_NAME[name], PROBLEM, lost_saddles(sound)).status == "inconclusive"


def test_a_saddle_is_no_trap(sound):
    """The origin of the plane has directions of descent: it shows nothing about d < K - 1."""
    saddle = lambda problem, local, better: (problem, ufm.solvers.critical.origin(problem), better)  # noqa: E731
    assert judge(BY_NAME["sharpness"], PROBLEM, spoiled_trap(sound, saddle)).status == "fails"


def test_the_sharp_theorem_looks_at_k_minus_1_and_k():
    for name in ("balanced", "d < K - 1", "imbalanced"):
        problem = PROBLEMS[name]
        evidence = Evidence(problem, starts=1)
        assert {problem.num_classes - 1, problem.num_classes} <= set(evidence.siblings)
        verdict = judge(BY_NAME["landscape, d >= K - 1"], problem, evidence)
        assert verdict.status == "holds"
        assert "strict saddle" in verdict.note


EMPTY = {
    "solutions": [],
    "critical_points": [],
    "saddles": {},
    "certificates": {},
    "random_points": [],
    "averaged_points": [],
    "spectra": {},
    "judged": [],
    "siblings": {},
    "descent": {},
    "trap": None,
}


@pytest.mark.parametrize("name", BY_NAME)
def test_no_claim_holds_when_there_is_nothing_to_look_at(name, sound):
    """A check without material decides nothing, or stops; it never holds."""
    evidence = spoiled(sound, **EMPTY, threshold_solutions={}, minimizer=None, closed_form=None)
    try:
        status = judge(BY_NAME[name], PROBLEM, evidence).status
    except (KeyError, AttributeError, ValueError, TypeError, IndexError):
        return
    assert status == "inconclusive"


def test_nan_never_holds():
    assert worst_of([0.0, float("nan")]) == float("inf")
    with pytest.raises(Undecided):
        worst_of([])
    assert worst_of([1e-9, 1e-12]) == 1e-9


UNCOVERED = {
    "within-class collapse": Problem.balanced(4, 1, 4, **DECAY),
    "averaging descends": Problem.balanced(4, 1, 4, **DECAY),
    "global optimality": PROBLEMS["d < K - 1"],
    "ETF geometry": PROBLEMS["imbalanced"],
    "self-duality": PROBLEMS["imbalanced"],
    "closed-form scale": PROBLEMS["d < K - 1"],
    "zero bias": PROBLEMS["no bias"],
    "collapse threshold": PROBLEMS["imbalanced"],
    "zero saddle": PROBLEMS["strong decay"],
    "saddles of every rank": PROBLEMS["two classes"],
    "exact spectrum": Problem.balanced(10, 50, 10, **DECAY),
    "nondegeneracy": PROBLEMS["strong decay"],
    "zero row sum": PROBLEMS["strong decay"],
    "landscape, d > K": PROBLEMS["d = K - 1"],
    "landscape, d >= K - 1": PROBLEMS["strong decay"],
    "descent rate": Problem.balanced(100, 50, 128, **DECAY),
    "balance": PROBLEMS["strong decay"],
    "isotropic residual": PROBLEMS["strong decay"],
    "minority collapse": PROBLEMS["imbalanced"],
    "sharpness": Problem.balanced(4, 2, 4, **DECAY, loss=MeanSquare()),
}


@pytest.mark.parametrize("name", UNCOVERED)
def test_hypotheses_that_do_not_hold_mean_not_covered(name):
    verdict = judge(BY_NAME[name], UNCOVERED[name], None)
    assert verdict.status == "not covered"
    assert verdict.worst is None
    assert verdict.note.startswith("needs ")


def test_what_is_about_every_problem():
    assert set(BY_NAME) - set(UNCOVERED) == {"weak duality"}


def test_every_statement_and_source_is_there():
    for theorem in THEOREMS:
        assert theorem.statement
        assert theorem.source
        assert theorem.check.__doc__ or "_strictness" in theorem.check.__code__.co_names


@pytest.mark.parametrize("problem", PROBLEMS.values(), ids=PROBLEMS)
def test_nothing_fails_on_any_problem(problem):
    verdicts = ufm.verify(problem, starts=2)
    assert [verdict.claim for verdict in verdicts] == list(BY_NAME)
    assert [verdict for verdict in verdicts if verdict.status == "fails"] == []
    assert any(verdict.status == "holds" for verdict in verdicts)


def test_progress_sees_every_theorem():
    seen = []

    def track(theorems):
        for theorem in theorems:
            seen.append(theorem.name)
            yield theorem

    ufm.verify(PROBLEMS["two classes"], starts=1, track=track)
    assert seen == list(BY_NAME)


RATES = [(7, 3, 6), (3, 1, 2), (2, 3, 1), (9, 3, 11), (10, 3, 10)]


@pytest.mark.parametrize(("K", "n", "d"), RATES)
def test_the_rate_is_measured_where_the_slowest_mode_rules(K, n, d):
    """Where a random start is slow to come to its limit, or its slowest mode is hardly in it."""
    problem = Problem.balanced(K, n, d, **DECAY, lambda_b=1e-2)
    verdict = judge(BY_NAME["descent rate"], problem, Evidence(problem, starts=1))
    assert verdict.status == "holds", verdict


def test_a_start_that_descends_more_slowly_than_the_slowest_mode_is_seen(sound):
    slower = sound.descent | {"random": sound.descent["random"] ** 0.3}
    assert judge(BY_NAME["descent rate"], PROBLEM, spoiled(sound, descent=slower)).status == "fails"


MERGED = [((50, 50, 1), 5, 0.02), ((30, 1, 1, 1), 4, 0.035), ((20, 20, 2, 1), 3, 0.03)]


@pytest.mark.parametrize(("counts", "dim", "decay"), MERGED)
def test_the_landscape_theorem_holds_where_minorities_merge(counts, dim, decay):
    """No point has rank K - 1 then: what is said of such points is said of none."""
    problem = Problem(counts, dim, lambda_w=decay, lambda_h=decay, lambda_b=1e-2)
    verdict = judge(BY_NAME["landscape, d >= K - 1"], problem, Evidence(problem, starts=2))
    assert verdict.status == "holds", verdict
    assert "no point has rank K - 1" in verdict.note


def test_descents_that_do_not_converge_decide_nothing(sound):
    stuck = [replace(solution, converged=False) for solution in sound.solutions]
    evidence = spoiled(sound, solutions=stuck)
    verdict = judge(BY_NAME["global optimality"], PROBLEM, evidence)
    assert (verdict.status, verdict.note) == ("inconclusive", "none of 2 free descents converged")


@pytest.mark.parametrize("decay", [1e-9, 1e-12])
def test_nothing_fails_at_small_decays(decay):
    problem = Problem.balanced(4, 2, 4, lambda_w=decay, lambda_h=decay, lambda_b=decay)
    verdicts = ufm.verify(problem, starts=1)
    assert {verdict.status for verdict in verdicts} <= {"holds", "not covered"}


@pytest.mark.parametrize("decays", [(1e-12, 2e-3), (1e-14, 2e-3), (2e-3, 1e-14)], ids=str)
def test_saddles_between_decays_far_apart_hold(decays):
    """Their curvature is far below the larger decay: a difference of the decays would be rounding."""
    problem = Problem.balanced(4, 3, 6, lambda_w=decays[0], lambda_h=decays[1], lambda_b=1e-2)
    verdict = judge(BY_NAME["saddles of every rank"], problem, Evidence(problem, starts=1))
    assert verdict.status == "holds", verdict


def test_a_decay_below_the_spectrums_rounding_decides_nothing_about_its_zeros():
    problem = Problem.balanced(4, 3, 6, lambda_w=2e-3, lambda_h=1e-20, lambda_b=1e-2)
    verdict = judge(BY_NAME["nondegeneracy"], problem, Evidence(problem, starts=1))
    assert (verdict.status, verdict.note[:22]) == ("inconclusive", "a decay is below the r"), verdict
