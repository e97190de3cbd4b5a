"""Results as tables: what Python prints fits a screen, what a notebook shows is sound HTML, pandas has the numbers."""

import math
from dataclasses import dataclass, replace
from xml.etree import ElementTree

import html5lib
import pandas
import pytest
import torch

import ufm
from ufm.results import Estimate, Result, Shown, Table, from_plain
from ufm.results.table import HEIGHT, WIDTH, html, mathml, text
from ufm.theorems.verification import Verdict, Verdicts

PROBLEM = ufm.Problem.balanced(num_classes=3, per_class=2, dim=3, lambda_w=5e-3, lambda_h=5e-3, lambda_b=1e-2)
MATH = "{http://www.w3.org/1998/Math/MathML}math"
CELL = "{http://www.w3.org/1999/xhtml}td"


@pytest.fixture(scope="module")
def results():
    point = ufm.global_minimizer(PROBLEM)
    return {
        "solution": ufm.minimize(PROBLEM, seed=0),
        "certificate": ufm.certify(PROBLEM, point),
        "bound": ufm.lower_bound(PROBLEM, point),
        "spectrum": ufm.spectrum(PROBLEM, point),
        "proof": ufm.prove(PROBLEM, point),
        "verdicts": ufm.verify(PROBLEM, starts=1),
        "atlas": ufm.explore(PROBLEM, until_quiet=20),
        "loss": ufm.check_loss(ufm.losses.Focal(2.0), verbose=False),
    }


NAMES = ("solution", "certificate", "bound", "spectrum", "proof", "verdicts", "atlas", "loss")


@pytest.mark.parametrize("name", NAMES)
def test_text_fits_a_screen(results, name):
    lines = repr(results[name]).splitlines()
    assert 2 < len(lines) <= HEIGHT
    assert max(map(len, lines)) <= WIDTH
    assert str(results[name]) == repr(results[name])


@pytest.mark.parametrize("name", NAMES)
def test_html_is_sound_and_has_every_row(results, name):
    found = results[name]._repr_html_()
    parser = html5lib.HTMLParser(strict=True)
    page = parser.parse(f"<!DOCTYPE html><title>one</title>{found}")
    table = results[name].as_table()
    assert len(list(page.iter(CELL))) == len(table.rows) * len(table.columns)


def test_notebook_shows_mathematics_as_mathml(results):
    page = html5lib.parse(results["certificate"]._repr_html_())
    shown = ["".join(one.itertext()) for one in page.iter(MATH)]
    assert len(shown) == len(results["certificate"].formulas)
    assert any("λ" in one for one in shown)


def test_pandas_has_the_unrounded_numbers(results):
    spectrum, frame = results["spectrum"].merged(), results["spectrum"].to_pandas()
    assert list(frame.columns) == ["eigenvalue", "multiplicity"]
    assert frame["eigenvalue"].tolist() == spectrum.values.tolist()
    assert frame["multiplicity"].sum() == PROBLEM.num_variables
    verdicts = results["verdicts"]
    frame = verdicts.to_pandas()
    assert frame["worst"].dropna().tolist() == [v.worst for v in verdicts if v.worst is not None]
    assert len(results["atlas"].to_pandas()) == len(results["atlas"].points)
    assert isinstance(frame, pandas.DataFrame)


def test_verdicts_are_a_list_and_say_what_fails(results):
    verdicts = results["verdicts"]
    assert isinstance(verdicts, list)
    assert len(verdicts) > 5
    broken = Verdicts([*verdicts, replace(verdicts[0], claim="planted", status=ufm.Status.FAILS, note="not so")])
    assert "planted fails: not so" in repr(broken)
    assert "1 fails" in repr(broken)
    assert "fails" not in repr(verdicts).splitlines()[0]
    assert from_plain(list[Verdict], [v.plain() for v in verdicts]) == verdicts


def test_long_tables_are_cut_in_the_middle_and_say_so():
    table = Table("many", ("i", "square"), [(i, i * i) for i in range(1000)])
    lines = text(table).splitlines()
    assert len(lines) == HEIGHT
    assert lines[2].split() == ["0", "0"]
    assert lines[-1].split() == ["999", "998001"]
    left = next(line for line in lines if "more" in line)
    shown = [line for line in lines[2:] if "more" not in line]
    assert int(left.split()[1]) + len(shown) == 1000
    assert "... 801 more" in html(table)


def test_wide_tables_keep_their_first_columns():
    table = Table("t" * 500, ("name", "long", "later"), [("a", "b" * 300, "c" * 300)])
    lines = text(table).splitlines()
    assert max(map(len, lines)) <= WIDTH
    assert lines[1].split() == ["name", "long"]


def test_a_long_first_column_leaves_room_for_the_second():
    long, short = "model.encoder." * 20, "layer1"
    lines = text(Table("layers", ("name", "nc1", "nc2"), [(long, 0.25, 0.5), (short, 0.75, 1.0)])).splitlines()
    assert max(map(len, lines)) <= WIDTH
    assert [line.split()[1] for line in lines[1:]] == ["nc1", "0.25", "0.75"]


def test_text_is_escaped_and_cells_say_what_there_is_not():
    table = Table("<script>", ("a & b", "x"), [("<b>", math.nan), ("none", None), ("drawn", Estimate(0.5, 0.01))])
    found = html(table)
    assert "<script>" not in found
    assert "&lt;b&gt;" in found
    assert "a &amp; b" in found
    assert "not defined" in found
    assert "0.5 ± 0.01" in found
    assert ">-<" in found


def test_a_field_that_is_large_is_named_not_printed():
    @dataclass(frozen=True, eq=False)
    class Large(Shown, Result):
        values: torch.Tensor
        point: ufm.Point
        few: tuple[float, ...]
        many: list[int]

    point = ufm.Point(torch.zeros(2, 3), torch.zeros(4, 3), torch.zeros(2))
    said = repr(Large(torch.zeros(1000, 1000), point, (1.0, 2.0), list(range(99))))
    assert "float32 of shape (1000, 1000)" in said
    assert "Point of W (2, 3), H (4, 3), b (2,)" in said
    assert "(1.0, 2.0)" in said
    assert "99 entries" in said


def test_mathml_is_xml():
    root = ElementTree.fromstring(mathml(r"\frac{1}{K} \sum_k \lVert h_k \rVert^2"))
    assert root.tag == MATH
    assert root.find(".//{*}mfrac") is not None


def test_pandas_that_is_missing_is_named(results, monkeypatch):
    monkeypatch.setattr("ufm.results.table.find_spec", lambda name: None)
    with pytest.raises(ufm.InputError, match="pip install pandas"):
        results["spectrum"].to_pandas()
