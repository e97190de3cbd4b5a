"""The theory beside the runs: the prediction of each last layer, and the theorems on the networks' own problem."""

from typing import Any

import ufm
from ufm import PointVerdict, Problem, Status
from ufm.errors import require
from validate import Comparison
from validate.theory.theorems import counted, equivalent

from .finding import Finding, Runs
from .theory import FREE, NONNEGATIVE
from .trained import Trained

NEAR = 0.1  # relative deviation of margin and norms from the prediction up to which a run is said to meet it
SUMMARISED = ("mean_margin", "norm_w", "norm_h", "loss", "objective")
MEASURED = ("mean_margin", "norm_w", "norm_h")
PER_CLASS = 2  # samples of a class in the problem that the theorems are checked on
BLOCKS = 4  # most different classes of the critical points that are listed

BY_CONSTRUCTION = (
    "where W is fixed lambda_h is implied by the features' length, so that a collapsed network meets its model there"
)
ROUNDING = 1e-13  # of f - D, at an f of about 1
NOT_KEPT = "the record of the run keeps nothing of its last layer"

Table = list[dict[str, Any]]


def predictions(runs: Runs) -> Finding:
    """Margin and norms of every comparable run that fits lie within 10% of the prediction, and f is above its bound."""
    return _met(runs, FREE)


def predictions_behind_relu(runs: Runs) -> Finding:
    """Margin and norms of every comparable run that fits lie within 10% of the prediction with H >= 0 and W free or
    fixed as it is, and f is above its bound."""
    return _met(runs, NONNEGATIVE)


def _met(runs: Runs, features: str) -> Finding:
    """features: of the model, as for `validate.compare`."""
    table: Table = []
    for name, run in runs.items():
        table += _compared(name, run, features)
    compared = [row for row in table if row["quantity"] in MEASURED and runs[row["cell"]].fitted]
    gaps = [row["network"] for row in table if row["quantity"] == "gap"]
    covered = len({row["cell"] for row in compared})
    tables = {"all": table, "summary": _summary(table)}
    if not covered:
        return Finding(False, "no run that fits can be compared", tables)
    deviations = {name: [row["deviation"] for row in compared if row["quantity"] == name] for name in MEASURED}
    worst = {name: "predicted zero" if None in found else f"{max(found):.1%}" for name, found in deviations.items()}
    said = f"{covered} of {len(runs)} runs fit and can be compared; furthest from the prediction: "
    said += ", ".join(f"{name} {value}" for name, value in worst.items())
    far = {row["cell"] for row in compared if row["deviation"] is None or not row["deviation"] <= NEAR}
    near = {row["cell"] for row in compared} - far
    if features == NONNEGATIVE:
        said += f"; {BY_CONSTRUCTION}"
    said += f"; within {NEAR:.0%} in all three: {', '.join(sorted(near)) or 'none'}; least gap f - D {min(gaps):.3g}"
    number = f"{len(near)} of {covered} runs within {NEAR:.0%}"
    return Finding(len(near) == covered and all(gap >= -ROUNDING for gap in gaps), said, tables, number)


def _compared(name: str, run: Trained, features: str) -> Table:
    """The rows of one run: quantity, theory, network, relative deviation; one row saying why where there is none."""
    found = run.theory.get(features)
    comparison = found and found.comparison
    if not comparison:
        return [{"cell": name, "quantity": "not covered", "note": found.reason if found else NOT_KEPT}]
    if features == FREE and not isinstance(comparison.model, Problem):
        return [{"cell": name, "quantity": "not covered", "note": "the claim is about W and H that are free"}]
    rows = [
        {"cell": name, "quantity": row.name, "theory": row.theory, "network": row.network} for row in comparison.rows
    ]
    for row in rows:
        row["deviation"] = abs(row["network"] / row["theory"] - 1) if row["theory"] > 0 else None
    if found.place:
        place = found.place
        rows.append({"cell": name, "quantity": "distance to", "network": place.distance, "note": place.verdict})
    decay = comparison.problem.lambda_h
    return [*rows, {"cell": name, "quantity": "lambda_h", "network": decay, "note": "implied by balance, or given"}]


def _summary(table: Table) -> Table:
    """One row a run: network and theory side by side."""
    rows: dict[str, dict[str, Any]] = {}
    for entry in table:
        row, quantity = rows.setdefault(entry["cell"], {"run": entry["cell"]}), entry["quantity"]
        if quantity == "not covered":
            row["note"] = entry["note"]
        elif quantity in SUMMARISED:
            row[quantity] = entry["network"]
            row[f"{quantity}, theory"] = entry["theory"]
        elif quantity == "gap":
            row["gap f - D"] = entry["network"]
        elif quantity == "distance to":
            row["nearest critical point"] = f"{entry['note']}, {entry['network']:.3g} of its norm away"
    return list(rows.values())


def theorems(runs: Runs) -> Finding:
    """The theorems that apply hold at the networks' K, d and decays; all other listed points are strict saddles."""
    verdicts, levels, summary, said = [], [], [], []
    for name, run in runs.items():
        comparison = _free(run)
        problem = equivalent(comparison.problem, PER_CLASS * comparison.problem.num_classes)
        verdicts += [{"cell": name, **verdict.plain()} for verdict in ufm.verify(problem, starts=2)]
        found = _levels(problem)
        levels += [{"cell": name, **row} for row in found]
        summary.append({"run": name, **_placed(comparison, found)})
        said.append(f"{name} is {summary[-1]['above the minimum']:.2%} above the minimum of its problem")
    counts = counted(verdict["status"] for verdict in verdicts)
    others = {row["verdict"] for row in levels if row["point"] != "minimiser"}
    said += [f"verdicts: {', '.join(f'{count} {status}' for status, count in counts.items())}"]
    holds = counts[Status.HOLDS] > 0 and not counts[Status.FAILS] and others == {PointVerdict.STRICT_SADDLE}
    number = f"{counts[Status.HOLDS]} verdicts hold, {counts[Status.FAILS]} fail"
    return Finding(holds, "; ".join(said), {"verdicts": verdicts, "levels": levels, "summary": summary}, number)


def _free(run: Trained) -> Comparison:
    """The comparison with W and H free; InputError where there is none."""
    found = run.theory.get(FREE)
    require(found is not None, f"{run.name}: {NOT_KEPT}")
    require(found.comparison is not None, found.reason)
    return found.comparison


def _levels(problem: Problem) -> Table:
    """The minimiser, and the critical points with few different classes, from low to high."""
    best = ufm.global_minimizer(problem)
    known = ufm.certify(problem, best)
    rows = [{"point": "minimiser", "level": known.value, "rank": problem.num_classes - 1, "index": known.index}]
    rows[0] |= {"copies": 1, "verdict": known.verdict}
    for point in ufm.partition_points(problem, blocks=BLOCKS):
        row = {"point": point.shape, "level": point.level, "rank": point.rank, "index": point.index}
        rows.append(row | {"copies": point.copies, "verdict": point.certificate.verdict})
    return rows


def _placed(comparison: Comparison, levels: Table) -> dict[str, Any]:
    """Where the network's f is among the levels."""
    p, value, best = comparison.problem, comparison.certificate.value, levels[0]["level"]
    saddles = [row["level"] for row in levels[1:]]
    return {
        **{"d": p.dim, "lambda_w": p.lambda_w, "n lambda_h": p.lambda_h * p.num_samples / p.num_classes},
        **{"f of the network": value, "minimum": best, "above the minimum": value / best - 1},
        **{"saddles listed": len(saddles), "lowest saddle": min(saddles), "highest (the origin)": max(saddles)},
    }
