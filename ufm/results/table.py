"""A result as a table: what a notebook shows of it, what Python prints, and a pandas DataFrame of the same rows."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from importlib.util import find_spec
from types import MappingProxyType
from typing import Any

from ..errors import require
from .estimate import Estimate

HEIGHT, WIDTH = 32, 100  # of what Python prints, in lines and characters: a screen
NARROW = 12  # characters: less of a column says nothing
LONGEST = 200  # rows that a notebook shows; a table of more leaves some in the middle out
NONE: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Table:
    """Rows under named columns.

    title    one line                             columns  their names, words
    rows     each as long as the columns: texts, numbers, None for what there is not
    symbols  mathematics in LaTeX by column, which notebooks show
    formulas the same by the text in a row's first cell
    notes    lines below
    """

    title: str
    columns: tuple[str, ...]
    rows: Sequence[Sequence[object]]
    symbols: Mapping[str, str] = field(default_factory=dict)
    formulas: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()


class Shown:
    """What has a table: `_repr_html_` for notebooks, a text of at most a screen, `to_pandas`.

    A dataclass that does not say `as_table` itself has a row a field, with the LaTeX that its `formulas` have.
    """

    formulas: Mapping[str, str] = NONE

    def __init_subclass__(cls, **settings: Any) -> None:
        super().__init_subclass__(**settings)
        cls.__repr__ = Shown.__repr__  # type: ignore[method-assign]  # what a dataclass finds it leaves

    def as_table(self) -> Table:
        """The result as a table."""
        fields = dataclasses.fields(self)  # type: ignore[arg-type]
        rows = [(one.name, brief(getattr(self, one.name))) for one in fields]
        return Table(type(self).__name__, ("field", "value"), rows, formulas=self.formulas)

    def to_pandas(self) -> Any:
        """The rows of the table as a `pandas.DataFrame`, unrounded, with the columns' names.

        Raises InputError where pandas is not installed.
        """
        require(find_spec("pandas") is not None, "to_pandas needs pandas; pip install pandas")
        from pandas import DataFrame

        table = self.as_table()
        return DataFrame([list(row) for row in table.rows], columns=list(table.columns))

    def __repr__(self) -> str:
        return text(self.as_table())

    def _repr_html_(self) -> str:
        return html(self.as_table())


def brief(value: Any) -> object:
    """A field's value in a cell: numbers and words as they are, of anything larger what it is."""
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if hasattr(value, "shape"):
        return f"{str(value.dtype).removeprefix('torch.')} of shape {tuple(value.shape)}"
    if isinstance(value, Sequence | Mapping | frozenset):
        simple = isinstance(value, tuple) and all(isinstance(item, int | float) for item in value) and len(value) <= 8
        return str(value) if simple else f"{len(value)} entries"
    parts = [(one.name, getattr(value, one.name)) for one in dataclasses.fields(value)]
    shapes = ", ".join(f"{name} {tuple(part.shape)}" for name, part in parts if hasattr(part, "shape"))
    return f"{type(value).__name__} of {shapes}" if shapes else type(value).__name__


def cell(value: object) -> str:
    """A number to six digits, "not defined" for NaN, a dash for what there is not; anything else as it is."""
    if value is None:
        return "-"
    if isinstance(value, float) and not isinstance(value, Estimate):
        return "not defined" if math.isnan(value) else f"{value:.6g}"
    return str(value)


def text(table: Table, height: int = HEIGHT, width: int = WIDTH) -> str:
    """The table in at most so many lines of at most so many characters; what is left out is counted."""
    notes = [_cut(note, width) for note in table.notes[: height // 4]]
    cells = [[cell(value) for value in row] for row in _some(table.rows, height - 2 - len(notes))]
    sizes = _fitting([max(map(len, column)) for column in zip(table.columns, *cells, strict=True)], width)
    right = [_is_numeric(table, i) for i in range(len(sizes))]
    lines = [
        "  ".join(_cut(item, size).rjust(size) if end else _cut(item, size).ljust(size) for item, size, end in row)
        for row in (zip(line, sizes, right, strict=False) for line in (table.columns, *cells))
    ]
    return "\n".join(line.rstrip()[:width] for line in (_cut(table.title, width), *lines, *notes))


def html(table: Table) -> str:
    """The table for a notebook: it stands alone, mathematics as MathML."""
    right = [_is_numeric(table, i) for i in range(len(table.columns))]
    head = _row("th", table.columns, right, table.symbols)
    body = "".join(_row("td", row, right, table.formulas) for row in _some(table.rows, LONGEST))
    notes = "".join(f"<p>{escape(note)}</p>" for note in table.notes)
    caption = f'<caption style="caption-side: top; text-align: left">{escape(table.title)}</caption>'
    return f"<table>{caption}<thead>{head}</thead><tbody>{body}</tbody></table>{notes}"


def mathml(latex: str) -> str:
    """MathML, which browsers typeset without a script, of mathematics in LaTeX."""
    from latex2mathml.converter import convert

    return convert(latex)


def _row(tag: str, values: Sequence[object], right: Sequence[bool], mathematics: Mapping[str, str]) -> str:
    cells = []
    for place, (value, end) in enumerate(zip(values, right, strict=True)):
        said = escape(cell(value))
        symbol = mathematics.get(str(value)) if tag == "th" or not place else None
        said += f" &nbsp; {mathml(symbol)}" if symbol else ""
        cells.append(f'<{tag} style="text-align: {"right" if end else "left"}">{said}</{tag}>')
    return f"<tr>{''.join(cells)}</tr>"


def _is_numeric(table: Table, column: int) -> bool:
    values = [row[column] for row in table.rows]
    return all(value is None or isinstance(value, int | float) for value in values)


def _some(rows: Sequence[Sequence[object]], most: int) -> list[Sequence[object]]:
    """The rows; of more than `most` the first and the last ones, and between them how many are left out."""
    if len(rows) <= most:
        return list(rows)
    first = (most - 1) // 2
    last = most - 1 - first
    left = len(rows) - first - last
    return [*rows[:first], (f"... {left} more", *[""] * (len(rows[0]) - 1)), *rows[len(rows) - last :]]


def _fitting(sizes: Sequence[int], width: int) -> list[int]:
    """Widths of the first columns, which fit: the last of them is cut where it is too long, others are left out.

    The first one is cut to half the width, if need be, for the second to have room beside it.
    """
    if len(sizes) > 1:
        sizes = [min(sizes[0], max(width // 2, width - sizes[1] - 2)), *sizes[1:]]
    fitting: list[int] = []
    for size in sizes:
        room = width - sum(fitting) - 2 * len(fitting)
        if fitting and room < min(size, NARROW):
            break
        fitting.append(min(size, room))
    return fitting


def _cut(words: str, width: int) -> str:
    words = " ".join(words.split())
    return words if len(words) <= width else words[: width - 3] + "..."
