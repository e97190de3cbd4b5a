"""ufm flow: where decays vanish, computed beside theory: minimisers, the flow without decay, the central path."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from ..console import say, show
from ..options import JsonFile, write_result

if TYPE_CHECKING:
    from figures.drawing.drawing import Drawing
    from ufm.flows import Approach, Moment, Station
    from ufm.models import Ridgeless

WHOLES = Annotated[tuple[int, ...], tyro.conf.arg(metavar="N1 N2 ...")]
OWN = {  # the flags that each kind has alone or shares with another
    "seli": ("class_counts", "ratio", "lambdas"),
    "margin": ("class_counts", "reach", "size", "frames"),
    "central": ("K", "n", "until", "signal", "frames"),
}
NEAR = 0.99  # a cosine to SELI
EXACT = 1e-6  # relative: what theory and computation may differ by


@dataclass(frozen=True)
class Command:
    """Follow what happens as weight decay vanishes, beside its closed form or its limit.

    seli: the minimisers of cross-entropy for smaller and smaller lambda, beside the largest margin (SELI) in closed
    form, certified. margin: the gradient flow of cross-entropy without decay from a random start, in log t, with its
    residual of the largest margin's KKT conditions. central: squared error with an optimal classifier, its
    renormalised flow of features beside the closed form of its singular values. With --figures they are drawn. Exit
    status 1 where computation and theory differ.
    """

    kind: str = "seli"
    """seli, margin or central"""
    class_counts: WHOLES = (5, 5, 1, 1)
    """of seli and margin: samples in each class"""
    K: Annotated[int, tyro.conf.arg(aliases=["-K"], metavar="INT")] = 4
    """of central: number of classes"""
    n: Annotated[int, tyro.conf.arg(aliases=["-n"], metavar="INT")] = 5
    """of central: samples in each class"""
    d: Annotated[int, tyro.conf.arg(aliases=["-d"], metavar="INT")] = 6
    """feature dimension"""
    ratio: float = 1.0
    """of seli: lambda_w over lambda_h"""
    lambdas: Annotated[tuple[float, ...], tyro.conf.arg(metavar="FLOAT ...")] = (
        *(1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10, 1e-11),
    )
    """of seli: sqrt(lambda_w lambda_h), one or more"""
    reach: float = 1000.0
    """of margin: follow the flow to f = e^-REACH"""
    size: float = 1.0
    """of margin: the random start's entries have that standard deviation times 1/sqrt(d)"""
    until: float = 1e5
    """of central: the last time"""
    signal: float = 0.4
    """of central: the size of the random class means in units of the spread within classes"""
    frames: int = 40
    """of margin and central: moments that are recorded"""
    seed: int = 0
    """of the random start"""
    figures: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """draw the figure into that folder"""
    json: JsonFile = None

    def check(self, given: set[str]) -> None:
        from ufm.errors import require

        from ..flags import require_unused

        require(self.kind in OWN, f"unknown kind {self.kind!r}; choose one of: {', '.join(OWN)}")
        others = {flag for flags in OWN.values() for flag in flags} - set(OWN[self.kind])
        require_unused(given, others, f"--kind {self.kind} does not have it")
        require(0 <= self.seed < 2**63, f"--seed must lie in 0 .. 2^63 - 1, got {self.seed}")
        if self.kind == "seli":
            require(min(self.lambdas) > 0, f"--lambdas must be > 0, got {min(self.lambdas):g}")

    def run(self) -> int:
        found = FOLLOWED[self.kind](self)
        asked = {name: getattr(self, name) for name in (*OWN[self.kind], "d", "seed")}
        result = {"kind": self.kind, "asked": {k: list(v) if isinstance(v, tuple) else v for k, v in asked.items()}}
        result["found"] = [one.plain() for one in found]
        complaints = show_result(result)
        if self.figures:
            for path in _drawn(result, found).save(self.figures, self.kind):
                say(str(path))
        write_result(self.json, "flow", result)
        return 1 if complaints else 0


def _seli(flags: Command) -> "list[Approach]":
    from ufm.flows import approach
    from ufm.models import Ridgeless

    return approach(Ridgeless(flags.class_counts, flags.d, flags.ratio), flags.lambdas, flags.seed)


def _margin(flags: Command) -> "list[Moment]":
    from dataclasses import replace

    from ufm.errors import require
    from ufm.flows import without_decay
    from ufm.models import Ridgeless
    from ufm.solvers.minimize import random_point

    require(0 < flags.size <= 1e3, f"--size must lie in (0, 1000], got {flags.size:g}")
    model = Ridgeless(flags.class_counts, flags.d)
    start = random_point(model.problem(1.0), flags.seed)
    start = replace(start, W=flags.size * start.W, H=flags.size * start.H)
    return without_decay(model, start, flags.reach, flags.frames)


def _central(flags: Command) -> "list[Station]":
    import numpy as np

    from ufm.errors import require
    from ufm.flows import central_path, random_features

    require(flags.frames >= 3, f"--frames must be >= 3 with --kind central, got {flags.frames}")
    require(0 < flags.until <= 1e12, f"--until must lie in (0, 1e12], got {flags.until:g}")
    require(1e-3 <= flags.signal <= 1e3, f"--signal must lie in [0.001, 1000], got {flags.signal:g}")
    H = random_features(flags.K, flags.n, flags.d, flags.seed, flags.signal)
    return central_path(H, flags.K, [0.0, *np.geomspace(1e-5 * flags.until, flags.until, flags.frames - 1)])


FOLLOWED: dict[str, Callable[[Command], Any]] = {"seli": _seli, "margin": _margin, "central": _central}


def show_result(data: dict[str, Any]) -> list[str]:
    """Print a result as `ufm flow` does; returns where computation and theory differ, a line each."""
    found = _records(data)
    complaints = SHOWN[data["kind"]](data["asked"], found)
    for complaint in complaints:
        say(complaint)
    return complaints


def _records(data: dict[str, Any]) -> list[Any]:
    from ufm.flows import Approach, Moment, Station

    record: Any = {"seli": Approach, "margin": Moment, "central": Station}[data["kind"]]
    return [record.from_plain(one) for one in data["found"]]


def _model(asked: dict[str, Any]) -> "Ridgeless":
    from ufm.models import Ridgeless

    return Ridgeless(tuple(asked["class_counts"]), asked["d"], asked.get("ratio", 1.0))


def _title(asked: dict[str, Any]) -> str:
    return f"n_k = {' '.join(map(str, asked['class_counts']))}, d = {asked['d']}, no bias"


def _show_seli(asked: dict[str, Any], found: "list[Approach]") -> list[str]:
    from ufm.flows import rate

    model = _model(asked)
    judged, limit = model.certify(model.closed_form()), rate(model)
    columns = ("lambda", "margin", "1 - cos of the logits", "tangent times margin", "its limit")
    rows = [
        (f"{one.decay:g}", f"{one.level:.4f}", f"{one.distance:.3e}", f"{one.tangent * one.level:.4g}", f"{limit:.4g}")
        for one in found
    ]
    show(
        f"minimisers beside the largest margin, {_title(asked)}, lambda_w/lambda_h = {asked['ratio']:g}", columns, rows
    )
    largest = max(v for k, row in enumerate(model.dual.tolist()) for c, v in enumerate(row) if c != k)
    say(f"SELI: {judged.verdict} {judged.note}; value {judged.value:.10g}, least bound {judged.lower_bound:.10g}")
    say(f"its dual variable is at most {largest:.3g} off the labels")
    if limit < EXACT:
        say("for these class counts the minimiser has SELI's logits, but for a factor, at every lambda")
    missed = [f"the descent at lambda = {one.decay:g} did not converge" for one in found if not one.converged]
    return missed + ([] if judged.verdict == "global minimizer" else ["SELI is not certified"])


def _show_margin(asked: dict[str, Any], found: "list[Moment]") -> list[str]:
    columns = (
        "log f",
        "log(1 + t)",
        "|x|",
        "|x|^2/(2 log 1/f)",
        "KKT residual",
        "1 - cos to SELI",
        "spread in classes",
    )
    rows = [
        (
            *(f"{one.log_loss:.4g}", f"{one.log_time:.4g}", f"{one.norm:.4g}"),
            f"{-(one.norm**2) / (2 * one.log_loss):.4g}" if one.log_loss < 0 else None,
            None if one.residual is None else f"{one.residual:.2e}",
            None if one.cosine is None else f"{1 - one.cosine:.2e}",
            f"{one.spread:.2e}",
        )
        for one in _some(found)
    ]
    show(f"the gradient flow without decay, {_title(asked)}", columns, rows)
    model, drift = _model(asked), max(one.drift for one in found)
    if found[-1].cosine is not None:
        say(f"the largest margin's least |x|^2/2: {float(model.objective(model.closed_form())):.10g}")
        if found[-1].cosine < NEAR:
            say("the direction is not near SELI yet; other KKT points are left slowly, so follow it further (--reach)")
    say(f"W^T W - H^T H and 1^T W stay to {drift:.1e}")
    return [] if drift < EXACT else ["the flow does not conserve what it should"]


def _show_central(asked: dict[str, Any], found: "list[Station]") -> list[str]:
    from ufm.flows import singular_value

    K, N = asked["K"], asked["K"] * asked["n"]
    begin = found[0].values.tolist()

    def off(one: "Station") -> float:
        wanted = [singular_value(K, N, w, one.time) for w in begin]
        return max(abs(w / v - 1) for w, v in zip(wanted, one.values.tolist(), strict=True))

    columns = ("t", "L", "largest value", "least value", "least/largest", "off the closed form")
    rows = [
        (
            *(f"{one.time:.4g}", f"{one.loss:.6g}", f"{float(one.values[0]):.6g}", f"{float(one.values[-1]):.6g}"),
            *(f"{float(one.values[-1] / one.values[0]):.6f}", f"{off(one):.1e}"),
        )
        for one in _some(found)
    ]
    show(f"the central path, K = {K}, n = {asked['n']}, d = {asked['d']}", columns, rows)
    worst, turn = max(map(off, found)), max(one.turn for one in found)
    say(f"singular values are within {worst:.1e} of the closed form, singular vectors stay to {turn:.1e}")
    return [] if max(worst, turn) < EXACT else ["the path is not the one of the closed form"]


SHOWN: dict[str, Callable[[dict[str, Any], Any], list[str]]] = {
    "seli": _show_seli,
    "margin": _show_margin,
    "central": _show_central,
}


def _some(found: list[Any]) -> list[Any]:
    """Sixteen rows at most, first and last among them."""
    count = min(16, len(found))
    return [found[round(i * (len(found) - 1) / max(1, count - 1))] for i in range(count)]


def _drawn(data: dict[str, Any], found: list[Any]) -> "Drawing":
    from figures.theory.flows import approach_figure, central_figure, margin_figure

    asked = data["asked"]
    if data["kind"] == "central":
        return central_figure(found, asked["K"], asked["K"] * asked["n"])
    return (approach_figure if data["kind"] == "seli" else margin_figure)(_model(asked), found)
