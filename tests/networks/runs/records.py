"""The rows and the files of a record, so that two can be compared."""

import math


def rows_of(run):
    """The rows of epochs.csv without the numbers that are not defined: NaN equals nothing."""
    return [{k: v for k, v in row.items() if not math.isnan(v)} for row in run.epochs]


def files_of(run):
    """The bytes of every file of a run, by its path in the run."""
    return {str(path.relative_to(run.path)): path.read_bytes() for path in run.path.rglob("*") if path.is_file()}
