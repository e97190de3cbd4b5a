"""A network's last layer beside one model of theory, or why it is not: what is kept of it needs no features."""

from dataclasses import dataclass

from ufm import InputError, Problem
from ufm.results import Result
from validate import Comparison, Run, compare_run, locate
from validate.theory.locate import Neighbourhood

FREE, NONNEGATIVE = "free", "nonnegative"  # features, as for `validate.compare`


@dataclass(frozen=True)
class Theory(Result):
    """comparison  with the minimiser of the run's own model, or None     reason  why there is none; else empty
    place          the neighbourhood of a last layer whose model has free W and H
    """

    comparison: Comparison | None
    place: Neighbourhood | None = None
    reason: str = ""


def theory_of(run: Run) -> dict[str, Theory]:
    """That of a run by its model's features: free, and behind a ReLU (H >= 0)."""
    return {features: _beside(run, features) for features in (FREE, NONNEGATIVE)}


def _beside(run: Run, features: str) -> Theory:
    try:
        comparison = compare_run(run, features)
    except InputError as reason:
        return Theory(None, reason=str(reason))
    return Theory(comparison, locate(comparison) if isinstance(comparison.model, Problem) else None)
