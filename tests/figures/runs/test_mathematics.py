"""The mathematics of the report is MathML: of every theorem's statement, and of what a run minimised."""

import html
import re
import xml.etree.ElementTree as ElementTree

import pytest

import ufm.theorems.registry as registry
from figures.runs.mathematics import FRAGMENTS, meaning, objective, typeset
from validate.metrics.formulas import FORMULAS
from validate.runs.minimised import HeadFacts, LossFacts, Minimised
from validate.theory.compare import MEANINGS, Row

PLAIN = re.compile(r"[<>=^_~|*]|sqrt|\blambda\b|\b(lW|lH|lb)\b")  # mathematics as it is typed


def theorems():
    """Every theorem of the registry."""
    found = []
    for value in vars(registry).values():
        lists = value.values() if isinstance(value, dict) else [value]
        found += [one for many in lists if isinstance(many, tuple) for one in many if hasattr(one, "statement")]
    return found


def words(typed: str) -> str:
    """What is left without the MathML; words that an = stands between are prose."""
    prose = re.sub(r"\b[A-Za-z]{3,} = [a-z]{3,}\b", "", re.sub(r"<math.*?</math>", "", typed))
    return re.sub(r"&lt;|&gt;", "<", prose)


def test_every_statement_is_typeset_and_no_mathematics_stays_as_typed():
    statements = {theorem.statement for theorem in theorems()}
    assert len(statements) > 40
    assert [one for one in statements if PLAIN.search(words(typeset(one)))] == []
    assert PLAIN.search(words(typeset("h_q <= 3 sqrt(lW)")))  # which no fragment has


def test_no_fragment_is_idle():
    said = "\n".join([*(theorem.statement for theorem in theorems()), *MEANINGS.values()])
    assert [fragment for fragment in FRAGMENTS if fragment not in said] == []


@pytest.mark.parametrize("fragment", FRAGMENTS)
def test_a_fragment_is_one_formula(fragment):
    typed = typeset(fragment)
    assert words(typed) == ""
    root = ElementTree.fromstring(typed)
    assert root.tag.endswith("math")
    letters = set("".join(root.itertext())) & set("KLWHUVGDBN")
    assert letters <= set(fragment) | ({"W", "H"} if "l" in fragment else set()) | (
        {"K"} if "1/K" in fragment else set()
    )


def test_what_is_around_a_fragment_stays_and_is_escaped():
    assert typeset("a <b> & 1^T W = 0, so").startswith("a &lt;b&gt; &amp; <math")
    assert typeset("a <b> & 1^T W = 0, so").endswith("</math>, so")


@pytest.mark.parametrize("name", MEANINGS)
def test_what_a_row_means_has_one_formula_at_most(name):
    said = meaning(Row(name, MEANINGS[name], 1.0, 1.0))
    assert said.count("<math") == (name in FORMULAS)
    assert not re.search(r"[|]|sqrt", words(said))


def test_the_objective_has_its_terms_and_their_numbers():
    minimised = Minimised(LossFacts("cross-entropy"), HeadFacts(), 5e-4, 1e-5, None, "balance")
    text = html.unescape(re.sub(r"<[^>]*>", "", objective(minimised)))
    assert "cross-entropy" in text
    assert "= 0.0005" in text
    assert "= 1e-05" in text
    assert "implied by balance" in text
    assert text.count("‖") == 4  # |W| and |H|, and no |b|
