"""A page as data, and as one HTML file that needs nothing beside it: a chart, a panel about what is chosen, a table."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import jinja2
import torch
from markupsafe import Markup

from ufm.results import Result, plain
from ufm.results.table import cell, mathml

from .chart import Chart
from .scene import Scene

ROOM = Path(__file__).parent
NAMESPACE = ' xmlns="http://www.w3.org/1998/Math/MathML"'


@dataclass(frozen=True)
class Column:
    """A number or a word that every item has: its name, its symbol in LaTeX, and whether the table lists it.

    What is not listed stands in the panel alone.
    """

    name: str
    symbol: str = ""
    listed: bool = True


@dataclass(frozen=True, eq=False)
class Levels(Result):
    """Distinct eigenvalues, ascending, and how often each occurs; within `tolerance` of 0 they count as 0."""

    values: tuple[float, ...]
    counts: tuple[int, ...]
    tolerance: float


@dataclass(frozen=True, eq=False)
class Item(Result):
    """What can be chosen: its name, a value a column (None where there is none), and pictures of it.

    logits (T, K): row t those of type t's samples
    """

    name: str
    values: tuple[Any, ...]
    scenes: tuple[Scene, ...] = ()
    logits: torch.Tensor | None = None
    spectrum: Levels | None = None


@dataclass(frozen=True)
class Page:
    """A page about many things of one kind.

    summary  sentences, what was found first      kind  what an item is: a point, a cell
    asked    what was asked, by name              made   what made the page, a line each
    """

    title: str
    summary: Sequence[str]
    kind: str
    chart: Chart
    columns: Sequence[Column]
    items: Sequence[Item]
    asked: Mapping[str, str]
    made: Mapping[str, str]

    def html(self) -> str:
        """The page as one file."""
        data = {
            "items": [item.plain() for item in self.items],
            "links": [[link.start, link.end] for link in self.chart.links],
        }
        return rendered(
            ROOM / "page.html",
            styles=[ROOM / "page.css"],
            scripts=[ROOM / f"{name}.js" for name in ("tables", "scene", "panel", "choose")],
            page=self,
            data=Markup(embedded(data)),
            listed=[i for i, column in enumerate(self.columns) if column.listed],
            numeric=[i for i in range(len(self.columns)) if any(_is_number(item.values[i]) for item in self.items)],
        )


def rendered(
    template: Path,
    styles: Sequence[Path],
    scripts: Sequence[Path],
    filters: Mapping[str, Callable[..., Any]] = MappingProxyType({}),
    **contents: Any,
) -> str:
    """The HTML of a template that extends frame.html, in the house's style and its own; the scripts make up one.

    filters are the template's own, beside FILTERS.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([template.parent, ROOM]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= FILTERS | dict(filters)
    style, script = (Markup("".join(map(_read, files))) for files in ([ROOM / "house.css", *styles], scripts))
    return environment.get_template(template.name).render(style=style, script=script, **contents)


def embedded(data: Any) -> str:
    """Plain data as JSON that can stand in a script element."""
    return json.dumps(plain(data), allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def mathematics(latex: str) -> Markup:
    """MathML of mathematics in LaTeX, as HTML has it: without a namespace."""
    return Markup(mathml(latex).replace(NAMESPACE, ""))


def _read(file: Path) -> str:
    return file.read_text(encoding="utf-8")


def _number(value: float | None, digits: str) -> str:
    return "-" if value is None else "not defined" if math.isnan(value) else format(value, digits)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _sortable(value: Any) -> Any:
    return value if value is not None and not (isinstance(value, float) and math.isnan(value)) else ""


FILTERS = {
    "number": lambda value: _number(value, ".5g"),
    "short": lambda value: _number(value, ".1e"),
    "sortable": _sortable,
    "cell": cell,
    "mathematics": mathematics,
}
