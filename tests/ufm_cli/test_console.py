"""Progress for people, silence for pipes."""

import enum
import io
import threading

import pytest

from ufm import Status
from ufm_cli import console


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_progress_only_where_somebody_looks(monkeypatch, stream):
    errors = stream()
    monkeypatch.setattr("sys.stderr", errors)
    assert list(console.track("things")(range(3))) == [0, 1, 2]
    assert ("things" in errors.getvalue()) is errors.isatty()


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_what_goes_on_elsewhere_is_looked_at_while_somebody_looks(monkeypatch, stream):
    errors, looked = stream(), threading.Event()
    monkeypatch.setattr("sys.stderr", errors)
    monkeypatch.setattr(console, "LOOK", 0.001)

    def done() -> int:
        looked.set()
        return 7

    def items():
        yield 1
        assert not errors.isatty() or looked.wait(10)
        yield 2

    assert list(console.watch("epochs", 9, done)(items())) == [1, 2]
    assert ("epochs" in errors.getvalue()) is looked.is_set() is errors.isatty()


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_a_share_is_shown_where_somebody_looks(monkeypatch, stream):
    errors = stream()
    monkeypatch.setattr("sys.stderr", errors)
    with console.meter("proving") as show_share:
        show_share(0.25, "1,234 boxes")
    text = errors.getvalue()
    assert ("proving: 1,234 boxes" in text) is ("25%" in text) is errors.isatty()


def test_tables_line_up_and_mark_what_is_missing(capsys):
    console.show("title", ("name", "value"), [("a [bracket]", 1.5), ("b", None), ("c", float("nan"))])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].strip() == "title"
    assert "a [bracket]" in lines[2]
    assert lines[2].rstrip().endswith("1.5")
    assert lines[3].rstrip().endswith("  -")
    assert lines[4].rstrip().endswith("not defined")
    assert len(lines[2].rstrip()) == len(lines[3].rstrip())


def test_what_is_not_defined_is_said_and_every_status_has_its_style(capsys):
    console.show("t", ("a", "b"), [(float("nan"), status) for status in Status])
    text = capsys.readouterr().out
    assert text.count("not defined") == len(Status)
    assert all(status in text for status in Status)
    assert set(console.STYLES) == set(Status)


def test_a_status_that_is_an_enum_of_words_is_shown_as_its_word(capsys):
    console.show("t", ("a",), [(enum.Enum("Status", {"HOLDS": "holds"}, type=str).HOLDS,)])
    assert "holds" in capsys.readouterr().out.splitlines()[-2].split()


@pytest.mark.parametrize("title", ["run dir[/x]/p", "[bold]", r"a\[b] :smile:", 3, [1, 2]], ids=str)
def test_titles_and_cells_are_shown_as_they_are(title, capsys):
    console.show(title, ("a",), [(title,)])
    first, *_, last = [line for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert first.strip() == str(title)
    assert last.strip() == str(title)
