"""Captions say of theory what is true of the problem at hand, and nothing where it has nothing to say."""

import pytest
import torch

import ufm
from figures.runs.comparison import comparison_figures
from figures.runs.figures import drawings
from figures.runs.material import Material
from figures.runs.report import write_report
from ufm import Point, Problem
from ufm.losses import Focal, MeanSquare
from validate import Run

DECAY = {"lambda_w": 5e-3, "lambda_h": 1e-4, "lambda_b": 5e-3}
GLOBAL = "the global minimiser of the run's own unconstrained feature model"
FOUND = "the minimiser that a descent finds (not certified as global) of the run's own unconstrained feature model"
CASES = {
    "balanced": (Problem.balanced(4, 5, 6, **DECAY), {}, f" {GLOBAL.capitalize()} has zero in NC1, NC2, NC3 and NC4."),
    "imbalanced": (Problem((9, 5, 5, 1), 6, **DECAY), {}, f" Dashed: {GLOBAL}. It has zero in NC1."),
    "d < K - 1": (Problem.balanced(4, 5, 2, **DECAY), {}, f" Dashed: {FOUND}. It has zero in NC1 and NC4."),
    "decoupled decay": (Problem.balanced(4, 5, 6, **DECAY), {"optimizer": "adamw"}, ""),
    "fixed head": (
        Problem.balanced(4, 5, 6, **DECAY),
        {"head": "etf"},
        f" Dashed: {GLOBAL} (W fixed). It has zero in NC1. Where W or its norm is given, NC2 of theory and "
        "network agree by construction.",
    ),
    "another loss": (
        Problem.balanced(4, 5, 6, **DECAY, loss=MeanSquare()),
        {"loss": "mse"},
        f" Dashed: {GLOBAL} (loss: mse). It has zero in NC1, NC2 and NC3.",
    ),
    "a loss with a parameter": (
        Problem.balanced(4, 5, 6, **DECAY, loss=Focal(1.0)),
        {"loss": "focal", "focusing": 1.0},
        f" {GLOBAL.capitalize()} (loss: focal (focusing 1)) has zero in NC1, NC2, NC3 and NC4.",
    ),
}


@pytest.fixture
def at(tmp_path, trained):
    """A run with its last layer near the minimiser of a problem."""

    def make(problem: Problem, **changes) -> Run:
        point = ufm.minimize(problem, max_iterations=4).point
        recipe = trained.config["recipe"] | {"weight_decay": problem.lambda_w} | changes
        run = Run.create(tmp_path / f"run-{problem.dim}-{len(list(tmp_path.iterdir()))}", {"recipe": recipe})
        run.write_epochs(trained.epochs)
        Point(point.W, point.H, point.b, problem.labels).save(run.last_point)
        return run

    return make


@pytest.mark.parametrize(("problem", "changes", "said"), CASES.values(), ids=CASES)
def test_zero_is_said_of_what_is_zero(problem, changes, said, at):
    drawing = comparison_figures([at(problem, **changes)], only=["collapse"])["collapse"]
    assert drawing.caption.split("|b + W h_G|.")[1] == said
    theory = [[text.get_text() for text in axes.texts] for axes in drawing.figure.axes]
    names = [axes.get_title("left")[:3] for axes, texts in zip(drawing.figure.axes, theory, strict=True) if texts]
    assert names == [name for name in ("NC1", "NC2", "NC3", "NC4") if name in said]
    assert all(texts in ([], ["theory 0"], ["agrees by construction"]) for texts in theory)


def test_of_several_runs_only_what_holds_for_all(at):
    runs = [at(CASES[name][0], **CASES[name][1], seed=i) for i, name in enumerate(("balanced", "d < K - 1"))]
    caption = comparison_figures(runs, only=["collapse"])["collapse"].caption
    assert "the minimiser that a descent finds (not always certified as global) of each run's own" in caption
    assert "It has zero in NC1 and NC4." in caption
    assert "loss" not in caption
    several = [*runs, at(CASES["another loss"][0], loss="mse")]
    said = "of each run's own unconstrained feature model (of the loss that it was trained with)"
    assert said in comparison_figures(several, only=["collapse"])["collapse"].caption
    runs.append(at(CASES["decoupled decay"][0], optimizer="adamw"))
    assert "of each covered run's own" in comparison_figures(runs, only=["collapse"])["collapse"].caption


@pytest.mark.parametrize(("name", "word"), [("balanced", "global minimiser"), ("d < K - 1", "not certified as global")])
def test_the_page_calls_a_minimiser_global_only_where_it_is_proved(name, word, at):
    page = write_report(at(CASES[name][0])).read_text()
    assert word in page
    assert ("global minimiser" in page) == (name == "balanced")


def test_a_network_whose_features_are_all_equal_is_drawn_and_not_covered(at):
    run = at(CASES["balanced"][0])
    point = Point.load(run.last_point)
    Point(point.W, 0 * point.H, point.b, point.labels).save(run.last_point)
    drawn = comparison_figures([run])
    assert {"collapse", "accuracy", "predictions"} <= set(drawn)
    assert "minimiser" not in drawn["predictions"].caption
    assert "Not covered: W is zero or all features are equal" in write_report(run).read_text()


@pytest.mark.parametrize(("name", "words"), [("balanced", ""), ("another loss", "loss: mse")])
def test_the_page_and_the_spectrum_say_the_loss_where_it_is_not_cross_entropy(name, words, at):
    problem, changes, _ = CASES[name]
    run = at(problem, **changes)
    page = write_report(run).read_text()
    assert f"loss {problem.loss.name}" in page
    assert ("mean loss: mse" in page) == bool(words)
    assert "theorem about simplex" not in page
    caption = drawings(run)["spectrum"].caption
    assert ("loss" in caption) == bool(words)
    assert words in caption


def test_a_run_with_a_normalised_head_is_beside_its_model_on_spheres(at):
    """Features of length 5 beside unit rows of W, balanced: the closed form's margin 5 K/(K - 1) is drawn and told."""
    problem = Problem.balanced(4, 5, 6, **(DECAY | {"lambda_b": 0.0}), bias=False)
    run = at(problem, head="normalized", temperature=0.2, bias=False)
    point = Point.load(run.last_point)
    W, H = (torch.nn.functional.normalize(part, dim=1) for part in (point.W, point.H))
    Point(W, 5 * H, 0 * point.b, point.labels).save(run.last_point)
    found = drawings(run)
    assert set(found) == {"collapse", "accuracy", "held-out", "predictions"}
    assert f"{GLOBAL} (unit rows of W and H)" in found["predictions"].caption
    assert "Where W or its norm is given, norm of W of theory and network agree" in found["predictions"].caption
    page = write_report(run).read_text()
    assert "theory predicts 6.667" in page
    assert "dimension and scale, in which rows of W and features have length 1" in page
    assert "The feature decay is" not in page


def test_a_normalised_head_with_a_bias_is_not_covered_and_the_page_says_why(at):
    run = at(Problem.balanced(4, 5, 6, **DECAY), head="normalized", temperature=0.2)
    assert "the head has a bias, and points of the model on spheres have none" in str(Material(run).not_covered)
    assert "Dashed" not in comparison_figures([run], only=["predictions"])["predictions"].caption
