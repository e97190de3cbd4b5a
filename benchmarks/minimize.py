"""ufm.minimize against general-purpose minimisers, from the same random W, H, b of full size.

Ours goes to a relative gradient norm of 1e-10. The peers are timed to 1e-8, or to where they stop if they
get stuck before (a quasi-Newton line search fails once f's rounding hides its progress), or to the limit: then the
ratio is a lower bound, and the note has the gradient norm where the peer was. The floor of a descent over all features
is the multiplications that it made, at the rate of the three matrix products of a value and a gradient alone.
"""

import time
from collections.abc import Callable, Iterator

import scipy.optimize
import torch
import torchmin
from torch.utils.flop_counter import FlopCounterMode

import ufm
from benchmarks.timing import Row, interleaved, seconds
from ufm.landscape import Landscape
from ufm.solvers.minimize import random_point

PROBLEMS = {
    "K = 10, n = 100, d = 64": ufm.Problem.balanced(10, 100, 64, lambda_w=5e-4, lambda_h=5e-5, lambda_b=1e-3),
    "K = 100, n = 50, d = 128": ufm.Problem.balanced(100, 50, 128, lambda_w=5e-4, lambda_h=1e-6, lambda_b=1e-3),
}
TARGET = 1e-8
LIMIT = 60.0  # seconds for a peer


class _Enough(Exception):
    pass


class Watch:
    """Fused value and gradient, which stop a peer at its target or its limit and remember the best it saw."""

    def __init__(self, f: Landscape):
        self.f, self.best, self.start = f, torch.inf, time.perf_counter()

    def __call__(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        jet = self.f.jet(x)
        self.best = min(self.best, jet.relative_gradient)
        if self.best <= TARGET or time.perf_counter() - self.start > LIMIT:
            raise _Enough
        return jet.value, jet.gradient


class FusedObjective(torch.autograd.Function):
    """The fused value and gradient as a function that autograd-based minimisers can call."""

    @staticmethod
    def forward(ctx, x, watch):
        value, gradient = watch(x)
        ctx.save_for_backward(gradient)
        return value

    @staticmethod
    def backward(ctx, seed):
        return seed * ctx.saved_tensors[0], None


def scipy_lbfgsb(watch: Watch, x: torch.Tensor) -> None:
    def both(x):
        value, gradient = watch(torch.from_numpy(x))
        return float(value), gradient.numpy()

    options = {"maxiter": 10**6, "maxfun": 10**6, "ftol": 0, "gtol": 0}
    scipy.optimize.minimize(both, x.numpy(), jac=True, method="L-BFGS-B", options=options)


def torch_lbfgs(watch: Watch, x: torch.Tensor) -> None:
    x = x.clone().requires_grad_()
    optimizer = torch.optim.LBFGS(
        [x], max_iter=10**6, max_eval=10**7, tolerance_grad=0, tolerance_change=0, line_search_fn="strong_wolfe"
    )

    def closure():
        value, x.grad = watch(x)
        return value

    optimizer.step(closure)


def pytorch_minimize(watch: Watch, x: torch.Tensor) -> None:
    # The defaults of xtol and gtd_tol, which `tol` does not set, end descents far from the target.
    options = {"gtol": 0.0, "xtol": 0.0, "gtd_tol": 0.0}
    torchmin.minimize(lambda x: FusedObjective.apply(x, watch), x, method="l-bfgs", max_iter=10**6, options=options)


PEERS: dict[str, Callable[[Watch, torch.Tensor], None]] = {
    "scipy L-BFGS-B": scipy_lbfgsb,
    "torch.optim.LBFGS": torch_lbfgs,
    "pytorch-minimize l-bfgs": pytorch_minimize,
}


def rows() -> Iterator[Row]:
    ufm.minimize(ufm.Problem.balanced(3, 2, 3, lambda_w=1e-2, lambda_h=1e-2))  # to warm up
    for size, problem in PROBLEMS.items():
        times = {reduce: _ours(problem, reduce) for reduce in (True, False)}
        yield _floor(f"minimise, {size}", problem, times[False])
        for name, peer in PEERS.items():
            spent, reached = _theirs(problem, peer)
            for reduce, ours in times.items():
                kind = "class means" if reduce else "all features free"
                note = f"ours to 1e-10, peer to {reached:.0e}{' at its limit' if spent >= LIMIT else ''}"
                yield Row(f"minimise, {size}", kind, ours, name, spent, note)


def _floor(task: str, problem: ufm.Problem, ours: float) -> Row:
    with FlopCounterMode(display=False) as counter:
        solution = ufm.minimize(problem, reduce=False)
    f, x = problem.landscape_at(solution.point)
    W, H, _ = f.split(x)
    G = torch.randn_like(H @ W.T)
    alone, _ = interleaved(lambda: (H @ W.T, G.T @ H, G @ W), lambda: None)
    triples = counter.get_total_flops() / (6 * G.numel() * problem.dim)
    note = f"{triples:.0f} times three products of {alone * 1e3:.3g} ms; {solution.iterations} steps need a triple each"
    return Row(task, "all features free", ours, "its matrix products alone (floor)", triples * alone, note)


def _ours(problem: ufm.Problem, reduce: bool) -> float:
    spent, solution = seconds(lambda: ufm.minimize(problem, tol=1e-10, reduce=reduce))
    assert solution.converged
    return spent


def _theirs(problem: ufm.Problem, peer: Callable[[Watch, torch.Tensor], None]) -> tuple[float, float]:
    f, x = problem.landscape_at(random_point(problem))
    watch = Watch(f)

    def work():
        try:
            peer(watch, x)
        except _Enough:
            return

    return seconds(work)[0], watch.best
