"""Progress for people, silence for pipes."""

import io

import pytest

from cli import console


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_progress_only_where_somebody_looks(monkeypatch, stream):
    errors = stream()
    monkeypatch.setattr("sys.stderr", errors)
    assert list(console.track("things")(range(3))) == [0, 1, 2]
    assert ("things" in errors.getvalue()) is errors.isatty()


def test_tables_line_up_and_mark_what_is_missing(capsys):
    console.show("title", ("name", "value"), [("a [bracket]", 1.5), ("b", None), ("c", float("nan"))])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].strip() == "title"
    assert "a [bracket]" in lines[2]
    assert lines[2].rstrip().endswith("1.5")
    assert lines[3].rstrip().endswith("  -")
    assert lines[4].rstrip().endswith("not defined")
    assert len(lines[2].rstrip()) == len(lines[3].rstrip())
