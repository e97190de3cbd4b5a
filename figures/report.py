"""One self-contained page about a run: what was asked, the verdicts, theory beside network, the figures."""

import base64
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from ufm import InputError
from ufm.files import read_json, write_text
from validate import Comparison, Run, not_covered
from validate.provenance import provenance

from .compare import Track
from .drawing import ONE_COLUMN, Drawing
from .material import Material
from .runs import drawings_of
from .settings import in_words

NO_POINT = (
    "no point of the run is on disk (RUN/points/last.safetensors), so there is no last layer to compare with theory, "
    "and no spectrum and no lower bounds to draw"
)
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

    verdicts   the file that `ufm verify --json` wrote; without it the page says "not covered" there
    track      wraps the figures' names, to show progress
    commands   command lines that do it again, to be shown

    What the page has nothing on, it says is not covered. Raises InputError when the run has no epochs or
    `verdicts` is not such a file.
    """
    material = Material(run)
    theorems = _read_verdicts(verdicts) if verdicts else {"verdicts": [], "problem": None}
    drawings = drawings_of(material, track)
    epochs = material.epochs
    page = _render(
        style=Markup((ROOM / "report.css").read_text(encoding="utf-8")),
        script=Markup((ROOM / "report.js").read_text(encoding="utf-8")),
        title=f"Neural collapse in the run {run.name}",
        summary=_summary(theorems["verdicts"], material.comparison),
        asked={name: in_words(value) for name, value in run.config.get("recipe", {}).items()},
        verdicts=theorems["verdicts"],
        problem=_listed(theorems["problem"]),
        comparison=material.comparison,
        network_problem=_listed(material.comparison and material.comparison.problem.settings()),
        balance_implies=run.config.get("lambda_h") is None,
        not_covered=not_covered(run) or NO_POINT,
        rechecked=read_json(run.analysis) if run.analysis.is_file() else None,
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


def _some(epochs: list[dict[str, float]]) -> list[dict[str, float | None]]:
    """Some epochs, evenly spaced, the first and the last among them; None for what is not a number."""
    last, count = len(epochs) - 1, min(LISTED, len(epochs))
    rows = [epochs[round(i * last / max(1, count - 1))] for i in range(count)]
    return [{name: value if math.isfinite(value) else None for name, value in row.items()} for row in rows]


def _render(**contents: Any) -> str:
    try:
        return _environment().from_string((ROOM / "report.html").read_text(encoding="utf-8")).render(**contents)
    except (jinja2.UndefinedError, TypeError) as error:
        raise InputError(f"the verdicts or validation.json are damaged ({error}); make them again") from error


def _read_verdicts(file: Path) -> dict[str, Any]:
    found = read_json(file)
    listed = isinstance(found, dict) and isinstance(found.get("verdicts"), list) and found["verdicts"]
    if not listed or "problem" not in found or not all(isinstance(verdict, dict) for verdict in listed):
        raise InputError(f"{file} holds no verdicts; make it with ufm verify --json {file}")
    return found


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["number"] = lambda value: "-" if value is None else f"{value:.5g}"
    environment.filters["short"] = lambda value: "-" if value is None else f"{value:.1e}"
    return environment


def _summary(verdicts: list[dict[str, Any]], comparison: Comparison | None) -> str:
    parts = []
    if verdicts:
        statuses = [verdict["status"] for verdict in verdicts]
        counts = {status: statuses.count(status) for status in ("holds", "fails", "not covered")}
        parts.append("Theorems: " + ", ".join(f"{count} {status}" for status, count in counts.items()) + ".")
    if comparison:
        margin = next(row for row in comparison.rows if row.name == "mean_margin")
        parts.append(f"Mean logit margin: theory predicts {margin.theory:.4g}, the network has {margin.network:.4g}.")
        parts.append(f"Its objective is proved to be within {comparison.certificate.duality_gap:.2g} of the best.")
    return " ".join(parts) or "Nothing was checked yet."


def _listed(settings: dict[str, Any] | None) -> str:
    return ", ".join(f"{name} {in_words(value)}" for name, value in (settings or {}).items())


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
