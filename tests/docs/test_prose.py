"""Docstrings as reStructuredText: docutils reads them without complaint; no letter is lost, or taken for markup."""

import inspect
import re

import pytest
from docutils import nodes
from docutils.core import publish_doctree


def read(docstring: str) -> nodes.document:
    """What docutils makes of a docstring."""
    from prose import rst

    lines = inspect.cleandoc(docstring).splitlines()
    return publish_doctree("\n".join(rst(lines)), settings_overrides={"report_level": 1, "warning_stream": False})


def complaints(tree: nodes.document) -> list[str]:
    return [message.astext() for message in tree.findall(nodes.system_message)]


def letters(text: str) -> str:
    """All but blanks, the marks of code and emphasis, and those of lists."""
    without = re.sub(r"^\s*(?:\d+\.|[*-]) ", "", text, flags=re.M)
    return re.sub(r"[\s`*]", "", without)


def docstrings() -> dict[str, str]:
    from public_names import public

    named = {name: inspect.getdoc(found) for name, found in public() if callable(found)}
    return {name: text for name, text in named.items() if text}


def test_every_public_docstring_is_read_whole():
    found = docstrings()
    assert len(found) > 150
    for name, text in found.items():
        tree = read(text)
        assert not complaints(tree), name
        assert letters(tree.astext()).replace(",", "") == letters(text).replace(",", ""), name


KINDS = {  # a block, and what docutils makes of it
    "prose": ("The norm |W|^2 of n_k rows, W* and `code`_x.", [nodes.paragraph]),
    "a formula": ("It is\n\n    f(W) = |W|_F^2/2\n\nhere.", [nodes.paragraph, nodes.literal_block, nodes.paragraph]),
    "a formula in prose": ("With\n    f = g\nit holds.", [nodes.paragraph, nodes.literal_block, nodes.paragraph]),
    "a table": ("tol    how small\nfirst, second   what\n       goes on", [nodes.definition_list]),
    "a table and prose": ("tol    how small\nRaises InputError.", [nodes.definition_list, nodes.paragraph]),
    "two rows in a line": ("seed   of it        file   where it is", [nodes.definition_list]),
    "a list": ("1. one\n2. two", [nodes.enumerated_list]),
    "an example": (">>> 1 + 1\n2", [nodes.doctest_block]),
    "what looks like a directive": (".. note:: of it", [nodes.paragraph]),
    "what looks like a list": ("a. is not b", [nodes.paragraph]),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_block_is_what_it_looks_like(kind):
    text, wanted = KINDS[kind]
    tree = read(text)
    assert list(map(type, tree.children)) == wanted
    assert not complaints(tree)


def test_rows_are_told_apart():
    tree = read("seed   of it        file   where it is\ntwo, three   both\nsaid of it      more than names")
    terms = [[literal.astext() for literal in term.findall(nodes.literal)] for term in tree.findall(nodes.term)]
    assert terms == [["seed"], ["file"], ["two", "three"], []]


def test_code_and_emphasis_are_marked_and_nothing_else():
    (paragraph,) = read("*Dual.* With l*(g) and H* of `ufm.certify(point)`s, |W|_* and <a, b>_c.").children
    assert [e.astext() for e in paragraph.findall(nodes.emphasis)] == ["Dual."]
    assert [e.astext() for e in paragraph.findall(nodes.literal)] == ["ufm.certify(point)"]
    assert not list(paragraph.findall(nodes.reference))
    assert paragraph.astext() == "Dual. With l*(g) and H* of ufm.certify(point)s, |W|_* and <a, b>_c."


def test_markup_that_is_not_escaped_would_be_seen():
    assert complaints(publish_doctree("The norm |W|^2 and a `b", settings_overrides={"warning_stream": False}))
