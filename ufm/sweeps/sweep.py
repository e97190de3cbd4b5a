"""ufm.sweep: thousands of small problems minimised in batches."""

from collections.abc import Hashable, Sequence

import torch

from ..errors import Setting, require
from ..losses.own import Own
from ..point import Point
from ..problem import Problem
from ..solvers.bias import without_shift
from ..solvers.minimize import Solution, minimize, random_point, require_memory
from .newton import descend
from .stack import Stack

MOST_ITERATIONS = 1000
LARGEST = 2000  # collapsed variables: a problem of more gains nothing from company


def sweep(problems: Sequence[Problem], seed: int = 0, tol: float = 1e-10) -> list[Solution]:
    """`ufm.minimize(problem, seed, tol)` of every problem, in order: the same starts, and the same paths to rounding.

    Problems of one loss, K, T and bias are one batch, with d within a factor of two: those of fewer dimensions are
    given columns of zeros, in which f has no gradient, so that nothing changes, and which are cut off again. A problem
    with a loss of the user's own, or with more than 2,000 collapsed variables, is minimised alone.
    Raises InputError as `ufm.minimize` does.

    >>> import ufm
    >>> decays = (1e-3, 1e-2, 1e-1, 1.0)
    >>> solutions = ufm.sweep([ufm.Problem.balanced(3, 2, 2, lambda_w=decay, lambda_h=decay) for decay in decays])
    >>> [round(solution.value, 4) for solution in solutions]  # log 3 at last, where W = H = 0
    [0.0214, 0.1483, 0.7917, 1.0986]
    """
    require(0 < tol < 1, (Setting("tol"), f" must lie in (0, 1), got {tol}"))
    others = [type(problem).__name__ for problem in problems if not isinstance(problem, Problem)]
    require(not others, f"a sweep is of problems, got a {others[0] if others else ''}; a model has its own minimize()")
    found: dict[int, Solution] = {}
    for places in _batches(problems):
        members = [problems[i] for i in places]
        solved = _together(members, seed, tol) if _fits(members[0]) else [minimize(p, seed, tol) for p in members]
        found.update(zip(places, solved, strict=True))
    return [found[i] for i in range(len(problems))]


def _fits(problem: Problem) -> bool:
    """Whether the problem is minimised in company."""
    size = (problem.num_classes + problem.num_types) * problem.dim
    return size <= LARGEST and not isinstance(problem.loss, Own)


def _batches(problems: Sequence[Problem]) -> list[list[int]]:
    """The places of the problems that go together."""
    batches: dict[Hashable, list[int]] = {}
    for i, problem in enumerate(problems):
        require_memory(problem)
        alike = problem.loss, problem.num_classes, problem.num_types, problem.bias, (problem.dim - 1).bit_length()
        batches.setdefault(alike if _fits(problem) else i, []).append(i)
    return list(batches.values())


def _together(problems: list[Problem], seed: int, tol: float) -> list[Solution]:
    dim = max(problem.dim for problem in problems)
    means = [problem.class_means(random_point(problem, seed)).padded(dim) for problem in problems]
    f = Stack.of(problems, dim)
    start = f.join(*(torch.stack([getattr(point, name) for point in means]) for name in ("W", "H", "b")))
    ended, histories = descend(f.even, f.evened(start), tol=tol, max_iterations=MOST_ITERATIONS)
    W, H, b = f.split(f.unevened(ended))
    b = torch.where(f.lambdas[:, 2:] > 0, without_shift(problems[0], b), b)
    jet = f.jet(f.join(W, H, b))
    numbers = zip(jet.value.tolist(), jet.size.tolist(), jet.relative_gradient.tolist(), histories, strict=True)
    return [
        Solution(
            point=Point(W[i, :, : problem.dim].clone(), H[i, problem.labels, : problem.dim], b[i].clone()),
            value=value,
            grad_norm=size,
            relative_grad_norm=relative,
            iterations=len(history) - 1,
            history=tuple(history),
            converged=history[-1].relative_grad_norm <= tol,
            reduced=True,
        )
        for i, (problem, (value, size, relative, history)) in enumerate(zip(problems, numbers, strict=True))
    ]
