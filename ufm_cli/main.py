"""The front door: `ufm COMMAND ...`. Each command is a dataclass in a file of its own, loaded when asked for.

Exit status 0: all holds. 1: something was checked and does not hold. 2: the request could not be carried
out, and one line on standard error says what and how to mend it. 130 and 141 (as shells have it): interrupted;
nobody reads the output any more.
"""

import contextlib
import dataclasses
import functools
import importlib
import io
import os
import re
import runpy
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from .commands import COMMANDS

PATIENCE = 10.0  # seconds that a process waits for the first of several to say why it ends


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    if sys.stdout is None:  # closed by the caller
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 (to the end of the program)
    try:
        status = _answer(list(sys.argv[1:] if arguments is None else arguments))
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        _to_nowhere()
        return 141
    except KeyboardInterrupt as stop:
        print("; ".join(["ufm: interrupted", *map(str, stop.args)]), file=sys.stderr)
        return 130
    except OSError as error:
        _to_nowhere()
        where = f" {error.filename}" if error.filename else ""
        return _refuse(f"cannot read or write{where}: {error.strerror or error}; check the path and its permissions")


def _to_nowhere() -> None:
    """Send what is left in the buffer of standard output nowhere, when the interpreter flushes it at its end."""
    with contextlib.suppress(OSError, ValueError), open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


def _answer(arguments: list[str]) -> int:
    name = arguments[0] if arguments else "--help"
    if name in ("-h", "--help"):
        print(_overview())
        return 0
    if name == "--version":
        print(f"ufm {_version()}")
        return 0
    if name not in COMMANDS:
        return _refuse(f"unknown command {name!r}; choose one of: {', '.join(COMMANDS)}")
    return _run(name, arguments[1:])


def _version() -> str:
    """ufm.__version__, which is read here and not imported: ufm loads torch."""
    return runpy.run_path(str(Path(__file__).parents[1] / "ufm" / "version.py"))["__version__"]


def _run(name: str, arguments: list[str]) -> int:
    """Run a command, if the packages that it is made of are ours."""
    from ufm_names import NAMES, require_own

    try:
        require_own(*NAMES)
    except ImportError as error:
        return _refuse(str(error))
    try:
        return _carried_out(name, arguments)
    except ImportError as error:
        if error.name not in NAMES:
            raise
        return _refuse(f"{error}; another package may have written over that file: install ufm again")


def _carried_out(name: str, arguments: list[str]) -> int:
    from ufm.errors import InputError

    from .flags import as_flags
    from .places import require_places

    try:
        command = _parse(name, arguments)
        if command is None:
            return 0
        require_places(command)
        return command.run()
    except InputError as error:
        return _refuse(as_flags(error, _kind(name)))
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "allocate memory" not in str(error):
            raise
        return _refuse("there is not enough memory for the sizes asked; take smaller ones")


def _kind(name: str) -> type:
    """The class of a command."""
    return importlib.import_module(f"{__package__}.commands.{name}").Command


def _parse(name: str, arguments: list[str]):
    """The command as a dataclass; None when its help was asked for and printed.

    A command may have `check(given)`, which refuses flags that were given and would do nothing; `defaults()`: the
    instance whose values the flags that were not given take, or None; and `check_whole(given)`, a check of it with
    these values.
    """
    import tyro

    from ufm.errors import InputError

    complaints = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaints):
            config = (tyro.conf.OmitArgPrefixes,)
            parse = functools.partial(tyro.cli, _kind(name), args=arguments, prog=f"ufm {name}", config=config)
            _require_words(arguments)
            parsed, given = parse(), _given(arguments)
            _require_values(parsed, given)
            if hasattr(parsed, "check"):
                parsed.check(given)
            defaults = parsed.defaults() if hasattr(parsed, "defaults") else None
            whole = parsed if defaults is None else parse(default=defaults)
            if hasattr(whole, "check_whole"):
                whole.check_whole(given)
            return whole
    except SystemExit as stop:
        if stop.code in (0, None):
            return None
        error = _refused(stop)
        if error is not None:
            raise error from None
    raise InputError(f"{_first_paragraph(complaints.getvalue())}{_hint(arguments)} (see ufm {name} --help)")


def _hint(arguments: list[str]) -> str:
    """What to do about a list with commas, if there is one."""
    number = r"[-+.\deE]+"
    lists = [word.rpartition("=")[2] for word in arguments if re.fullmatch(rf"(-.*=)?{number}(,{number})+", word)]
    return f"; separate the numbers by spaces: {lists[0].replace(',', ' ')}" if lists else ""


def _refused(stop: SystemExit):
    """The InputError of settings that cannot be, which the parser met when it made the command of them; or None."""
    from ufm.errors import InputError

    error: BaseException | None = stop
    while error is not None and not isinstance(error, InputError):
        error = error.__context__
    return error


def _given(arguments: list[str]) -> set[str]:
    """The names of the flags that were given: "lambda_w", "no_bias", "K" (of -K 3 and of -K3)."""
    words = [word.partition("=")[0] for word in arguments if word.startswith("-")]
    return {word[2:].replace("-", "_") if word.startswith("--") else word[1:2] for word in words}


def _require_words(arguments: list[str]) -> None:
    """Raise InputError for an argument that is empty, as an unset variable of a shell makes it."""
    from ufm.errors import require

    for before, word in zip(["", *arguments], arguments, strict=False):
        flag, given, value = word.partition("=") if word.startswith("-") else (before, "=", word)
        what = f"what {flag} names" if flag.startswith("-") else "an argument"
        require(bool(value) or not given, f"{what} is empty; give a name or a value, or leave it out")


def _require_values(command, given: set[str]) -> None:
    """Raise InputError for a flag that lists nothing: it would be as if it were not there."""
    from ufm.errors import require

    groups = [command, *filter(dataclasses.is_dataclass, vars(command).values())]
    for name, value in [pair for group in groups for pair in vars(group).items()]:
        listed = name not in given or value != ()
        require(listed, f"--{name.replace('_', '-')} must list at least one value, or be left out")


def _first_paragraph(box: str) -> str:
    """What a box of several lines says before its first rule, as one line; where UTF-8 is not spoken, its ASCII kin."""
    words = []
    for line in box.splitlines()[1:]:
        text = line.strip(" │|")
        if not text.strip("─╰╯-+"):
            if not words:
                continue
            break
        words.append(text)
    return " ".join(words) or "the flags could not be read"


def _overview() -> str:
    lines = [f"  {name:<12} {summary}" for name, summary in COMMANDS.items()]
    usage = "usage: ufm COMMAND [flags]      (ufm COMMAND --help lists the flags of one)"
    status = "exit status: 0 all holds, 1 something checked does not hold, 2 the request could not be carried out"
    return "\n".join([usage, "", *lines, "", status])


def _refuse(message: str) -> int:
    """One line on standard error; status 2. Of several processes the first speaks, and torchrun then ends the others.

    One that is not ended in time was alone in its trouble, and speaks as well.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and os.environ.get("RANK", "0") != "0":
        time.sleep(PATIENCE)
    print(f"ufm: {' '.join(message.split())}", file=sys.stderr)
    return 2
