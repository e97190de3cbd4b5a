"""ufm verify: check every theorem of the registry on one problem, or on another model."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ..console import say, show, track
from ..flags import as_flags
from ..losses import said
from ..models import EVERY, MODELS, ModelFlags
from ..options import JsonFile, ProblemFlags, Switch, require_unused, write_result

if TYPE_CHECKING:
    from ufm import Problem, Verdict
    from ufm.models import Model
    from validate.theory.theorems import Checked


@dataclass(frozen=True)
class Command:
    """Check every theorem of the registry on one problem, from random full-size descents, or those of another model.

    Exit status 1 when a claim fails. A claim whose hypotheses the problem does not meet is "not covered", one that what
    was found does not decide "inconclusive".
    """

    problem: ProblemFlags = field(default_factory=ProblemFlags)
    model: ModelFlags = field(default_factory=ModelFlags)
    seed: int = 0
    """of the random starts"""
    starts: int = 4
    """how many random starts are descended from"""
    rigorous: Switch = False
    """also prove, in ball arithmetic, what the points found are (K <= 10)"""
    atlas: Switch = False
    """also enumerate all critical points and check what is claimed of every one (K <= 6)"""
    json: JsonFile = None

    def check(self, given: set[str]) -> None:
        self.model.check(given)
        if self.model.model == EVERY:
            require_unused(given, {"rigorous", "atlas"}, f"--model {EVERY} has a line a model")

    def defaults(self) -> "Command":
        """The flags that were not given, as the model has them."""
        return Command(ProblemFlags(bias=self.model.entry.bias))

    def check_whole(self, given: set[str]) -> None:
        self.problem.check(given)

    def run(self) -> int:
        from ufm import Status
        from validate.theory.theorems import check

        if self.model.model == EVERY:
            return self._every()
        asked = {"rigorous": self.rigorous, "atlas": self.atlas, "track": track("theorems")}
        found = check(self.model.made(self.problem), self.seed, self.starts, **asked)
        counts = show_verdicts(found.problem, found.verdicts)
        write_result(self.json, "verify", found.plain())
        return 1 if counts[Status.FAILS] else 0

    def _every(self) -> int:
        """A line a model, each with the settings that it has; the reason for one that does not take them."""
        from ufm import InputError, Status
        from validate.theory.theorems import Checked, check

        found: list[Checked] = []
        left_out: dict[str, str] = {}
        for name, entry in track("models")(list(MODELS.items())):
            asked = replace(self.problem, bias=self.problem.bias and entry.bias)
            asked.problem()  # what none of them can have is refused
            try:
                model = ModelFlags(name).made(asked)
            except InputError as error:
                left_out[name] = as_flags(error, Command)
            else:
                found.append(check(model, self.seed, self.starts))
        show_models(found, left_out)
        write_result(self.json, "verify", {"models": [one.plain() for one in found], "left_out": left_out})
        return 1 if any(v.status == Status.FAILS for one in found for v in one.verdicts) else 0


def show_result(data: dict[str, Any]) -> None:
    """Print a result as `ufm verify` does."""
    from validate.theory.theorems import Checked

    if "models" in data:
        show_models([Checked.from_plain(one) for one in data["models"]], data["left_out"])
    else:
        found = Checked.from_plain(data)
        show_verdicts(found.problem, found.verdicts)


def show_models(found: "Sequence[Checked]", left_out: dict[str, str]) -> None:
    """Print a line a model: how many of its claims there are of each status, and which fail; why others have none."""
    from ufm import Status
    from validate.theory.theorems import counted

    rows = []
    for one in found:
        name = getattr(one.problem, "name", "free")
        failing = ", ".join(v.claim for v in one.verdicts if v.status == Status.FAILS)
        counts = counted(v.status for v in one.verdicts)
        rows.append((name, f"{one.problem.num_variables:,}", *(counts[status] for status in Status), failing or None))
    show("the claims about each model", ("model", "variables", *map(str, Status), "failing"), rows)
    for name, reason in left_out.items():
        say(f"{name}: not covered ({reason})")


def show_verdicts(problem: "Problem | Model[Any]", verdicts: "Sequence[Verdict]") -> dict[str, int]:
    """Print the verdicts and how many there are of each status; returns these numbers."""
    from validate.theory.theorems import counted

    show(
        _title(problem),
        ("claim", "statement", "status", "worst", "allowed", "what was looked at"),
        [(v.claim, v.statement, v.status, _short(v.worst), _short(v.tolerance), v.note) for v in verdicts],
    )
    counts = counted(verdict.status for verdict in verdicts)
    say(", ".join(f"{count} {status}" for status, count in counts.items()))
    return counts


def _title(asked: "Problem | Model[Any]") -> str:
    from ufm import Problem

    return _of_problem(asked) if isinstance(asked, Problem) else _of_model(asked)


def _of_model(model: "Model[Any]") -> str:
    """The settings of a model by name; tables by their shapes."""
    settings = {name: value for name, value in model.to_plain().items() if name not in ("model", "loss")}
    loss = f"loss {said(model.loss.to_plain())}"
    return f"{model.name}: {', '.join(map(_setting, settings.items()))}, {loss}: {model.num_variables:,} variables"


def _setting(pair: tuple[str, Any]) -> str:
    name, value = pair
    if isinstance(value, list):
        rows = value if isinstance(value[0], list) else [value]
        value = f"{len(rows)} x {len(rows[0])}" if isinstance(value[0], list) else " ".join(map(str, value))
    return f"{name} = {value:g}" if isinstance(value, float) else f"{name} = {value}"


def _of_problem(problem: "Problem") -> str:
    size = f"K = {problem.num_classes}, N = {problem.num_samples}, d = {problem.dim}"
    bias = f"lambda_b = {problem.lambda_b:g}" if problem.bias else "no bias"
    decay = f"lambda_w = {problem.lambda_w:g}, lambda_h = {problem.lambda_h:g}, {bias}"
    loss = "" if problem.loss.to_plain() == "cross-entropy" else f", {said(problem.loss.to_plain())}"
    return f"{size}, {decay}{loss}: {problem.num_variables:,} variables"


def _short(value: float | None) -> str | None:
    return None if value is None else f"{value:.1e}"
