"""One self-contained page about a run: what was asked, the verdicts, theory beside network, the figures."""

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2

from ufm import InputError
from ufm.errors import Call, require
from ufm.storage.files import read_json, write_text
from validate import OnSpheres, Run
from validate.runs.provenance import provenance
from validate.theory.theorems import counted

from ..drawing.drawing import ONE_COLUMN, Drawing
from ..pages.page import ROOM as HOUSE
from ..pages.page import rendered
from ..pages.words import in_words
from .comparison import Track
from .figures import drawings_of
from .material import Material
from .mathematics import meaning, objective, typeset
from .said import minimiser_said

DAMAGED = "the verdicts or validation.json are damaged"
ROOM = Path(__file__).parent
LISTED = 15  # so many epochs are in the page's table
COLUMNS = ("epoch", "loss", "accuracy", "test_accuracy", "mean_margin", "nc1", "nc2", "nc3", "nc4")


def write_report(
    run: Run,
    verdicts: Path | None = None,
    track: Track = iter,
    commands: Sequence[str] = (),
) -> Path:
    """Write RUN/report.html and return its path.

    verdicts   a file that `ufm verify --json` wrote, about another problem than the network's own
    track      wraps the figures' names, to show progress
    commands   lines for a shell that do it again, to be shown

    What the page has nothing on, it says is not covered. Raises InputError when the run has no epochs or
    `verdicts` is not such a file.
    """
    material = Material(run)
    comparison, epochs = material.comparison, material.epochs
    other = _read_verdicts(verdicts) if verdicts else None
    rechecked = read_json(run.analysis) if run.analysis.is_file() else None
    own = _own_verdicts(rechecked)
    drawings = drawings_of(material, track)
    page = _render(
        title=f"Neural collapse in the run {run.name}",
        summary=_summary(own, other, material),
        asked={name: in_words(value) for name, value in run.recipe.items()},
        minimised=run.minimised,
        objective=objective(run.minimised) if run.minimised else "",
        typeset=typeset,
        meaning=meaning,
        own=own,
        fewer=own and comparison and own["problem"] != comparison.model.to_plain(),
        other=other,
        comparison=comparison,
        on_spheres=isinstance(comparison, OnSpheres),
        minimiser=minimiser_said([material]),
        not_covered=material.not_covered,
        rechecked=rechecked,
        figures=[_figure(name, drawing) for name, drawing in drawings.items()],
        epochs=_some(epochs),
        last_epoch=int(epochs[-1]["epoch"]),
        columns=[name for name in COLUMNS if name in epochs[0]],
        made_by=_made_by(run),
        commands=commands,
    )
    path = run.path / "report.html"
    write_text(path, page)
    return path


def _some(epochs: list[dict[str, float]]) -> list[dict[str, float]]:
    """Some epochs, evenly spaced, the first and the last among them."""
    last, count = len(epochs) - 1, min(LISTED, len(epochs))
    return [epochs[round(i * last / max(1, count - 1))] for i in range(count)]


def _render(**contents: Any) -> str:
    try:
        return rendered(
            ROOM / "report.html", [ROOM / "report.css"], [HOUSE / "tables.js"], filters={"listed": _listed}, **contents
        )
    except (jinja2.UndefinedError, TypeError) as error:
        raise InputError(f"{DAMAGED} ({error}); make them again") from error


def _read_verdicts(file: Path) -> dict[str, Any]:
    found = read_json(file)
    require(_has_verdicts(found), f"{file} holds no verdicts", ("make it with ", Call("ufm.verify")))
    return found


def _has_verdicts(found: Any) -> bool:
    """Whether this is what `ufm verify --json` writes: a problem and some verdicts."""
    listed = found.get("verdicts") if isinstance(found, dict) else None
    whole = isinstance(listed, list) and all(isinstance(one, dict) and "status" in one for one in listed)
    return bool(whole and listed and isinstance(found.get("problem"), dict))


def _own_verdicts(rechecked: Any) -> dict[str, Any] | None:
    """The verdicts on the network's own model, where `ufm validate --theorems` left them in validation.json."""
    found = rechecked.get("theorems") if isinstance(rechecked, dict) else None
    require(
        found is None or _has_verdicts(found),
        f"{DAMAGED} (no verdicts)",
        ("make it again with ", Call("networks.remeasure")),
    )
    return found


def _summary(own: dict[str, Any] | None, other: dict[str, Any] | None, material: Material) -> str:
    parts = [
        f"Theorems {where}: {', '.join(f'{count} {status}' for status, count in _counts(checked).items())}."
        for where, checked in (("on the network's own model", own), ("on another problem", other))
        if checked
    ]
    if material.comparison:
        margin = next(row for row in material.comparison.rows if row.name == "mean_margin")
        gap = material.comparison.certificate.duality_gap
        parts.append(f"Mean logit margin: theory predicts {margin.theory:.4g}, the network has {margin.network:.4g}.")
        parts.append(f"Its objective is within {gap:.2g} of the best, certified by duality.")
    else:
        parts.append(f"Beside theory: not covered ({material.not_covered}).")
    return " ".join(parts)


def _counts(checked: dict[str, Any]) -> dict[str, int]:
    return counted(verdict["status"] for verdict in checked["verdicts"])


def _listed(settings: dict[str, Any]) -> str:
    return ", ".join(f"{name} {in_words(value)}" for name, value in settings.items())


def _made_by(run: Run) -> dict[str, str]:
    """The provenance of the training and of this page, one line each."""

    def line(record: dict[str, Any]) -> str:
        versions = ", ".join(f"{name} {version}" for name, version in record.get("versions", {}).items())
        return f"{versions}; revision {record.get('git') or 'unknown'}"

    return {"training": line(run.config), "this page": line(provenance())}


def _figure(name: str, drawing: Drawing) -> dict[str, Any]:
    """A figure as a data URI, so that the page stands alone and its ids stay apart, with its size in CSS pixels."""
    width, height = drawing.figure.get_size_inches()
    return {
        "name": name,
        "caption": drawing.caption,
        "source": "data:image/svg+xml;base64," + base64.b64encode(drawing.bytes("svg")).decode(),
        "wide": width > ONE_COLUMN,
        "width": round(96 * width),
        "height": round(96 * height),
    }
