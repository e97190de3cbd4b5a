"""The pages of a map of traps and of a phase diagram have every cell, with its numbers, and are clicked through."""

import re
from dataclasses import replace

import numpy as np
import pytest

from figures.pages import phases, traps
from figures.pages.phases import phase_page
from figures.pages.traps import traps_page
from figures.theory.traps import traps_figure
from tests.figures.browser import driven, needs_browser
from tests.figures.pages.reading import complaints, read, values
from ufm import InputError
from ufm.phases import Grid as PhaseGrid
from ufm.phases import survey as phase
from ufm.traps import Ending, survey
from ufm.traps.grid import Grid, SpheresGrid

GRID = Grid(classes=(3, 6), dims=(2, 5), lambdas=(2e-4, 2e-3), starts=4)
PHASES = PhaseGrid((1, 3, 10), (5e-3, 2e-2, 6e-2), majority=2, minority=2, per_class=10)
TRAP_NAMES = ["lambda", *(column.name for column in traps.COLUMNS)]
PHASE_NAMES = [column.name for column in phases.COLUMNS]


@pytest.fixture(scope="module")
def trapped():
    return [survey(problem, starts=4) for problem in GRID.problems]


@pytest.fixture(scope="module")
def merged():
    return [phase(problem) for problem in PHASES.problems]


@pytest.fixture(scope="module")
def map_text(trapped):
    return traps_page(trapped, GRID.settings()).html()


@pytest.fixture(scope="module")
def phase_text(merged):
    return phase_page(merged, PHASES.settings()).html()


def test_the_map_has_its_cells_numbers(map_text, trapped):
    assert complaints(map_text) == []
    page = read(map_text)
    for name, of in {
        "lambda": lambda c: c.problem.lambda_w,
        "K": lambda c: c.problem.num_classes,
        "d": lambda c: c.problem.dim,
        "trapped share": lambda c: c.ends[Ending.TRAPPED] / c.starts,
        "worst gap": lambda c: c.gap,
        "best value": lambda c: c.best.value,
        "lower bound": lambda c: c.lower_bound,
        "one-vs-rest distance": lambda c: c.best.distance,
    }.items():
        assert values(page, TRAP_NAMES, name) == [of(c) for c in trapped], name
    assert any(values(page, TRAP_NAMES, "worst gap"))  # there is a trap to be shown
    for item, cell in zip(page.data["items"], trapped, strict=True):
        point = cell.best.point
        np.testing.assert_allclose(item["logits"], (point.H @ point.W.T + point.b).numpy(), atol=1e-12)
        titles = ["the best point", *(["the worst trap"] if cell.worst else [])]
        assert [one["title"] for one in item["scenes"]] == titles
    assert "0 of 6 cells, where theory has none" in map_text


def test_cells_of_the_map_stand_where_their_k_and_d_are(map_text, trapped):
    marks = read(map_text).marks
    for setting in {cell.setting for cell in trapped}:
        places = {
            (cell.problem.num_classes, cell.problem.dim): marks[i]
            for i, cell in enumerate(trapped)
            if cell.setting == setting
        }
        assert places[6, 2][0] > places[3, 2][0] == places[3, 5][0]
        assert places[3, 5][1] < places[3, 2][1] == places[6, 2][1]
    assert len(set(marks.values())) == len(trapped)


def test_the_phase_diagram_has_its_cells_numbers(phase_text, merged):
    assert complaints(phase_text) == []
    page = read(phase_text)
    for name, of in {
        "weight decay": lambda c: c.problem.lambda_w,
        "n of the minority": lambda c: c.parties[-1].count,
        "minority": lambda c: "merged" if c.parties[-1].merged else "apart",
        "its share of the threshold": lambda c: c.parties[-1].ratio,
        "value": lambda c: c.value,
        "duality gap": lambda c: c.gap,
    }.items():
        assert values(page, PHASE_NAMES, name) == [of(c) for c in merged], name
    assert "0 cells contradict the threshold of theory" in phase_text


def test_the_lines_of_theory_part_what_is_merged_from_what_is_apart(phase_text, merged):
    """Read off the drawing: a cell above the minority's line is merged, one below it apart."""
    page = read(phase_text)
    (line,) = (one.get("d") for one in page.root.iter() if one.get("class") == "theory over ")
    x, y = np.array([[float(v) for v in pair.split()] for pair in line.removeprefix("M").split("L")]).T
    for (left, down), cell in ((page.marks[i], cell) for i, cell in enumerate(merged)):
        if x.min() <= left <= x.max() and len(cell.parties) > 1:
            assert (down < np.interp(left, x, y)) == cell.parties[-1].merged


def test_what_contradicts_theory_and_what_is_not_certified_are_marked(trapped, merged):
    problem = replace(trapped[-1], worst=trapped[-1].best, ends=trapped[-1].ends | {Ending.TRAPPED: 1, Ending.BEST: 3})
    assert problem.wide
    text = traps_page([*trapped[:-1], problem], {}).html()
    assert 'class="mark cell many contradicts"' in text
    assert "contradicts: a local minimiser" in text
    assert "contradicts: a local minimiser" not in traps_page(trapped, {}).html()
    silent = [replace(c, certified=False, parties=tuple(replace(p, ratio=None) for p in c.parties)) for c in merged]
    text = phase_page(silent, {}).html()
    assert text.count('<text aria-hidden="true">×</text>') == len(silent)
    assert "No threshold is known" in text
    assert 'class="theory' not in text


def test_a_map_of_spheres_has_its_scale_and_the_logits_have_it_too():
    grid = SpheresGrid(classes=(3,), dims=(2, 3), scale=(2.0, 10.0), per_class=1)
    cells = [survey(model, starts=2) for model in grid.problems]
    text = traps_page(cells, grid.settings()).html()
    assert complaints(text) == []
    page = read(text)
    assert values(page, ["scale"], "scale") == [2.0, 2.0, 10.0, 10.0]
    assert np.abs(page.data["items"][3]["logits"]).max() == pytest.approx(10.0)
    assert "over K, d and scale" in text


def test_a_map_of_a_loss_that_is_not_convex_claims_nothing_of_theory():
    grid = Grid((3,), (1, 2), (1e-2,), starts=2, loss={"name": "focal", "focusing": 2.0})
    cells = [survey(problem, starts=2) for problem in grid.problems]
    text = traps_page(cells, grid.settings()).html()
    assert complaints(text) == []
    assert re.search(r"Traps in \d of 2 cells \(theory names no d without any\); the best is", text)
    for claim in ("d &lt; K", "d &gt;= K", "theory has none", 'class="theory'):
        assert claim not in text
    assert "theory" not in traps_figure(cells).caption


@pytest.mark.parametrize("page", [traps_page, phase_page])
def test_without_cells_there_is_no_page(page):
    with pytest.raises(InputError, match="no cell to show"):
        page([], {})


READER = """
const key = (name) => document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { key: name, bubbles: true }));
const marks = [...document.querySelectorAll(".mark")];
const chosen = () => document.getElementById("chosen").textContent;
const clicked = marks.map((mark) => {
  mark.dispatchEvent(new MouseEvent("click", { bubbles: true }));
  return [chosen(), document.querySelectorAll(".scene").length];
});
key("Home");
const walk = ["ArrowRight", "ArrowUp", "ArrowLeft", "ArrowDown"].map((name) => { key(name); return chosen(); });
return { clicked, walk, over: overflowing() };"""


@needs_browser
def test_the_map_is_clicked_through(map_text, trapped, tmp_path):
    found = driven(map_text, READER, tmp_path, "--window-size=1100,900")
    title = "K = {0.num_classes}, d = {0.dim}, lambda = {0.lambda_w:g}"
    assert found["clicked"] == [[title.format(cell.problem), 2 if cell.worst else 1] for cell in trapped]
    around = [(6, 2), (6, 5), (3, 5), (3, 2)]
    assert found["walk"] == [f"K = {K}, d = {d}, lambda = 0.0002" for K, d in around]
    assert found["over"] == []


@needs_browser
def test_the_phase_diagram_is_clicked_through(phase_text, merged, tmp_path):
    found = driven(phase_text, READER, tmp_path, "--window-size=1100,900")
    assert [name for name, _ in found["clicked"]] == [
        f"lambda = {c.problem.lambda_w:g}, n = 10 and {c.parties[-1].count}" for c in merged
    ]
    assert re.sub(r"\s", "", ";".join(found["walk"])) == (
        "lambda=0.005,n=10and3;lambda=0.02,n=10and3;lambda=0.02,n=10and1;lambda=0.005,n=10and1"
    )
    assert found["over"] == []
