"""The house style: the same numbers give the same bytes in any process, text stays text, nothing global changes."""

import ast
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import matplotlib
import pytest
from matplotlib.figure import Figure

import figures
from figures.drawing.drawing import FORMATS, STYLE, Drawing, house_style, new_figure
from tests.runs import like
from validate import Run

ROOM = Path(figures.__file__).parent
OKABE_ITO = {"000000", "E69F00", "56B4E9", "009E73", "F0E442", "0072B2", "D55E00", "CC79A7"}

SAVE_EVERYTHING = """
import hashlib, sys
from pathlib import Path
import ufm
from figures.runs.comparison import compare_runs
from figures.theory.convergence import convergence_figure
from figures.theory.film import filmstrip_figure, write_animation
from ufm.solvers.flow import gradient_flow
from ufm.solvers.minimize import random_point
from validate import Run

folder, *runs = map(Path, sys.argv[1:])
paths = compare_runs([Run.open(run) for run in runs], folder, only=["collapse", "bounds"])
problem = ufm.Problem.balanced(3, 2, 2, lambda_w=5e-3, lambda_h=5e-3, lambda_b=1e-2)
solution = ufm.minimize(problem)
certificate = ufm.certify(problem, solution.point)
paths += convergence_figure(problem, [solution], [certificate], [0]).save(folder, "convergence")
frames = gradient_flow(problem, random_point(problem), 4)
paths += filmstrip_figure(problem, frames).save(folder, "film")
paths.append(write_animation(problem, frames, folder / "film.gif"))
assert "matplotlib.pyplot" not in sys.modules
for path in paths:
    print(path.name, hashlib.sha256(path.read_bytes()).hexdigest())
"""


def saved(folder: Path, runs: list[Run], hash_seed: str) -> dict[str, str]:
    """The digest of every file that a process of its own writes."""
    command = [sys.executable, "-c", SAVE_EVERYTHING, str(folder), *(str(run.path) for run in runs)]
    answer = subprocess.run(
        command,
        cwd=ROOM.parent,
        env=os.environ | {"PYTHONHASHSEED": hash_seed, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(line.split() for line in answer.stdout.splitlines())


def test_the_same_numbers_give_the_same_bytes_in_two_processes(tmp_path, trained):
    runs = [trained, like(trained, tmp_path / "other", 0.5, optimizer="adam")]
    first, second = (saved(tmp_path / seed, runs, seed) for seed in "12")
    assert {name.rsplit(".")[-1] for name in first} == {*FORMATS, "csv", "gif"}
    assert len(first) == 4 * 4 + 1
    assert first == second


@pytest.mark.parametrize("file", sorted(ROOM.glob("*.py")), ids=lambda file: file.name)
def test_no_module_imports_pyplot(file):
    imported = {
        name
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in [getattr(node, "module", None) or "", *(alias.name for alias in node.names)]
    }
    assert not {name for name in imported if "pyplot" in name or "pylab" in name}


def test_making_and_saving_leaves_the_settings_alone(tmp_path):
    before = dict(matplotlib.rcParams)
    with house_style():
        figure = new_figure(3.3, 2.0)
        figure.subplots().plot([1, 2])
    Drawing(figure, "", ["x"], [[1]]).save(tmp_path, "x")
    assert dict(matplotlib.rcParams) == before


def test_a_date_would_show(tmp_path):
    """The check on bytes has something to catch: matplotlib's own metadata carry the time."""
    figure = Figure()
    files = {}
    for when in ("1000000000", "1000000001"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SOURCE_DATE_EPOCH", when)
            figure.savefig(tmp_path / "x.pdf")
            files[when] = (tmp_path / "x.pdf").read_bytes()
    assert len(set(files.values())) == 2


def test_a_random_id_would_show():
    """The check on bytes has something to catch: without the fixed salt the ids of an SVG are random."""
    with house_style():
        figure = new_figure(3.3, 2.0)
        figure.subplots().plot([1, 2])
        fixed, free = (_svgs(figure, salt) for salt in ("ufm", None))
    assert fixed[0] == fixed[1]
    assert free[0] != free[1]


def _svgs(figure: Figure, salt: str | None) -> list[bytes]:
    files = [io.BytesIO(), io.BytesIO()]
    with matplotlib.rc_context({"svg.hashsalt": salt}):
        for file in files:
            figure.savefig(file, format="svg", metadata=FORMATS["svg"])
    return [file.getvalue() for file in files]


def test_text_stays_text(tmp_path):
    with house_style():
        figure = new_figure(3.3, 2.0)
        figure.text(0.1, 0.5, "legible words")
    svg, pdf, *_ = Drawing(figure, "", ["x"], [[1]]).save(tmp_path, "x")
    assert "legible words</text>" in svg.read_text()
    assert b"/Type0" in pdf.read_bytes()
    assert b"/Type3" not in pdf.read_bytes()


def test_colours_are_okabe_and_itos_without_yellow():
    assert set(re.findall(r'"([0-9A-F]{6})"', STYLE.read_text())) == OKABE_ITO - {"F0E442"}


@pytest.mark.parametrize("name", figures.__all__)
def test_the_public_names_are_there(name):
    assert callable(getattr(figures, name))
    assert name in figures.__doc__ or name == "Drawing"
