"""ufm.sweep: thousands of small problems minimised, certified and read in batches."""

from collections.abc import Hashable, Iterable, Sequence
from functools import cache, partial
from typing import Any, NamedTuple

import torch

from ..analysis import spectrum
from ..certificates import Certificate, certify
from ..errors import InputError, Setting, require
from ..losses.own import Own
from ..models import MODELS, Judgement, Minimum
from ..point import Point
from ..problem import Problem
from ..solvers.bias import without_shift
from ..solvers.minimize import Solution, drawn, minimize, require_device, require_memory
from ..spectra import Spectrum
from .judged import judged
from .newton import descend
from .result import Sweep
from .stack import Stack

MOST_ITERATIONS = 1000
LARGEST = 2000  # collapsed variables: a problem of more gains nothing from company


class Row(NamedTuple):
    """What is found of one problem; what was not asked for is None."""

    solution: Solution | Minimum[Any]
    certificate: Certificate | Judgement | None
    spectrum: Spectrum | None


def sweep(
    problems: Iterable[Any],
    seed: int | Iterable[int] = 0,
    tol: float = 1e-10,
    *,
    certify: bool = True,
    device: torch.device | str | None = None,
) -> Sweep:
    """Minimise, certify and read the spectra of many problems: a sequence of the solutions, and a table of all.

    seed     of every random start, or one for each problem
    tol      relative gradient norm to reach
    certify  False leaves certificates and spectra out
    device   where batches are computed: by default a GPU, where there is one. What is found is on the CPU

    Each row is what `ufm.minimize(problem, seed, tol)`, `ufm.certify` and `ufm.spectrum` give: the same starts, and the
    same paths to rounding. Problems of one loss, K, T and bias are one batch, with d within a factor of two: those of
    fewer dimensions are given columns of zeros, in which f has no gradient, so that nothing changes, and which are cut
    off again. Certificates and spectra are batched at minimisers of cross-entropy, weighted or not. What is in no batch
    goes one by one: a loss of the user's own, more than 2,000 collapsed variables, and `ufm.models`. Where there are
    several local minimisers, rounding may lead a descent to another one than alone.
    Raises InputError as these functions do, and for what is neither a Problem nor a model.

    >>> import ufm
    >>> decays = (1e-3, 1e-2, 1e-1, 1.0)
    >>> solutions = ufm.sweep([ufm.Problem.balanced(3, 2, 2, lambda_w=decay, lambda_h=decay) for decay in decays])
    >>> [round(solution.value, 4) for solution in solutions]  # log 3 at last, where W = H = 0
    [0.0214, 0.1483, 0.7917, 1.0986]
    """
    require(0 < tol < 1, (Setting("tol"), f" must lie in (0, 1), got {tol}"))
    problems = tuple(problems)
    others = [problem for problem in problems if not isinstance(problem, (Problem, *MODELS.values()))]
    require(not others, f"a sweep is of problems and models, got a {type((*others, None)[0]).__name__}")
    seeds = list(seed) if isinstance(seed, Iterable) else [seed] * len(problems)
    require(len(seeds) == len(problems), f"a sweep of {len(problems)} problems takes as many seeds, got {len(seeds)}")
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    require_device(device)
    for problem in problems if certify else ():
        if isinstance(problem, Problem):
            problem.require_decidable()
    together = partial(_together, device=device)
    found: dict[int, Row] = {}
    for places in _batches(problems):
        members, starts = [problems[i] for i in places], [seeds[i] for i in places]
        solved = together if _fits(members[0]) else _one_by_one
        found.update(zip(places, solved(members, starts, tol, certify), strict=True))
    rows = [found[i] for i in range(len(problems))]
    solutions, certificates, spectra = (tuple(column) for column in zip(*rows, strict=True)) if rows else ((), (), ())
    return Sweep(problems, solutions, *((certificates, spectra) if certify else (None, None)))


def _fits(problem: Any) -> bool:
    """Whether the problem is minimised in company."""
    if not isinstance(problem, Problem) or isinstance(problem.loss, Own):
        return False
    return (problem.num_classes + problem.num_types) * problem.dim <= LARGEST


def _batches(problems: Sequence[Any]) -> list[list[int]]:
    """The places of the problems that go together."""
    batches: dict[Hashable, list[int]] = {}
    for i, problem in enumerate(problems):
        alike: Hashable = i
        if _fits(problem):
            require_memory(problem)
            alike = problem.loss, problem.num_classes, problem.num_types, problem.bias, (problem.dim - 1).bit_length()
        batches.setdefault(alike, []).append(i)
    return list(batches.values())


def _one_by_one(problems: list[Any], seeds: list[int], tol: float, certify: bool) -> list[Row]:
    return [_alone(problem, seed, tol, certify) for problem, seed in zip(problems, seeds, strict=True)]


def _alone(problem: Any, seed: int, tol: float, judge: bool) -> Row:
    if isinstance(problem, Problem):
        solution = minimize(problem, seed, tol)
        point = solution.point
        return Row(solution, certify(problem, point), spectrum(problem, point)) if judge else Row(solution, None, None)
    found = problem.minimize(seed, tol)
    if not judge:
        return Row(found, None, None)
    try:
        levels = problem.spectrum(found.point)
    except InputError:  # the point is not critical, or the model has none
        levels = None
    return Row(found, problem.certify(found.point), levels)


def _together(
    problems: list[Problem], seeds: list[int], tol: float, certify: bool, device: torch.device | str
) -> list[Row]:
    f = Stack.of(problems, max(problem.dim for problem in problems), device)
    ended, histories = descend(f.even, f.evened(_starts(f, problems, seeds)), tol=tol, max_iterations=MOST_ITERATIONS)
    W, H, b = f.split(f.unevened(ended))
    b = torch.where(f.lambdas[:, 2:] > 0, without_shift(problems[0], b), b)
    x = f.join(W, H, b)
    jet = f.jet(x)
    W, H, b = W.cpu(), H.cpu(), b.cpu()
    rows = cache(
        lambda counts: torch.arange(len(counts), device="cpu").repeat_interleave(torch.tensor(counts, device="cpu"))
    )
    numbers = zip(jet.value.tolist(), jet.size.tolist(), jet.relative_gradient.tolist(), histories, strict=True)
    solutions = [
        Solution(
            point=Point(W[i, :, : problem.dim].clone(), H[i, rows(problem.class_counts), : problem.dim], b[i].clone()),
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
    if not certify:
        return [Row(solution, None, None) for solution in solutions]
    return [Row(solution, *one) for solution, one in zip(solutions, judged(problems, f, x), strict=True)]


def _starts(f: Stack, problems: list[Problem], seeds: list[int]) -> torch.Tensor:
    """The flat vectors of the class means of the random starts of `ufm.minimize`; equal ones are drawn once."""
    known: dict[Hashable, tuple[torch.Tensor, ...]] = {}
    starts = []
    for problem, seed in zip(problems, seeds, strict=True):
        alike = problem.class_counts, problem.dim, seed
        if alike not in known:
            W, H, b = drawn(problem, seed)
            sums = H.new_zeros(f.num_types, problem.dim).index_add_(0, problem.labels, H)
            both = torch.nn.functional.pad(torch.cat([W, sums]), (0, f.dim - problem.dim))
            known[alike] = both[: f.num_classes], both[f.num_classes :], b
        starts.append(known[alike])
    W, sums, b = (torch.stack(part).to(f.counts.device) for part in zip(*starts, strict=True))
    return f.join(W, sums / f.counts[..., None], b)
