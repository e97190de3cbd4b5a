"""The site's pages of the gallery show drawings with their captions, and link the sections that they cite."""

import pytest

import figures
from tests.docs.sites import EXTENSIONS

pytest.importorskip("sphinx_gallery")


@pytest.fixture(autouse=True)
def extensions(monkeypatch):
    monkeypatch.syspath_prepend(EXTENSIONS)


@pytest.fixture
def drawing():
    with figures.house_style():
        figure = figures.new_figure(3.3, 1.0)
        figure.subplots().plot([0, 1])
    return figures.Drawing(figure, "f over lambda_ and |W|*", ("x",), [(0,)])


def shown(code, last, folder):
    from drawings import scraper

    variables = {"example_globals": {"___": last}, "image_path_iterator": iter([str(folder / "page_001.png")])}
    return scraper(("code", code, 1), variables, {"src_dir": str(folder)})


def test_what_a_block_ends_with_is_shown_above_its_caption(drawing, tmp_path):
    text = shown("a = 1\ndrawing\n", drawing, tmp_path)
    assert (tmp_path / "page_001.png").read_bytes().startswith(b"\x89PNG")
    assert "page_001.png" in text
    assert text.rstrip().endswith(r"f over lambda\_ and \|W\|\*")


@pytest.mark.parametrize("code", ["", "drawing = draw()\n", "for a in b:\n    a\n"])
def test_a_block_that_ends_otherwise_shows_nothing(code, drawing, tmp_path):
    assert shown(code, drawing, tmp_path) == ""
    assert not list(tmp_path.iterdir())


def test_a_value_that_is_no_drawing_shows_nothing(tmp_path):
    assert shown("value\n", 3, tmp_path) == ""


def test_sections_become_links_wherever_a_line_ends():
    from drawings import _with_links

    source = ["as in (docs/theory, sections 4.2\nand 99.9), and docs/theory,\nsection 5.1."]
    _with_links(None, "gallery/plot_some", source)
    assert ":ref:`4.2 <theory-4-2>`" in source[0]
    assert ":ref:`5.1 <theory-5-1>`" in source[0]
    assert "99.9)" in source[0]
    other = ["docs/theory, section 4.2"]
    _with_links(None, "guide/some", other)
    assert other == ["docs/theory, section 4.2"]
