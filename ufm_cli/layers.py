"""The layers of a run's network as tables."""

import math
from typing import Any

from .console import say, show

COLUMNS = {  # of the table, with the fields of `validate.Layer`
    "layer": "name",
    "d": "dim",
    "NC1": "nc1",
    "D": "separation_fuzziness",
    "CDNV": "cdnv",
    "nearest centre": "nearest_center_accuracy",
    "NC2 means": "nc2_means",
    "rank": "rank",
    "stable rank": "stable_rank",
    "features' rank": "rank_features",
    "CKA": "cka",
    "largest angle": "largest_angle",
}


def show_layers(data: dict[str, Any]) -> None:
    """Print every layer after the last epoch measured, and the law of data separation after each."""
    from validate.layerwise.layer import LayersOfRun

    found = LayersOfRun.from_plain(data)
    last = found.epochs[-1]
    rows = [[_cell(getattr(row, field)) for field in COLUMNS.values()] for row in last.layers]
    show(f"every layer after epoch {last.epoch}, on the training set", list(COLUMNS), rows)
    say("CKA and the largest principal angle (radians) are with the layer before; D is the separation fuzziness")
    laws = [(one.epoch, one.layers.law.rate, one.layers.law.correlation, one.layers.law.layers) for one in found.epochs]
    show(
        "the law of data separation, log D against depth",
        ("epoch", "D of a layer/D of the one before", "correlation", "layers"),
        laws,
    )


def _cell(value: Any) -> Any:
    """The text of a table's cell; a dash for what the first layer, or a wide one, has not."""
    from validate import Estimate

    if isinstance(value, Estimate):
        return str(value)
    return None if isinstance(value, float) and math.isnan(value) else value
