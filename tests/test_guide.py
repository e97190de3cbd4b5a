"""What the guide shows runs as it stands there and prints what stands below it; every command line is understood."""

import re
import shlex

import pytest

from tests.pages import GUIDE, HOUSE, alike, blocks, run, unlike
from ufm_cli.commands import COMMANDS
from ufm_cli.main import _parse

TASKS = [page for page in GUIDE if page.stem != "index"]
PAGES = [*GUIDE, HOUSE / "README.md", HOUSE / "docs" / "paper_code.md", HOUSE / "docs" / "results.md"]
INDEX = (HOUSE / "docs" / "guide" / "index.md").read_text()


def test_there_are_ten_pages_and_the_first_lists_them():
    listed = re.search(r"```{toctree}\n.*?\n\n(.*?)```", INDEX, re.S)[1].split()
    assert sorted(listed) == [page.stem for page in TASKS]
    assert len(listed) == 10


def test_the_first_page_lists_every_command():
    assert re.findall(r"^    ufm (\w+)", INDEX, re.M) == list(COMMANDS)


@pytest.mark.parametrize("page", TASKS, ids=lambda page: page.stem)
def test_a_page_runs_from_top_to_bottom_and_prints_what_it_shows(page, tmp_path, monkeypatch):
    """Python in one namespace, in an empty folder; shell commands where their output is shown."""
    monkeypatch.chdir(tmp_path)
    namespace, compared = {}, 0
    for block in blocks(page):
        if block.language == "python" or block.shown is not None:
            printed = run(block, namespace)
            assert unlike(block.shown or "", printed) is None, f"{block.code}\nprinted:\n{printed}"
            compared += block.shown is not None
    assert compared >= 2


def commands(page):
    """Every command line of ufm with arguments on a page, but those that stand for many or need a run."""
    shown = [line for block in blocks(page) for line in block.commands]
    shown += re.findall(r"`(ufm \w+ [^`\n]+)`", page.read_text())
    shown = [re.sub(r"^torchrun --nproc-per-node \d+ -m ufm", "ufm", line) for line in shown]
    return sorted({line for line in shown if not re.search(r"\.\.\.|COMMAND|--resume RUN|^make ", line)})


REFUSED = {"ufm train --device cuda:7 --name pair", "ufm train --class-weights balanced --loss balanced-softmax"}
LINES = sorted({line for page in PAGES for line in commands(page)} - REFUSED)


@pytest.mark.parametrize("line", LINES)
def test_commands_are_understood(line):
    name, *arguments = shlex.split(line)[1:]
    assert _parse(name, arguments) is not None


def test_there_are_commands_on_the_pages():
    assert len(LINES) > 40
    assert {line.split()[1] for line in LINES} >= {"verify", "atlas", "train", "validate", "figures", "reproduce"}


SHOWN = "NC1 0.55 and rank 9\n...\nholds, 12 of 12"
PRINTED = "NC1 0.5467 and rank 9\nsomething else\nholds,  12 of 12\n"
PLANTED = {
    "a number": ("NC1 0.55", "NC1 0.75"),
    "a whole number": ("rank 9", "rank 8"),
    "a word": ("holds", "fails"),
    "a line too much": ("...\n", ""),
    "a line that was not printed": ("...", "nothing"),
    "the last lines": ("\n...\nholds, 12 of 12", ""),
}


def test_what_was_printed_is_recognised():
    assert unlike(SHOWN, PRINTED) is None
    assert unlike("", "") is None
    assert alike("f = 1.2e-8, off by 0", "f = 1.3e-8, off by 3e-16")
    assert not alike("f = 1.2e-8", "f = 1.2e-7")


@pytest.mark.parametrize("error", PLANTED)
def test_planted_differences_are_seen(error):
    old, new = PLANTED[error]
    assert old in SHOWN
    assert unlike(SHOWN.replace(old, new), PRINTED) is not None
