"""Charts as a page holds them: marks that can be chosen, links between them, axes; laid out here, not in a browser."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.ticker import LogLocator, MaxNLocator


@dataclass(frozen=True)
class Mark:
    """What stands for an item.

    x, y     its place, in pixels          outline  its shape about (0, 0), an SVG path
    kind     its classes in page.css       said     what it is, in words      text  what stands in it
    """

    item: int
    x: float
    y: float
    outline: str
    kind: str
    said: str
    text: str = ""


@dataclass(frozen=True)
class Link:
    """A line from the mark of the item `start` to that of `end`, an SVG path."""

    start: int
    end: int
    outline: str


@dataclass(frozen=True)
class Stroke:
    """A line of an axis or of theory, an SVG path."""

    kind: str
    outline: str


@dataclass(frozen=True)
class Words:
    """Words at a place: kind has the classes, of which `middle`, `end` and `upright` say how they stand."""

    x: float
    y: float
    text: str
    kind: str = ""


@dataclass(frozen=True)
class Key:
    """An entry of the legend."""

    kind: str
    outline: str
    text: str


@dataclass(frozen=True)
class Chart:
    """A drawing of so many pixels; said is what it shows, in words."""

    width: float
    height: float
    said: str
    marks: Sequence[Mark]
    links: Sequence[Link] = ()
    strokes: Sequence[Stroke] = ()
    words: Sequence[Words] = ()
    keys: Sequence[Key] = ()


def disc(radius: float) -> str:
    """A circle about (0, 0)."""
    return f"M{-radius:g} 0a{radius:g} {radius:g} 0 1 0 {2 * radius:g} 0a{radius:g} {radius:g} 0 1 0 {-2 * radius:g} 0z"


def polygon(*corners: tuple[float, float]) -> str:
    """A closed line through the corners."""
    return f"M{'L'.join(f'{x:.1f} {y:.1f}' for x, y in corners)}z"


def box(width: float, height: float) -> str:
    """A rectangle about (0, 0)."""
    x, y = width / 2, height / 2
    return polygon((-x, -y), (x, -y), (x, y), (-x, y))


def line(*places: tuple[float, float]) -> str:
    """A line through the places."""
    return f"M{'L'.join(f'{x:.1f} {y:.1f}' for x, y in places)}"


def arrow(start: tuple[float, float], end: tuple[float, float], clear: float) -> str:
    """A slightly bent arrow between two marks, clear of both by so many pixels."""
    (x0, y0), (x1, y1) = start, end
    across, down = x1 - x0, y1 - y0
    bend = (x0 + x1) / 2 - 0.08 * down, (y0 + y1) / 2 + 0.08 * across
    (x0, y0), (x1, y1) = _towards(start, bend, clear), _towards(end, bend, clear + 1)
    tip = complex(x1 - bend[0], y1 - bend[1])
    back = -tip / abs(tip) * 7 if tip else 0j
    left, right = back * complex(0.92, 0.38), back * complex(0.92, -0.38)
    barbs = f"M{x1 + left.real:.1f} {y1 + left.imag:.1f}L{x1:.1f} {y1:.1f}L{x1 + right.real:.1f} {y1 + right.imag:.1f}"
    return f"M{x0:.1f} {y0:.1f}Q{bend[0]:.1f} {bend[1]:.1f} {x1:.1f} {y1:.1f}{barbs}"


def _towards(place: tuple[float, float], other: tuple[float, float], by: float) -> tuple[float, float]:
    step = complex(other[0] - place[0], other[1] - place[1])
    step *= by / (abs(step) or 1.0)
    return place[0] + step.real, place[1] + step.imag


def swarm(heights: Sequence[float], apart: float) -> list[float]:
    """Places sideways of points at these heights, each as near to 0 as those before it let it be.

    No two points are then nearer than `apart`, those of one height included.
    """
    placed: list[tuple[float, float]] = []
    for y in heights:
        near = [(x, (apart**2 - (y - other) ** 2) ** 0.5) for x, other in placed if abs(y - other) < apart]
        ends = [x + side * reach for x, reach in near for side in (1, -1)]
        free = [x for x in (0.0, *ends) if all(abs(x - other) > reach - 1e-9 for other, reach in near)]
        placed.append((min(free, key=abs), y))
    return [x for x, _ in placed]


def ticks(low: float, high: float) -> list[float]:
    """Round numbers between two positive ones: of a 1-2-5 series, or evenly apart where that has fewer than three."""
    series = [float(value) for value in LogLocator(subs=(1, 2, 5)).tick_values(low, high) if low <= value <= high]
    if len(series) >= 3:
        return series[:: 1 + len(series) // 14]
    return [float(value) for value in MaxNLocator(6).tick_values(low, high) if low <= value <= high]
