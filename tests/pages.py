"""Pages in Markdown: their blocks of code, run as they stand, beside the output that stands below them."""

import contextlib
import io
import math
import re
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ufm import InputError
from ufm_cli.main import main

HOUSE = Path(__file__).parent.parent
GUIDE = sorted((HOUSE / "docs" / "guide").glob("*.md"))
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$\n*(?:^```text\n(.*?)^```$)?", re.M | re.S)
NUMBER = re.compile(r"(?<![\w.])[+-]?\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?(?![\w.]*\w)")
ALIKE = 0.05  # relative, of numbers: trainings differ by rounding from one processor to another
ROUNDING = 1e-12  # numbers below it are all alike
LEFT_OUT = "..."


@dataclass(frozen=True)
class Block:
    """A block of code of a page: its language, its text, and the output shown below it (None where none is)."""

    language: str
    code: str
    shown: str | None

    @property
    def commands(self) -> list[str]:
        """The command lines of a shell block, without comments."""
        lines = self.code.replace("\\\n", " ").splitlines() if self.language == "bash" else []
        return [line for line in (line.split("#")[0].strip() for line in lines) if line]


def blocks(page: Path) -> list[Block]:
    """The page's blocks of python and bash, in order."""
    return [Block(*found.groups()) for found in BLOCK.finditer(page.read_text()) if found[1] in ("python", "bash")]


def run(block: Block, namespace: dict) -> str:
    """What the block prints: Python in the namespace, `ufm` commands in this process. A refusal is printed, too."""
    printed = io.StringIO()
    shell = block.language == "bash"
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed if shell else sys.stderr):
        if shell:
            for line in block.commands:
                main(shlex.split(line)[1:])
        else:
            try:
                exec(compile(block.code, "page", "exec"), namespace)
            except InputError as error:
                print(f"InputError: {error}")
    return printed.getvalue()


def unlike(shown: str, printed: str) -> str | None:
    """The first line of `shown` that was not printed, in order and but for lines left out by dots; None if all were."""
    lines: Iterator[str] = iter([line for line in printed.splitlines() if line.strip()])
    skipping = False
    for line in (line for line in shown.splitlines() if line.strip()):
        if line.strip() == LEFT_OUT:
            skipping = True
        elif not (any(alike(line, one) for one in lines) if skipping else alike(line, next(lines, ""))):
            return line
        else:
            skipping = False
    return None if skipping or next(lines, None) is None else "the end"


def alike(shown: str, printed: str) -> bool:
    """Whether two lines have the same words, and numbers that agree but for what rounding may do to a training."""
    words, others = (NUMBER.sub("0", " ".join(line.split())) for line in (shown, printed))
    return words == others and all(map(close, NUMBER.findall(shown), NUMBER.findall(printed)))


def close(shown: str, printed: str) -> bool:
    """Whether numbers agree to 5%, to a unit of the last digit shown, or are rounding both."""
    digits = shown.split("e")[0].partition(".")[2]
    scale = 10 ** -len(digits) * (10.0 ** int(shown.split("e")[1]) if "e" in shown else 1.0)
    a, b = (float(number.replace(",", "")) for number in (shown, printed))
    unit = scale if digits or "e" in shown else 0.0
    return math.isclose(a, b, rel_tol=ALIKE, abs_tol=max(1.01 * unit, ROUNDING))
