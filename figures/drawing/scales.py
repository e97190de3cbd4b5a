"""Axes whose numbers can be read: logarithmic ones, one of errors that goes on to 0, and one of a single level."""

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter

SHORT = 100  # an axis that spans less than this factor has ticks within its decades
TICK = 0.045  # of a panel's width: a digit of a tick's number
LEVEL = 1e-5  # of their size: values that differ by less are the same number in float32


def log_ticks(axes: Axes, values: Sequence[float]) -> None:
    """Ticks of a log axis as plain numbers: decades, or 1-2-5 where the values span two of them at most."""
    axes.yaxis.set_major_locator(LogLocator(subs=_digits(min(values), max(values)), numticks=7))
    _plain(axes)


def _digits(low: float, high: float) -> tuple[int, ...]:
    """The digits at which ticks stand in each decade between two values."""
    return (1, 2, 5) if high < SHORT * low else (1,)


def _plain(axes: Axes) -> None:
    """Plain numbers at the ticks, none between them."""
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def error_axis(axes: Axes, shown: Sequence[float]) -> None:
    """Logarithmic, and from the last decade above 0 on linear to 0 if some errors are 0."""
    errors = [value for value in shown if value > 0]
    if not errors:
        axes.set_yticks([0.0])
    elif len(errors) == len(shown):
        axes.set_yscale("log")
        log_ticks(axes, errors)
    else:
        least, most = 10.0 ** math.floor(math.log10(min(errors))), max(errors)
        axes.set_yscale("symlog", linthresh=least, linscale=0.4)
        axes.set_ylim(-0.2 * least, 1.3 * most)
        ticks = [digit * 10.0**power for power in range(-9, 1) for digit in _digits(least, most)]
        axes.yaxis.set_major_locator(FixedLocator([0.0, *(tick for tick in ticks if least <= tick <= 1.3 * most)]))
        _plain(axes)


def spaced(places: Sequence[float]) -> list[str]:
    """The ticks' numbers on a log axis, empty where one would run into the number before it."""
    span, ends, texts = math.log(places[-1] / places[0]), -math.inf, []
    for place in places:
        text = f"{place:g}"
        at, half = math.log(place / places[0]), (len(text) + 0.5) / 2 * TICK * span
        texts.append(text if at - half >= ends else "")
        ends = at + half if texts[-1] else ends
    return texts


def level_axis(axes: Axes, values: Sequence[float]) -> None:
    """Linear, a tenth above and below values that rounding alone tells apart: else their noise would fill the panel."""
    least, most = min(values), max(values)
    size = max(abs(least), abs(most))
    if size > 0 and most - least <= LEVEL * size:
        axes.set_ylim(least - size / 10, most + size / 10)
