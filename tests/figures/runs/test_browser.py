"""The report in a real browser: nothing on its console, tables that sort and fit, whole without scripts."""

import re
import shutil

import pytest

from figures.runs.report import write_report
from tests.cases import PROBLEMS
from tests.figures.browser import driven, needs_browser, opened
from ufm.storage.files import write_json
from validate import Run

pytestmark = needs_browser

WORST = {"b": 2e-3, "a": None, "d": -1.0, "c": 1e-5}
LONG = "a word of hypotheses and a-very-long-name-without-a-space " * 3
CLICKS = """
const table = document.querySelector("#other-verdicts");
const heading = (i) => table.tHead.rows[0].cells[i];
const press = (i) => { heading(i).querySelector("button").click(); return state(i); };
const claims = () => [...table.tBodies[0].rows].map((row) => row.cells[0].textContent);
const state = (i) => [heading(i).getAttribute("aria-sort"), claims()];
const before = state(3);
heading(3).querySelector("button").focus();
return {
  before, rising: press(3), falling: press(3), claims: press(0), other: state(3)[0],
  focused: document.activeElement === heading(3).querySelector("button"),
  wide: innerWidth, over: overflowing(),
};"""


@pytest.fixture(scope="module")
def text(trained, tmp_path_factory):
    """A report with four verdicts."""
    folder = tmp_path_factory.mktemp("report")
    shutil.copytree(trained.path, folder / "run")
    verdicts = [
        {"claim": name, "statement": "1^T W = 0", "source": LONG, "status": "holds"}
        | {"worst": worst, "tolerance": 1.0, "note": LONG}
        for name, worst in WORST.items()
    ]
    write_json(folder / "v.json", {"problem": PROBLEMS["balanced"].settings(), "verdicts": verdicts})
    return write_report(Run.open(folder / "run"), folder / "v.json").read_text()


def test_tables_sort_and_fit_1100_pixels(text, tmp_path):
    found = driven(text, CLICKS, tmp_path, "--window-size=1100,900")
    assert found["before"] == [None, ["b", "a", "d", "c"]]
    assert found["rising"] == ["ascending", ["d", "c", "b", "a"]]  # by number; without a value: last
    assert found["falling"] == ["descending", ["b", "c", "d", "a"]]
    assert found["claims"] == ["ascending", ["a", "b", "c", "d"]]
    assert found["other"] is None
    assert found["focused"]
    assert found["wide"] == 1100
    assert found["over"] == []


def test_a_table_that_does_not_fit_and_an_error_would_be_seen(text, tmp_path):
    planted = "document.querySelector('#other-verdicts').style.minWidth = '1200px'; return overflowing();"
    assert driven(text, planted, tmp_path, "--window-size=1100,900") == ["Verdicts: other-verdicts"]
    with pytest.raises(AssertionError, match="nothing is not defined"):
        driven(text, "setTimeout(() => nothing.here()); return null;", tmp_path)


def test_without_scripts_it_is_whole(text, tmp_path):
    """The page's own policy is tightened until the browser runs none of its scripts."""
    page = tmp_path / "report.html"
    page.write_text(text.replace("script-src 'unsafe-inline'", "script-src 'none'"))
    document, console = opened(page, tmp_path)
    assert len(console) == 1
    assert "inline script" in console[0]
    assert "<button" not in document
    assert document.count("<img ") == 5
    assert re.findall(r'<th scope="col"[^>]*>(\w+)', document)[:3] == ["quantity", "theory", "network"]
