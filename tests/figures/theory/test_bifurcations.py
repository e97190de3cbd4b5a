"""The bifurcation figure shows every branch, event and count, and names what fails."""

from dataclasses import replace

import pytest

from figures.theory.bifurcations import bifurcation_figure
from tests.figures.looks import require_readable
from tests.ufm.bifurcations.diagrams import made


@pytest.mark.parametrize("name", ["K = 3, no bias", "K = 4, lambda_b", "K = 4, twice"])
def test_the_figure_shows_every_branch_and_event(name):
    found = made(name)
    drawing = bifurcation_figure(found)
    require_readable(drawing)
    left, right = drawing.figure.axes
    shown = [branch for branch in found.branches if len(branch.partition) > 1]
    assert len(left.lines) == len(shown) + len(found.events)
    for line, branch in zip(left.lines, shown, strict=False):
        assert line.get_linestyle() == ("-" if branch.index == 0 else "--")
        assert list(line.get_xdata()) == list(branch.t)
    assert {str(count.points) for count in found.counts} <= {text.get_text() for text in right.texts}
    assert f"{found.events[0].t:.7f}" in drawing.caption
    assert len(drawing.rows) == sum(len(branch.t) for branch in found.branches)


def test_a_sum_that_fails_is_said():
    found = made("K = 3, no bias")
    wrong = replace(found, counts=(replace(found.counts[0], euler=3), *found.counts[1:]))
    assert "1 of 2 Euler sums are not 1" in bifurcation_figure(wrong).caption
