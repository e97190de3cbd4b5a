"""The rows of a record, so that two can be compared."""

import math


def rows_of(run):
    """The rows of epochs.csv without the numbers that are not defined: NaN equals nothing."""
    return [{k: v for k, v in row.items() if not math.isnan(v)} for row in run.epochs]
