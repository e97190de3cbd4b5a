"""Axes show what differs, and not the rounding of what does not."""

from matplotlib.figure import Figure

from figures.drawing.scales import level_axis


def limits(*values: float) -> tuple[tuple[float, float], tuple[float, float]]:
    """(before, after) of a linear axis through these values."""
    axes = Figure().add_subplot()
    axes.plot(range(len(values)), values)
    before = axes.get_ylim()
    level_axis(axes, values)
    return before, axes.get_ylim()


def test_rounding_about_one_level_does_not_fill_a_panel():
    low, high = limits(3.1622776, 3.1622778, 3.1622777)[1]
    assert low < 2.9 < 3.4 < high


def test_what_differs_and_a_level_of_0_keep_their_axis():
    for values in ((3.1, 3.2), (3.1, 3.1001), (0.0, 0.0)):
        before, after = limits(*values)
        assert before == after
