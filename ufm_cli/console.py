"""What people see: tables that line up, progress while they wait, one line when a request cannot be met."""

import math
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

WIDTH = 140  # of tables that are not printed to a terminal
LOOK = 2.0  # seconds between two looks at what goes on elsewhere
Item = TypeVar("Item")


class _Output(Console):
    """Lets a reader that has gone away be seen, as print does; `ufm_cli.main` answers it."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def out() -> Console:
    """Standard output, for results."""
    return _Output(width=None if sys.stdout.isatty() else WIDTH, highlight=False)


def say(text: str) -> None:
    """One line of result, never wrapped."""
    print(text, flush=True)


def show(title: object, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table: numbers to the right, words to the left, a dash for what there is not, words for a NaN.

    Title and cells are shown as they are: brackets and colons in a path are no markup.
    """
    rows = [list(row) for row in rows]
    said = Text(str(title), style="bold")
    table = Table(title=said, title_justify="left", header_style="bold", box=None, pad_edge=False)
    for i, name in enumerate(columns):
        numeric = all(row[i] is None or isinstance(row[i], int | float) for row in rows)
        table.add_column(name, justify="right" if numeric else "left", no_wrap=numeric, overflow="fold")
    for row in rows:
        table.add_row(*(_cell(value) for value in row))
    console = out()
    console.print(table)
    console.print()


STYLES = {"holds": "green", "fails": "bold red", "inconclusive": "magenta", "not covered": "yellow"}


def _cell(value: object) -> Text:
    if value is None:
        return Text("-")
    if isinstance(value, float):
        return Text("not defined" if math.isnan(value) else f"{value:.6g}")
    text = value if isinstance(value, str) else str(value)
    return Text(text, style=STYLES.get(text, ""))


def _bar(counted: ProgressColumn | None = None) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), counted or MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True)


def track(label: str) -> Callable[[Iterable[Item]], Iterable[Item]]:
    """A wrapper of iterables that shows a progress bar on standard error while a terminal is looking."""

    def wrap(items: Iterable[Item]) -> Iterable[Item]:
        if not sys.stderr.isatty():
            yield from items
            return
        items = list(items)
        with _bar() as progress:
            task = progress.add_task(label, total=len(items))
            for item in items:
                yield item
                progress.advance(task)

    return wrap


def watch(label: str, total: int, done: Callable[[], int]) -> Callable[[Iterable[Item]], Iterable[Item]]:
    """As `track`, but the bar shows done(), asked for every few seconds: what goes on elsewhere while items come."""

    def wrap(items: Iterable[Item]) -> Iterable[Item]:
        if not sys.stderr.isatty():
            yield from items
            return
        over = threading.Event()
        with _bar() as progress:
            task = progress.add_task(label, total=total)

            def look() -> None:
                while not over.wait(LOOK):
                    progress.update(task, completed=done())

            looking = threading.Thread(target=look, daemon=True)
            looking.start()
            try:
                yield from items
            finally:
                over.set()
                looking.join()

    return wrap


@contextmanager
def meter(label: str) -> Iterator[Callable[[float, str], None]]:
    """Yield what shows (share done, words on it) as a bar on standard error while a terminal is looking."""
    if not sys.stderr.isatty():
        yield lambda share, words: None
        return
    with _bar(TaskProgressColumn()) as progress:
        task = progress.add_task(label, total=1.0)
        yield lambda share, words: progress.update(task, completed=share, description=f"{label}: {words}")
