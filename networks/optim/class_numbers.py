"""A number for each class, out of how many training samples each has: weights and offsets of losses for imbalance."""

import math
from collections.abc import Callable
from typing import Literal, Union, get_args

from ufm.errors import Setting, require

Rule = Literal["balanced", "inverse"]
ClassWeights = Union[Rule, tuple[float, ...], None]  # noqa: UP007 (evaluated on Python 3.10)
Counts = tuple[int, ...]


def balanced(counts: Counts) -> tuple[float, ...]:
    """w_k = N / (K n_k), as sklearn's class_weight="balanced": their mean over the samples is 1."""
    return tuple(sum(counts) / (len(counts) * n) for n in counts)


def inverse(counts: Counts) -> tuple[float, ...]:
    """w_k in proportion to 1 / n_k, with mean 1 over the classes."""
    total = sum(1 / n for n in counts)
    return tuple(len(counts) / (n * total) for n in counts)


RULES: dict[str, Callable[[Counts], tuple[float, ...]]] = {"balanced": balanced, "inverse": inverse}


def require_samples(counts: Counts) -> None:
    """Raise InputError for a class without training samples."""
    empty = [k for k, n in enumerate(counts) if not n]
    said = f"class {empty[0]} has no training sample, and the loss asks for its share of them" if empty else ""
    require(not empty, said, "leave the class out or take another loss")


def require_weights(asked: ClassWeights) -> ClassWeights:
    """The setting, with a tuple for a list (JSON has lists only); InputError for what it cannot be."""
    known = f" must be {', '.join(get_args(Rule))} or a number > 0 for each class, got {asked!r}"
    if asked is None or isinstance(asked, str):
        require(asked is None or asked in RULES, (Setting("class_weights"), known))
        return asked
    good = bool(asked) and all(0 < weight < math.inf for weight in asked)
    require(good, (Setting("class_weights"), known))
    return tuple(float(weight) for weight in asked)


def weights(asked: ClassWeights, counts: Counts) -> tuple[float, ...] | None:
    """The weight of each class, None where all are 1 by default. InputError for too many or too few of them."""
    if asked is None:
        return None
    if isinstance(asked, str):
        require_samples(counts)
        return RULES[asked](counts)
    wanted = f" must be one for each of {len(counts)} classes, got {len(asked)}"
    require(len(asked) == len(counts), (Setting("class_weights"), wanted))
    return asked


def log_prior(tau: float, counts: Counts) -> tuple[float, ...]:
    """tau log(n_k / N)."""
    require_samples(counts)
    return tuple(tau * math.log(n / sum(counts)) for n in counts)


def log_counts(counts: Counts) -> tuple[float, ...]:
    """log n_k."""
    require_samples(counts)
    return tuple(math.log(n) for n in counts)
