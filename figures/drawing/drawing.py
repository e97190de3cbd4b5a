"""A Drawing: a matplotlib figure in the house style, with the numbers it shows, saved reproducibly.

Figures are made without pyplot, so nothing global changes and no display is needed. The same numbers give
the same bytes: no dates, fixed ids.
"""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ufm.storage.files import replacing, write_text

STYLE = Path(__file__).with_name("style.mplstyle")
FORMATS: dict[str, dict[str, None]] = {
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    "png": {"Software": None},
}
ONE_COLUMN, TWO_COLUMNS = 3.3, 6.8  # inches


def house_style():
    """A context in which figures are made and saved in the house style."""
    return matplotlib.rc_context(fname=STYLE)


@dataclass(frozen=True, eq=False)
class Drawing:
    """A figure, a sentence that says what it shows, and its data: one header row, then rows."""

    figure: Figure
    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[Any]]

    def save(self, folder: Path | str, name: str, formats: Iterable[str] = tuple(FORMATS)) -> list[Path]:
        """Write folder/name.svg, .pdf, .png (or those of them asked for) and .csv; returns their paths."""
        folder = Path(folder)
        written = []
        for extension in formats:
            path = folder / f"{name}.{extension}"
            with replacing(path) as temporary:
                temporary.write_bytes(self.bytes(extension))
            written.append(path)
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([self.header, *self.rows])
        written.append(folder / f"{name}.csv")
        write_text(written[-1], text.getvalue())
        return written

    def bytes(self, extension: str) -> bytes:
        """The figure as a file of that format: svg, pdf or png."""
        buffer = io.BytesIO()
        with house_style():
            self.figure.savefig(buffer, format=extension, metadata=FORMATS[extension])
        return buffer.getvalue()

    def _repr_png_(self) -> bytes:
        """The figure itself, where a notebook shows what a cell ends with."""
        return self.bytes("png")


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of that size in inches, with an Agg canvas; call inside `house_style`."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure
