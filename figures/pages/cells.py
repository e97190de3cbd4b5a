"""Grids of cells on a page: rectangles between the middles of their values, in one panel or in several."""

from collections.abc import Sequence
from dataclasses import dataclass

from .chart import Stroke, Words, line

WIDTH, HEIGHT = 40.0, 30.0  # of a cell, in pixels


@dataclass(frozen=True)
class Panel:
    """Cells in columns and rows, the first row at the bottom.

    left, top  its corner            columns, rows  the values along its axes            title  above it
    """

    left: float
    top: float
    columns: Sequence[object]
    rows: Sequence[object]
    title: str

    @property
    def right(self) -> float:
        return self.left + WIDTH * len(self.columns)

    @property
    def bottom(self) -> float:
        return self.top + HEIGHT * len(self.rows)

    def middle(self, column: int, row: int) -> tuple[float, float]:
        """The middle of a cell."""
        return self.left + WIDTH * (column + 0.5), self.bottom - HEIGHT * (row + 0.5)

    def words(self) -> list[Words]:
        """The title, and the values beside the axes."""
        along = [
            Words(self.middle(i, 0)[0], self.bottom + 17, f"{value:g}", "middle")
            for i, value in enumerate(self.columns)
        ]
        up = [Words(self.left - 7, self.middle(0, i)[1] + 4, f"{value:g}", "end") for i, value in enumerate(self.rows)]
        return [Words(self.left, self.top - 8, self.title, "title"), *along, *up]

    def stairs(self, heights: Sequence[int]) -> Stroke:
        """A line over the columns, above so many rows of each."""
        corners = [
            (self.left + WIDTH * (i + side), self.bottom - HEIGHT * height)
            for i, height in enumerate(heights)
            for side in (0, 1)
        ]
        return Stroke("theory over", line(*corners))
