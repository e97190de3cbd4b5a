"""ufm.sweep: thousands of small problems minimised in batches."""

from collections.abc import Iterable
from typing import Any

import torch

from ..errors import Setting, require
from ..models import MODELS, Minimum
from ..point import Point
from ..problem import Problem
from ..solvers.minimize import Solution, drawn, minimize, require_device
from .batches import batches, fits
from .newton import descend
from .result import Sweep
from .stack import Stack

MOST_ITERATIONS = 1000
BLAS = 400  # multiplications: torch does products of fewer by itself, several times slower each


def sweep(
    problems: Iterable[Any],
    seed: int | Iterable[int] = 0,
    tol: float = 1e-10,
    *,
    device: torch.device | str | None = None,
) -> Sweep:
    """Minimise many problems: a sequence of the solutions, which knows their certificates, spectra and a table of all.

    seed     of every random start, or one for each problem
    tol      relative gradient norm to reach
    device   where batches are computed: by default a GPU, where there is one. What is found is on the CPU

    Each is what `ufm.minimize(problem, seed, tol)` gives: the same start, and the same path to rounding. Problems of
    one loss, K, T and bias are one batch, with d within a factor of two: those of fewer dimensions are given columns of
    zeros, in which f has no gradient, so that nothing changes, and which are cut off again. Under cross-entropy K =
    2k - 1 and 2k go together: a class too many has the logit -infinity. What is in no batch goes one by one: a loss of
    the user's own, more than 2,000 collapsed variables, and `ufm.models`. Where there are several local minimisers,
    rounding may lead a descent to another one than alone.
    Raises InputError as `ufm.minimize` does, and for what is neither a Problem nor a model.

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
    found: dict[int, Solution | Minimum[Any]] = {}
    for places in batches(problems, paired=True):
        members, starts = [problems[i] for i in places], [seeds[i] for i in places]
        ends = _together(members, starts, tol, device) if fits(members[0]) else _one_by_one(members, starts, tol)
        found.update(zip(places, ends, strict=True))
    return Sweep(problems, tuple(found[i] for i in range(len(problems))), device)


def _one_by_one(problems: list[Any], seeds: list[int], tol: float) -> list[Solution | Minimum[Any]]:
    return [
        minimize(problem, seed, tol) if isinstance(problem, Problem) else problem.minimize(seed, tol)
        for problem, seed in zip(problems, seeds, strict=True)
    ]


def _together(problems: list[Problem], seeds: list[int], tol: float, device: torch.device | str) -> list[Solution]:
    f, labels = Stack.of(problems, _width(problems), device), [one.labels for one in problems]
    with torch.inference_mode():
        starts = f.evened(_starts(f, problems, labels, seeds))
        ended, histories = descend(f.even, starts, tol=tol, max_iterations=MOST_ITERATIONS)
        W, H, b = f.split(f.unevened(ended))
        b = f.without_shift(b)
        jet = f.jet(f.join(W, H, b))
        numbers = zip(jet.value.tolist(), jet.size.tolist(), jet.relative_gradient.tolist(), histories, strict=True)
    W, H, b = W.cpu(), H.cpu(), b.cpu()
    return [
        Solution(
            point=_point(problem, W[i], H[i], b[i], labels[i]),
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


def _point(problem: Problem, W: torch.Tensor, H: torch.Tensor, b: torch.Tensor, labels: torch.Tensor) -> Point:
    """A point of the problem's own K and d, with a row of H a sample; its tensors share memory with no other."""
    K, d = problem.num_classes, problem.dim
    return Point(W[:K, :d].clone(), H[labels, :d], b[:K].clone())


def _starts(f: Stack, problems: list[Problem], labels: list[torch.Tensor], seeds: list[int]) -> torch.Tensor:
    """The flat vectors of the class means of the random starts of `ufm.minimize`; equal ones are drawn once."""
    asked = [(problem.class_counts, problem.dim, seed) for problem, seed in zip(problems, seeds, strict=True)]
    first = {alike: i for i, alike in reversed(list(enumerate(asked)))}
    sums = torch.zeros(len(first), f.rows, f.dim, dtype=torch.float64, device="cpu")
    b = torch.zeros(len(first), f.num_classes, dtype=torch.float64, device="cpu")
    for one, into_b, i in zip(sums, b, first.values(), strict=True):
        K, d = problems[i].num_classes, problems[i].dim
        one[:K, :d], H, into_b[:K] = drawn(problems[i], seeds[i])
        one[f.num_classes :, :d].index_add_(0, labels[i], H)
    place = {alike: k for k, alike in enumerate(first)}
    rows = [place[alike] for alike in asked]
    sums, b = sums[rows].to(f.counts.device), b[rows].to(f.counts.device)
    return f.join(sums[:, : f.num_classes], sums[:, f.num_classes :] / f.counts.clamp_min(1)[..., None], b)


def _width(problems: list[Problem]) -> int:
    """d of a batch: the largest, or up to twice that for products that are large enough for BLAS."""
    dim, terms = (max(sizes) for sizes in zip(*((p.dim, p.num_classes * p.num_types) for p in problems), strict=True))
    wide = -(-BLAS // terms) - problems[0].bias
    return wide if dim < wide <= 2 * dim else dim
