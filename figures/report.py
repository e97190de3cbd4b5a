"""One self-contained page about a run: what was asked, the verdicts, theory beside network, the figures."""

import base64
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import jinja2

from ufm import InputError
from ufm.files import read_json, write_text
from validate import Comparison, Run, not_covered
from validate.provenance import provenance

from .drawing import Drawing
from .material import Material
from .runs import drawings_of

TEMPLATE = Path(__file__).with_name("report.html")


def write_report(
    run: Run,
    verdicts: Path | None = None,
    track: Callable[[Iterable[str]], Iterable[str]] = iter,
) -> Path:
    """Write RUN/report.html and return its path.

    verdicts   the file that `ufm verify --json` wrote; without it the page says "not covered" there
    track      wraps the figures' names, to show progress

    What the page has nothing on, it says is not covered. Raises InputError when the run has no epochs or
    `verdicts` is not such a file.
    """
    material = Material(run)
    theorems = _read_verdicts(verdicts) if verdicts else {"verdicts": [], "problem": None}
    drawings = drawings_of(material, track)
    page = _render(
        title=f"Neural collapse in the run {run.name}",
        summary=_summary(theorems["verdicts"], material.comparison),
        asked=run.config.get("recipe", {}),
        verdicts=theorems["verdicts"],
        problem=_in_words(theorems["problem"]),
        comparison=material.comparison,
        network_problem=_in_words(material.comparison and material.comparison.problem.settings()),
        balance_implies=run.config.get("lambda_h") is None,
        not_covered=not_covered(run) or "the run has recorded no point yet",
        rechecked=read_json(run.analysis) if run.analysis.is_file() else None,
        figures=[{"source": _embedded(d), "caption": d.caption} for d in drawings.values()],
        made_by=_made_by(run),
    )
    path = run.path / "report.html"
    write_text(path, page)
    return path


def _render(**contents: Any) -> str:
    try:
        return _environment().from_string(TEMPLATE.read_text(encoding="utf-8")).render(**contents)
    except (jinja2.UndefinedError, TypeError) as error:
        raise InputError(f"the verdicts or validation.json are damaged ({error}); make them again") from error


def _read_verdicts(file: Path) -> dict[str, Any]:
    found = read_json(file)
    listed = isinstance(found, dict) and isinstance(found.get("verdicts"), list) and found["verdicts"]
    if not listed or "problem" not in found or not all(isinstance(verdict, dict) for verdict in listed):
        raise InputError(f"{file} holds no verdicts; make it with ufm verify --json {file}")
    return found


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
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


def _in_words(settings: dict[str, Any] | None) -> str:
    plain = {k: f"{v:.6g}" if isinstance(v, float) else v for k, v in (settings or {}).items()}
    return ", ".join(f"{name} {value}" for name, value in plain.items())


def _made_by(run: Run) -> dict[str, str]:
    """The provenance of the training and of this page, one line each."""

    def line(record: dict[str, Any]) -> str:
        versions = ", ".join(f"{name} {version}" for name, version in record.get("versions", {}).items())
        return f"{versions}; revision {record.get('git') or 'unknown'}"

    return {"training": line(run.config), "this page": line(provenance())}


def _embedded(drawing: Drawing) -> str:
    """The figure as a data URI, so that the page stands alone and its ids stay apart."""
    return "data:image/svg+xml;base64," + base64.b64encode(drawing.bytes("svg")).decode()
