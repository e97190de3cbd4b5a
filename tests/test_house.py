"""The front door as a newcomer meets it: what README and Makefile promise is there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import networks
import ufm
import validate

HOUSE = Path(__file__).parent.parent
README = (HOUSE / "README.md").read_text()


def test_readme_opens_with_the_two_commands():
    lines = [line for line in README.splitlines() if line.strip()]
    assert lines[1].split("#")[0].split() == ["make", "verify"]
    assert lines[2].split("#")[0].split() == ["make", "test"]


PAGES = [HOUSE / "README.md", *sorted((HOUSE / "docs").glob("*.md")), *sorted((HOUSE / "docs" / "guide").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_names_that_pages_call_exist(page):
    for module, name in re.findall(r"\b(networks|validate|ufm)\.([A-Za-z_]+)\(", page.read_text()):
        assert hasattr({"networks": networks, "validate": validate, "ufm": ufm}[module], name), name


FOLDERS = ["ufm", "validate", "networks", "figures", "ufm_paper", "ufm_cli", "ufm_names"]


@pytest.mark.parametrize("folder", [*FOLDERS, "benchmarks", "examples", "docs/_ext"])
def test_nothing_is_pickled(folder):
    for file in (HOUSE / folder).rglob("*.py"):
        assert not re.search(r"torch\.(save|load)\(|import pickle|np\.save", file.read_text()), file


PLACES = re.compile(r"(?<![\w.:/])/(?:home|root|work|tmp|Users|mnt|opt)/")


def test_the_record_names_no_place_of_a_machine():
    files = [file for file in (HOUSE / "results").rglob("*") if file.suffix in (".csv", ".json", ".md", ".txt")]
    assert len(files) > 50
    assert not [file for file in files if PLACES.search(file.read_text())]
    assert PLACES.search("mnist-sgd,mnist32,/home/me/data,1.0")


def test_contributing_fits_a_screen():
    assert len((HOUSE / "CONTRIBUTING.md").read_text().splitlines()) <= 40


MISTYPED = """
import ufm
import validate

problem = ufm.Problem.balanced(3, 2, 2, lambda_w=5e-3, lambda_h=5e-3)
ufm.minimize(problem)
ufm.minimize("no problem")
ufm.spectrum(problem).index + 1
validate.compare(ufm.global_minimizer(problem), lambda_v=5e-3)
ufm.spectrum(problem).inertia.index + 1
"""


def test_the_type_checker_reads_the_rooms_as_their_users_do(tmp_path):
    """Three wrong uses are reported, in their lines, and no right one: the packages' own types are seen."""
    file = tmp_path / "mistyped.py"
    file.write_text(MISTYPED)
    settings = ["--config-file", str(HOUSE / "pyproject.toml")]  # make test has just filled its cache
    mypy = subprocess.run(
        [sys.executable, "-m", "mypy", *settings, str(file)], cwd=HOUSE, capture_output=True, text=True
    )
    found = [re.search(r"mistyped.py:(\d+): error: .*\[(.*)\]$", line) for line in mypy.stdout.splitlines()]
    errors = [(MISTYPED.splitlines()[int(line[1]) - 1].split("(")[0], line[2]) for line in found if line]
    assert mypy.returncode == 1, mypy.stdout + mypy.stderr
    assert errors == [("ufm.minimize", "arg-type"), ("ufm.spectrum", "operator"), ("validate.compare", "call-arg")]


def test_make_test_runs_the_type_checker():
    assert "\t$(BIN)/python -m mypy\n" in (HOUSE / "Makefile").read_text()
