"""The gradient flow from a point, as a film: dx/dt = -gradient f(x), and where x is at times of one's choice."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.integrate import solve_ivp

from ..errors import require
from ..landscape import Landscape
from ..point import Point
from ..problem import Problem

LARGEST = 2000  # variables: the integrator solves with dense Jacobians
REST = 1e-6  # a relative gradient below this ends the flow
SAMPLES = 4000  # of the path, between which its length is measured


@dataclass(frozen=True, eq=False)
class Frame:
    """One moment of the flow: its time (in units in which f's gradient is the speed), the point, f there."""

    time: float
    point: Point
    value: float


def gradient_flow(problem: Problem, start: Point, frames: int) -> list[Frame]:
    """So many moments of the gradient flow from `start`, first and last included, evenly spaced by length of path.

    start   a point of the problem, with one row of H a sample or a class; the flow moves W, H and b in float64

    Equivalent to scipy.integrate.solve_ivp(method="LSODA") on the flat variables, to relative accuracy 1e-8, until the
    relative gradient is below 1e-6. Raises InputError for fewer than two frames, for more than 2,000
    variables, and where the flow does not come to rest.
    """
    require(frames >= 2, f"a flow needs frames >= 2, got {frames}")
    start = start.double()
    f, x = problem.landscape_at(start)
    require(f.size <= LARGEST, f"the flow is integrated for up to {LARGEST:,} variables, got {f.size:,}")

    def slope(_: float, x: np.ndarray) -> np.ndarray:
        return -f.jet(torch.from_numpy(x)).gradient.numpy()

    def restless(t: float, x: np.ndarray) -> float:
        return problem.relative_gradient(_point(f, start, x)) - REST

    restless.terminal = True  # type: ignore[attr-defined]  # solve_ivp reads it off the function
    horizon = 1e4 / min(problem.lambda_w, problem.lambda_h)
    found = solve_ivp(
        slope, (0.0, horizon), x.numpy(), method="LSODA", rtol=1e-8, atol=1e-10, dense_output=True, events=restless
    )
    require(len(found.t_events[0]) > 0, "the gradient flow does not come to rest; start elsewhere")
    return [Frame(t, _point(f, start, y), float(f.value(torch.from_numpy(y)))) for t, y in _evenly(found, frames)]


def _point(f: Landscape, start: Point, x: np.ndarray) -> Point:
    return Point(*f.unpack(torch.from_numpy(x)), start.labels)


def _evenly(found: Any, frames: int) -> list[tuple[float, np.ndarray]]:
    """(time, x) of solve_ivp's result, where its path has the lengths 0, 1/(frames - 1), ..., 1 of the whole."""
    times = np.concatenate([[0.0], np.geomspace(found.t[1], found.t[-1], SAMPLES)])
    path = found.sol(times)
    lengths = np.concatenate([[0.0], np.linalg.norm(np.diff(path), axis=0).cumsum()])
    chosen = np.interp(np.linspace(0, lengths[-1], frames), lengths, times)
    return [(float(t), np.ascontiguousarray(found.sol(t))) for t in chosen]
