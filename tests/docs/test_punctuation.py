"""What touches a formula stays on its line, and nothing of the text is lost or moved."""

import pytest
from docutils import nodes


def row(*parts: str) -> nodes.paragraph:
    """A paragraph of texts and of formulas, which are between dollars."""
    made = [nodes.math("", part.strip("$")) if part.startswith("$") else nodes.Text(part) for part in parts]
    return nodes.paragraph("", "", *made)


def unbroken(paragraph: nodes.paragraph) -> list[str]:
    """What is in the spans that do not break, once the formulas of a paragraph are kept."""
    from punctuation import keep

    for formula in list(paragraph.findall(nodes.math)):
        keep(formula)
    return [span.astext() for span in paragraph.findall(nodes.inline) if "unbroken" in span["classes"]]


KEPT = {
    ("a bracket (", "$x$", "), a rank-", "$r$", " point of ", "$y$", "."): ["(x),", "rank-r", "y."],
    ("with ", "$x$", " alone"): [],
    ("at a line's end\n", "$x$", ", and"): ["x,"],
    ("$x$",): [],
    ("$x$", "/", "$y$", "s"): ["x/", "ys"],
    ("one (", "$x$", "), another (", "$y$", "), a third (", "$z$", ")"): ["(x),", "(y),", "(z)"],
}


@pytest.mark.parametrize("parts", KEPT)
def test_what_touches_a_formula_is_kept_with_it(parts):
    paragraph = row(*parts)
    before = paragraph.astext()
    assert unbroken(paragraph) == KEPT[parts]
    assert paragraph.astext() == before


def test_equal_texts_are_told_apart():
    """The first "(" is of something else: it stays where it is."""
    paragraph = nodes.paragraph("", "", nodes.Text("("), nodes.literal("", "f"), nodes.Text("("), nodes.math("", "x"))
    assert unbroken(paragraph) == ["(x"]
    assert paragraph.astext() == "(f(x"
