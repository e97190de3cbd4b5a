"""The notebooks are the gallery's scripts, and run from top to bottom."""

import ast
import importlib.util
import json

import pytest

from tests.examples.running import EXAMPLES

MAKE = EXAMPLES / "notebooks" / "make.py"
NOTEBOOKS = sorted((EXAMPLES / "notebooks").glob("*.ipynb"))


def _loaded():
    spec = importlib.util.spec_from_file_location("make", MAKE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


make = _loaded()


def codes(notebook):
    return ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]


def statements(text):
    """What a script does, without its texts and its layout."""
    return [ast.dump(node) for node in ast.parse(text).body]


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_a_notebook_is_its_script(file):
    """Its code says the same, and the file is what make.py writes."""
    text = file.read_text(encoding="utf-8")
    script = (EXAMPLES / f"{file.stem}.py").read_text(encoding="utf-8")
    assert statements("\n".join(codes(json.loads(text)))) == statements(script)[1:]
    assert text == make.written(file.stem)


def test_there_is_a_notebook_for_each_script_that_is_named():
    assert {file.stem for file in NOTEBOOKS} == set(make.SCRIPTS)
    assert len(NOTEBOOKS) == 2


def test_a_changed_script_is_caught():
    script = (EXAMPLES / "plot_label_smoothing.py").read_text(encoding="utf-8")
    changed = script.replace("CLASSES, PER_CLASS, POINTS = 10,", "CLASSES, PER_CLASS, POINTS = 11,")
    assert changed != script
    assert statements("\n".join(codes(make.notebook(changed)))) != statements(script)[1:]


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_a_notebook_runs_from_top_to_bottom(file):
    """Cell by cell in a namespace of its own; what a cell ends with shows itself, and the last is a picture."""
    namespace, shown = {"__name__": "__main__"}, None
    for source in codes(json.loads(file.read_text(encoding="utf-8"))):
        *body, last = ast.parse(source).body
        shown = None
        if isinstance(last, ast.Expr):
            exec(compile(ast.Module(body, []), file.name, "exec"), namespace)
            shown = eval(compile(ast.Expression(last.value), file.name, "eval"), namespace)
        else:
            exec(compile(ast.Module([*body, last], []), file.name, "exec"), namespace)
    assert shown._repr_png_().startswith(b"\x89PNG")


def test_texts_become_markdown():
    text = "Frames\n======\n\nIn ``W`` see :math:`K \\ge\n4`:\n\n.. math:: c = 1\n"
    assert make.in_markdown(text) == "# Frames\n\nIn `W` see $K \\ge\n4$:\n\n$$c = 1$$\n"


def test_an_unknown_citation_is_refused():
    with pytest.raises(KeyError, match="nobody2021nothing"):
        make.cited("nobody2021nothing")
