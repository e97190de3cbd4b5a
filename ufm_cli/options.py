"""Flags that several commands share."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from .console import say
from .flags import require_unused
from .losses import A_CLASS, LossFlags

if TYPE_CHECKING:
    from collections.abc import Callable

    from figures.pages.page import Page
    from ufm import Problem

JsonFile = Annotated[Path | None, tyro.conf.arg(metavar="FILE", help="also write the result there as JSON")]
HtmlFile = Annotated[
    Path | None, tyro.conf.arg(metavar="FILE", help="also write a page about it there, one file for a browser")
]
# A bool is --name and --no-name, with help about --name; a Switch is --name alone.
Switch = tyro.conf.FlagCreatePairsOff[bool]
PLACE = "the Dask cluster to work on: its scheduler's address, tcp://HOST:PORT, or the scheduler file"
Dask = Annotated[str | None, tyro.conf.arg(metavar="ADDRESS", help=PLACE)]


def check_dask(dask: str | None, given: set[str]) -> None:
    """Raise InputError for --jobs beside --dask."""
    if dask is not None:
        require_unused(given, {"jobs"}, "a cluster runs as many tasks side by side as its workers have threads")


@dataclass(frozen=True)
class ProblemFlags:
    """One instance of the unconstrained feature model."""

    K: Annotated[int, tyro.conf.arg(aliases=["-K"], metavar="INT")] = 4
    """number of classes"""
    n: Annotated[int, tyro.conf.arg(aliases=["-n"], metavar="INT")] = 3
    """samples in each class"""
    class_counts: Annotated[tuple[int, ...], tyro.conf.arg(metavar="N1 N2 ...")] = ()
    """samples in each class (or of each type, with --targets), one by one, in place of -K and -n"""
    d: Annotated[int, tyro.conf.arg(aliases=["-d"], metavar="INT")] = 6
    """feature dimension"""
    lambda_w: float = 5e-3
    """weight decay of W: lambda_w/2 |W|^2"""
    lambda_h: float = 2e-3
    """weight decay of H"""
    lambda_b: float = 1e-2
    """weight decay of b, in a model with a bias"""
    bias: bool = True
    """whether the model has a bias"""
    loss: LossFlags = field(default_factory=LossFlags)

    def check(self, given: set[str]) -> None:
        """Raise InputError for flags that the others leave nothing to do, and for a number of classes that is none."""
        from ufm.errors import require

        if self.class_counts:
            require_unused(given, {"K", "n"}, "--class-counts says how many classes and samples there are")
        if not self.bias:
            require_unused(given, {"lambda_b"}, "--no-bias leaves no b to decay")
        self.loss.check(given)
        for flag in A_CLASS & given if "K" in given else ():
            found = len(getattr(self.loss, flag))
            said = f"--{flag.replace('_', '-')} must hold a number for each of K = {self.K} classes, got {found}"
            require(found == self.K, said)

    def problem(self) -> "Problem":
        from ufm import Problem

        decay = {"lambda_w": self.lambda_w, "lambda_h": self.lambda_h, "lambda_b": self.lambda_b if self.bias else 0.0}
        loss = self.loss.made()
        if not self.class_counts and loss.shape is None:
            return Problem.balanced(self.K, self.n, self.d, **decay, bias=self.bias, loss=loss)
        types = self.K if loss.shape is None else loss.shape[0]
        return Problem(self.class_counts or (self.n,) * types, self.d, **decay, bias=self.bias, loss=loss)


def require_plain_name(name: str) -> str:
    """The name of a folder below --runs; InputError for one that leads elsewhere."""
    from ufm.errors import require

    require(is_plain(name), f"--name must be a plain name without slashes, got {name!r}; --runs names the folder")
    return name


def is_plain(name: str) -> bool:
    """Whether it is the name of something in a folder, not a path."""
    return name not in ("", ".", "..") and not set(name) & set("/\\")


MADE_BY = ("command", "versions", "git", "machine")  # what a file says beside the result itself


def write_page(file: Path | None, page: "Callable[[dict[str, str]], Page]") -> None:
    """Write the page that `page` makes, given the lines about what made it, if a file was asked for."""
    if file is not None:
        from ufm.storage.files import write_text
        from validate.runs.provenance import provenance

        found = provenance()
        versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
        write_text(file, page({"made by": versions, "revision": found["git"] or "unknown"}).html())
        say(str(file))


def write_result(file: Path | None, command: str, result: dict[str, Any]) -> None:
    """Write what a command found, with what made it, if a file was asked for."""
    if file is not None:
        from ufm.storage.files import write_json
        from validate.runs.provenance import provenance

        write_json(file, {"command": command} | result | provenance())
