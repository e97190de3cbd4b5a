"""Which problems of a sweep go together: those of one loss, K, T and bias, with d within a factor of two.

Descents cost the same as with a class more, and are faster in larger batches: where the loss says what logit a class
has that is absent, K = 2k - 1 and 2k go together.
"""

from collections.abc import Hashable, Iterator, Sequence
from typing import Any

from ..losses.own import Own
from ..problem import Problem
from ..solvers.minimize import require_memory

LARGEST = 2000  # collapsed variables: a problem of more gains nothing from company


def fits(problem: Any) -> bool:
    """Whether the problem is one of a batch, be it alone in it; models and losses of the user's own are not."""
    if not isinstance(problem, Problem) or isinstance(problem.loss, Own):
        return False
    return (problem.num_classes + problem.num_types) * problem.dim <= LARGEST


def batches(problems: Sequence[Any], *, paired: bool = False) -> Iterator[list[int]]:
    """The places of the problems that go together; one that fits no batch goes alone.

    paired  whether K = 2k - 1 and 2k may go together
    """
    found: dict[Hashable, list[int]] = {}
    for i, problem in enumerate(problems):
        alike: Hashable = i
        if fits(problem):
            require_memory(problem)
            K, T = problem.num_classes, problem.num_types
            classes = (K + 1) // 2 if paired and hasattr(problem.loss, "absent") else (K, T)
            alike = problem.loss, classes, problem.bias, (problem.dim - 1).bit_length()
        found.setdefault(alike, []).append(i)
    yield from found.values()
