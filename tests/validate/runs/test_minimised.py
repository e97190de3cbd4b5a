"""What a run minimised: the facts decide what is compared, whoever trained it, and older records still say it."""

import dataclasses
import re
from pathlib import Path

import pytest

import networks
import ufm
import validate
from networks.models.heads import HEADS
from networks.optim.losses import LOSSES
from networks.optim.optimizers import OPTIMIZERS
from tests.cases import PROBLEMS
from ufm import InputError, Point
from validate import NotComparable, Run, compare_run, not_covered
from validate.runs.minimised import BALANCE, HeadFacts, LossFacts, Minimised

HOUSE = Path(validate.__file__).parents[1]
PLAIN = Minimised(LossFacts("cross-entropy"), HeadFacts(), 5e-3, None, 5e-3, BALANCE)


def at_the_minimum(folder: Path, facts: Minimised, **recipe) -> Run:
    """A run of a method that nobody here has heard of, at the minimiser of a problem with decays of its own."""
    problem = PROBLEMS["balanced"]
    run = Run.create(folder / "run", {"recipe": {"optimizer": "unheard-of", **recipe}, "minimised": facts.plain()})
    point = ufm.minimize(problem, tol=1e-13).point
    dataclasses.replace(point, labels=problem.labels).save(run.last_point)
    return run


def test_an_unknown_optimiser_that_states_an_objective_is_compared(tmp_path):
    problem = PROBLEMS["balanced"]
    facts = dataclasses.replace(
        PLAIN, lambda_w=problem.lambda_w, lambda_h=problem.lambda_h, lambda_b=problem.lambda_b, implied_by=None
    )
    run = at_the_minimum(tmp_path, facts, loss="also-unheard-of", head="likewise", weight_decay=17.0)
    assert not_covered(run) is None
    found = compare_run(run)
    assert (found.problem.lambda_w, found.problem.lambda_h) == (problem.lambda_w, problem.lambda_h)
    assert found.problem.lambda_b == problem.lambda_b
    assert found.certificate.verdict == "global minimizer"


REFUSED = {
    "a reason": ({"reasons": ("the steps are random walks",)}, "the steps are random walks"),
    "a loss": ({"loss": LossFacts("hinge")}, "trained with the loss hinge, of which no lower bound is known"),
    "a loss with a parameter": (
        {"loss": LossFacts("huber", {"delta": 2.0})},
        "trained with the loss huber (delta 2), of which no lower bound is known",
    ),
    "a loss that lacks a parameter": ({"loss": LossFacts("focal")}, "the record of the run's loss is damaged"),
    "a parameter out of range": (
        {"loss": LossFacts("focal", {"focusing": -1.0})},
        "the record of the run's loss is damaged (focusing must be a finite number >= 0",
    ),
    "unit rows": ({"head": HeadFacts("of unit rows", feature_norm=10.0)}, "W is of unit rows"),
    "unit features": ({"head": HeadFacts(feature_norm=10.0)}, "the features have one norm"),
    "no decay of W": ({"lambda_w": None}, "no weight decay acts on W"),
    "no decay of H": ({"implied_by": None}, "nothing says which decay the features have"),
    "another law": ({"implied_by": "an oracle"}, "nothing says which decay the features have"),
}


@pytest.mark.parametrize(("changes", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_such_objective_is_refused_with_its_reason(changes, reason, tmp_path):
    run = at_the_minimum(tmp_path, dataclasses.replace(PLAIN, **changes), optimizer="sgd", weight_decay=5e-3)
    assert reason in not_covered(run)
    with pytest.raises(NotComparable, match=re.escape(not_covered(run))):
        compare_run(run)


def test_a_bias_without_a_decay_and_no_bias(tmp_path):
    run = at_the_minimum(tmp_path, dataclasses.replace(PLAIN, lambda_b=None))
    assert compare_run(run).problem.lambda_b == 0
    run.write_config({"minimised": dataclasses.replace(PLAIN, head=HeadFacts(bias=False)).plain()})
    point = Point.load(run.last_point)
    dataclasses.replace(point, b=0 * point.b).save(run.last_point)
    assert not compare_run(run).problem.bias


FACTS = {
    "plain": PLAIN,
    "a loss with a parameter": dataclasses.replace(PLAIN, loss=LossFacts("focal", {"focusing": 2.0})),
    "a frame": dataclasses.replace(PLAIN, head=HeadFacts("fixed", False, "rotated"), lambda_w=None, implied_by=None),
    "reasons": dataclasses.replace(PLAIN, reasons=("one.", "two.")),
}


@pytest.mark.parametrize("facts", FACTS.values(), ids=FACTS)
def test_facts_survive_the_disk(facts, tmp_path):
    run = Run.create(tmp_path / "run", {"minimised": facts.plain()})
    assert run.minimised == facts


DAMAGE = {
    "no record": "nothing",
    "an unknown fact": PLAIN.plain() | {"mood": 1},
    "a missing fact": {name: value for name, value in PLAIN.plain().items() if name != "lambda_w"},
    "a word for a number": PLAIN.plain() | {"lambda_w": "much"},
    "a negative decay": PLAIN.plain() | {"lambda_h": -1.0},
    "a decay too large": PLAIN.plain() | {"lambda_h": 10**400},
    "a truth for a decay": PLAIN.plain() | {"lambda_h": True},
    "no list": PLAIN.plain() | {"reasons": "none"},
    "an unknown W": PLAIN.plain() | {"head": HeadFacts().__dict__ | {"W": "tame"}},
}


@pytest.mark.parametrize("found", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_record_is_named(found, tmp_path):
    run = Run.create(tmp_path / "run", {"minimised": found})
    with pytest.raises(InputError, match=r"config\.json: the record of what was minimised is damaged"):
        _ = run.minimised


def test_a_decay_too_large_in_an_older_record_is_refused(tmp_path):
    run = Run.create(tmp_path / "run", {"recipe": {"weight_decay": 5e-3}, "lambda_h": 10**400})
    with pytest.raises(InputError, match="lambda_h must be a finite number"):
        _ = run.minimised


def test_the_objective_in_words():
    assert PLAIN.formula == "mean cross-entropy + 0.005/2 |W|^2 + 0.005/2 |b|^2, and lambda_h implied by balance"
    smooth = Minimised(LossFacts("label-smoothing", {"smoothing": 0.1}), HeadFacts("fixed", False), None, 1e-7, None)
    assert smooth.formula == "mean label-smoothing (smoothing 0.1) + 1e-07/2 |H|^2"


def test_a_record_that_says_nothing(tmp_path):
    run = Run.create(tmp_path / "run", {})
    assert run.minimised is None
    assert not_covered(run) is None


OLDER = [
    {},
    {"loss": "mse"},
    {"loss": "label-smoothing", "smoothing": 0.2},
    {"loss": "focal", "focusing": 3.0},
    {"optimizer": "adam"},
    {"optimizer": "adamw"},
    {"optimizer": "adamw", "feature_decay": 1e-3},
    {"optimizer": "lbfgs", "feature_decay": 1e-3},
    {"head": "etf", "frame": "standard"},
    {"head": "etf", "frame": "rotated", "bias": False},
    {"head": "normalized", "temperature": 0.2},
    {"bias": False, "weight_decay": 1e-4},
]


@pytest.mark.parametrize("changes", OLDER, ids=lambda changes: " ".join(map(str, changes.values())) or "defaults")
def test_an_older_record_says_what_a_run_of_its_recipe_says_today(changes, tmp_path):
    from networks.runs.minimised import minimised

    recipe = networks.Recipe(**changes)
    decay = {"lambda_h": recipe.feature_decay / 1400} if recipe.feature_decay else {}
    older = Run.create(tmp_path / "run", {"recipe": dataclasses.asdict(recipe)} | decay)
    assert older.minimised == minimised(recipe, (140,) * 10)


def test_an_older_frame_without_a_name_was_rotated(tmp_path):
    run = Run.create(tmp_path / "run", {"recipe": {"weight_decay": 5e-4, "head": "etf"}})
    assert run.minimised.head == HeadFacts("fixed", frame="rotated")


def test_every_recorded_run_is_read():
    files = sorted((HOUSE / "results").rglob("config.json"))
    assert files
    for file in files:
        run = Run(file.parent)
        facts, recipe = run.minimised, run.config["recipe"]
        assert (facts.lambda_w is None) == (recipe["head"] == "etf")
        assert (not_covered(run) is None) == (recipe["head"] in ("linear", "etf"))
        assert (facts.lambda_h is None) == (recipe.get("feature_decay", 0.0) == 0)


def test_validate_knows_no_name_of_networks():
    """But for cross-entropy, which is theory's own, and for the closed tables about older records."""
    names = {*OPTIMIZERS, *LOSSES, *HEADS} - {"cross-entropy"}
    files = [file for file in (HOUSE / "validate").rglob("*.py") if file.name != "older.py"]
    found = {name for name in names for file in files if f'"{name}"' in file.read_text()}
    assert not found
    assert {name for name in names if f'"{name}"' in (HOUSE / "validate/runs/older.py").read_text()}
