"""LaTeX as MathML Core: what browsers would show, said of the tree; what cannot be shown is refused."""

import re
from xml.etree import ElementTree

import pytest

CORE = {  # the elements of MathML Core, https://www.w3.org/TR/mathml-core/
    *("math", "maction", "annotation", "annotation-xml", "menclose", "merror", "mfrac", "mi", "mmultiscripts", "mn"),
    *("mo", "mover", "mpadded", "mphantom", "mprescripts", "mroot", "mrow", "ms", "mspace", "msqrt", "mstyle", "msub"),
    *("msubsup", "msup", "mtable", "mtd", "mtext", "mtr", "munder", "munderover", "semantics"),
}


def tree(latex: str, display: bool = False) -> ElementTree.Element:
    from mathml import mathml

    return ElementTree.fromstring(mathml(latex, display))


def shape(element: ElementTree.Element) -> str:
    """The tree in a line: msup(mi W, mn 2); rows of one are what is in them."""
    children = [shape(child) for child in element]
    if element.tag in ("math", "mrow") and len(children) == 1:
        return children[0]
    inside = ", ".join(children) if children else element.text or ""
    return f"{element.tag}({inside})" if children else f"{element.tag} {inside}".strip()


SHAPES = {
    r"\tilde G": "mover(mi G, mo ˜)",
    r"\lVert W \rVert_F^2": "msubsup(mrow(mo ‖, mi W, mo ‖), mi F, mn 2)",
    r"\|W\|": "mrow(mo ‖, mi W, mo ‖)",
    r"\mathbb{R}^d": "msup(mi ℝ, mi d)",
    r"\operatorname{rank} W": "mrow(mi rank, mspace, mi W)",
    r"\operatorname{rank}(W)": "mrow(mi rank, mo (, mi W, mo ))",
    r"2 \log x": "mrow(mn 2, mspace, mi log, mspace, mi x)",
    r"\mathbf{1}": "mn 𝟏",
    r"\boldsymbol{\lambda}": "mi 𝝀",
    r"\mathrm{CE}": "mi CE",
    r"A \succeq 0": "mrow(mi A, mo ⪰, mn 0)",
    r"a \sim b": "mrow(mi a, mo ∼, mi b)",
    r"\min_W f": "mrow(munder(mo min, mi W), mspace, mi f)",
    r"\lVert \sum_i g_i \rVert": "mrow(mo ‖, munder(mo ∑, mi i), msub(mi g, mi i), mo ‖)",
    r"\arg\min_W f": "mrow(mi arg, mspace, munder(mo min, mi W), mspace, mi f)",
    r"G^\top": "msup(mi G, mi ⊤)",
    r"n \to \infty": "mrow(mi n, mo →, mi ∞)",
    r"\langle a, b \rangle": "mrow(mo ⟨, mi a, mo ,, mi b, mo ⟩)",
    r"\bigl\lVert x \bigr\rVert": "mrow(mo ‖, mi x, mo ‖)",
    r"\begin{aligned} a &= b \\ c &= d \end{aligned}": (
        "mtable(mtr(mtd(mi a), mtd(mi, mo =, mi b)), mtr(mtd(mi c), mtd(mi, mo =, mi d)))"
    ),
    r"\begin{gathered} a \\ b \end{gathered}": "mtable(mtr(mtd(mi a)), mtr(mtd(mi b)))",
    r"1{,}000": "mrow(mn 1, mtext ,, mn 000)",
}


@pytest.mark.parametrize("latex", SHAPES)
def test_a_formula_has_the_tree_that_browsers_show(latex):
    assert shape(tree(latex)) == SHAPES[latex]


def test_attributes_are_those_that_browsers_read():
    (accent,) = tree(r"\tilde G").iter("mover")
    assert accent.get("accent") == "true"
    for bar in tree(r"\|W\|").iter("mo"):
        assert (bar.get("lspace"), bar.get("stretchy")) == ("0", "false")
    (least,) = (element for element in tree(r"\min_W f", display=True).iter("mo") if element.text == "min")
    assert least.get("movablelimits") == "true"
    assert tree("x", display=True).get("display") == "block"
    signs = [sign.get("form") for sign in tree(r"a - b = -(c) - (-d)").iter("mo") if sign.text == "−"]
    assert signs == [None, "prefix", None, "prefix"]
    (product,) = (element for element in tree(r"\Pi x").iter("mi") if element.text == "Π")
    assert product.get("mathvariant") == "normal"
    (thin,) = tree(r"W^{\!\top}").iter("mspace")
    assert re.fullmatch(r"-0\.\d+em", thin.get("width"))


WRONG = {
    r"\nosuchcommand x": "nosuchcommand",
    r"\frac{1}{2": "braces",
    r"a_b_c": "DoubleSubscripts",
    r"\left( x": "Missing",
    r"\begin{nosuch} x \end{nosuch}": "nosuch",
    r"a & b": "&",
}


@pytest.mark.parametrize("latex", WRONG)
def test_what_cannot_be_shown_is_refused(latex):
    with pytest.raises(ValueError, match=WRONG[latex]):
        tree(latex)


@pytest.mark.parametrize("latex", [latex for latex in SHAPES if latex])
def test_only_elements_of_the_core_are_written(latex):
    assert {element.tag for element in tree(latex, display=True).iter()} <= CORE
