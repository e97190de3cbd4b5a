"""The page in a real browser: nothing on its console, tables that sort by click and keyboard, whole without scripts."""

import json
import re
import shutil
import subprocess

import pytest

from figures.runs.report import write_report
from tests.cases import PROBLEMS
from ufm.storage.files import write_json
from validate import Run

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
BROWSER = next(filter(None, map(shutil.which, NAMES)), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason=f"no Chromium here (looked for {', '.join(NAMES)})")

WORST = {"b": 2e-3, "a": None, "d": -1.0, "c": 1e-5}
CLICKS = """
<script>
const table = document.querySelector("#other-verdicts");
const heading = (i) => table.tHead.rows[0].cells[i];
const press = (i) => { heading(i).querySelector("button").click(); return state(i); };
const claims = () => [...table.tBodies[0].rows].map((row) => row.cells[0].textContent);
const state = (i) => [heading(i).getAttribute("aria-sort"), claims()];
const before = state(3);
heading(3).querySelector("button").focus();
const found = {
  before, rising: press(3), falling: press(3), claims: press(0), other: state(3)[0],
  focused: document.activeElement === heading(3).querySelector("button"),
};
const output = Object.assign(document.createElement("output"), { id: "found", textContent: JSON.stringify(found) });
document.body.append(output);
</script></body>"""


def opened(file, folder, *flags) -> tuple[str, list[str]]:
    """(the document as the browser has it, the lines of its console)."""
    profile = f"--user-data-dir={folder / 'profile'}"
    quiet = ("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-extensions", profile)
    command = [BROWSER, *quiet, "--enable-logging=stderr", "--dump-dom", *flags, file.as_uri()]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return answer.stdout, [line for line in answer.stderr.splitlines() if "CONSOLE" in line]


@pytest.fixture(scope="module")
def text(trained, tmp_path_factory):
    """A report with four verdicts."""
    folder = tmp_path_factory.mktemp("report")
    shutil.copytree(trained.path, folder / "run")
    verdicts = [
        {"claim": name, "statement": "", "source": "", "status": "holds", "worst": worst, "tolerance": 1.0, "note": ""}
        for name, worst in WORST.items()
    ]
    write_json(folder / "v.json", {"problem": PROBLEMS["balanced"].settings(), "verdicts": verdicts})
    return write_report(Run.open(folder / "run"), folder / "v.json").read_text()


@pytest.fixture
def page(text, tmp_path):
    """The report as a file, to be spoiled."""
    file = tmp_path / "report.html"
    file.write_text(text)
    return file


def test_tables_sort_and_the_console_is_silent(page, tmp_path):
    page.write_text(page.read_text().replace("</body>", CLICKS))
    document, console = opened(page, tmp_path)
    assert console == []
    found = json.loads(re.search(r'<output id="found">(.*?)</output>', document).group(1))
    assert found["before"] == [None, ["b", "a", "d", "c"]]
    assert found["rising"] == ["ascending", ["d", "c", "b", "a"]]  # by number; without a value: last
    assert found["falling"] == ["descending", ["b", "c", "d", "a"]]
    assert found["claims"] == ["ascending", ["a", "b", "c", "d"]]
    assert found["other"] is None
    assert found["focused"]


def test_an_error_would_be_seen(page, tmp_path):
    page.write_text(page.read_text().replace("</body>", "<script>nothing.here();</script></body>"))
    _, console = opened(page, tmp_path)
    assert len(console) == 1
    assert "nothing is not defined" in console[0]


def test_without_scripts_it_is_whole(page, tmp_path):
    """The page's own policy is tightened until the browser runs none of its scripts."""
    page.write_text(page.read_text().replace("script-src 'unsafe-inline'", "script-src 'none'"))
    document, console = opened(page, tmp_path)
    assert len(console) == 1
    assert "inline script" in console[0]
    assert "<button" not in document
    assert document.count("<img ") == 5
    assert re.findall(r'<th scope="col"[^>]*>(\w+)', document)[:3] == ["claim", "statement", "status"]
