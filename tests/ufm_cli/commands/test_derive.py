"""ufm derive: text that fits and lines up, LaTeX whose formulas parse, JSON that sympy reads back."""

import json
import re

import matplotlib
import pytest
import sympy as sp
from matplotlib.mathtext import MathTextParser

from ufm.derivations.symbolic import derive
from ufm_cli.main import main

matplotlib.use("agg")


def printed(capsys, *arguments: str) -> str:
    assert main(["derive", *arguments]) == 0
    text, errors = capsys.readouterr()
    assert errors == ""
    return text


def test_text_has_every_result_and_fits(capsys):
    lines = printed(capsys).splitlines()
    names = [line.split(",")[0] for line in lines if line and not line.startswith(" ")][1:]
    assert names == [item.name for item in derive()]
    assert max(map(len, lines)) <= 140
    assert "    x = (K + c)*(lH + lW)/K" in lines
    assert "    c = log((-K*s + s + 1)/s)" in lines
    assert any(line.startswith("    a_4 = 1") for line in lines)


@pytest.mark.parametrize(
    ("loss", "heading", "line"),
    [
        ("mse", "squared error", "    margin = -K*s + 1"),
        ("label-smoothing", "cross-entropy with smoothed labels", "    s = (1 - a)/K"),
        ("bce", "binary cross-entropy", "    other  = 2*s"),
    ],
)
def test_another_loss(capsys, tmp_path, loss, heading, line):
    """Text that fits, and what --json wrote, shown again."""
    text = printed(capsys, "--loss", loss, "--only", "scale", "threshold", "--json", str(tmp_path / "d.json"))
    lines = text.splitlines()
    assert lines[0] == f"The unconstrained feature model, balanced classes, {heading}."
    assert line in lines
    assert max(map(len, lines)) <= 140
    assert main(["show", str(tmp_path / "d.json")]) == 0
    assert capsys.readouterr().out == text
    assert printed(capsys, "--loss", loss, "--only", "threshold", "--format", "latex").count(r"\begin{align*}") > 0


def test_only_the_topics_asked_for(capsys):
    text = printed(capsys, "--only", "saddle", "threshold")
    assert "descent curvature" in text
    assert "origin turns" in text
    assert "etf" not in text


def test_progress_by_topic_and_by_result(monkeypatch):
    seen = []

    def track(label):
        return lambda items: (seen.append((label, len(list(items)))), items)[1]

    monkeypatch.setattr("ufm_cli.commands.derive.track", track)
    assert main(["derive", "--only", "scale", "saddle"]) == 0
    assert seen == [("derive", 2), ("write", len(derive("scale", "saddle")))]


def test_json(capsys, tmp_path):
    printed(capsys, "--only", "origin", "--json", str(tmp_path / "d.json"))
    found = json.loads((tmp_path / "d.json").read_text())
    assert found["command"] == "derive"
    assert [item["name"] for item in found["results"]] == [item.name for item in derive("origin")]
    assert "lW, lH, lb" in found["symbols"]
    for item, written in zip(derive("origin"), found["results"], strict=True):
        assert tuple(sp.sympify(value["srepr"]) for value in written["eigenvalues"]) == item.eigenvalues
        assert written["derivation"]
        assert written["source"]


@pytest.fixture(scope="module")
def document():
    """The whole LaTeX document."""
    return document_of("cross-entropy")


def document_of(loss: str) -> str:
    from ufm.derivations import SYMBOLS_OF
    from ufm_cli.commands.derive import _document

    return "\n".join(_document(SYMBOLS_OF[loss], derive(loss=loss), loss))


def test_latex_is_a_balanced_document(capsys, document):
    assert printed(capsys, "--only", "scale", "--format", "latex").startswith(r"\documentclass{article}")
    assert document.rstrip().endswith(r"\end{document}")
    stack = []
    for kind, name in re.findall(r"\\(begin|end)\{([a-z*]+)\}", document):
        if kind == "begin":
            stack.append(name)
        else:
            assert stack.pop() == name
    assert stack == []
    bare = re.sub(r"\\[{}\\]", "", document)
    depth = 0
    for letter in bare:
        depth += {"{": 1, "}": -1}.get(letter, 0)
        assert depth >= 0
    assert depth == 0


def test_latex_lines_parse(document):
    assert parsed(document) > 80


@pytest.mark.parametrize("loss", ["mse", "label-smoothing", "bce"])
def test_latex_lines_of_another_loss_parse(loss):
    assert parsed(document_of(loss)) > 10


def parsed(document: str) -> int:
    """Parse every line of every display but those with a matrix, by a parser that is not sympy's; count the sides."""
    parser, seen = MathTextParser("path"), 0
    for display in re.findall(r"\\begin\{align\*\}\n(.*?)\n\\end\{align\*\}", document, re.S):
        assert "\n\n" not in display
        for line in display.split(" \\\\\n"):
            assert line.count("&") == 1 or "matrix" in line
            if "matrix" not in line:
                # mathtext knows neither alignment nor \left\right across it: each side on its own.
                for side in filter(None, (part.strip(" =") for part in line.split("&"))):
                    parser.parse(f"${side}$")
                    seen += 1
    return seen


def test_latex_words_are_escaped(document):
    """Outside of mathematics no character that LaTeX would act on."""
    words = re.sub(r"\\begin\{align\*\}.*?\\end\{align\*\}", "", document.split(r"\begin{document}")[1], flags=re.S)
    words = re.sub(r"\$[^$]*\$", "", words)
    assert re.findall(r"(?<!\\)[_^&%#~$]", words) == []
