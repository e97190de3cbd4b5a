"""The spectrum at the points that every permutation of the classes keeps: the ETF minimiser and the origin.

Balanced classes, cross-entropy (docs/theory, section 6.2), with smoothed labels as well: s is then that of the
logits, s_eff of `label_smoothing`, while rho, and so G~, is what it was. With r = K - 1, Q (K, r) orthonormal and
Q Q^T = Pi = I - 11^T/K, the minimiser is W = alpha Q, H~ = sqrt(n) beta Q, with G~ = -rho Pi,
rho = sqrt(lW lH), p_wrong = s, p_correct = s + delta. Directions dW = A Q, dH~ = B Q
change the logits of class k by column k of M = beta A + (alpha/sqrt n) B^T + db 1^T, and the second form is

    (1/K) [s |M|^2 + delta |diag M|^2 - |s 1^T M + delta diag M|^2]
        - 2 rho <Pi A, B> + lW |A|^2 + lH |B|^2 + lb |db|^2

As representations of the symmetric group, A and B are each 1 + 2V + (K-2,2) + L2V (V the standard one), and
db is 1 + V, so that the form splits into the blocks below: by Schur's lemma each acts on multiplicities
only. A shift of all logits of a sample changes nothing, which splits off two eigenvalues more.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from ..errors import NoClosedForm
from ..losses import CrossEntropy, LabelSmoothing, MeanSquare
from ..point import Point
from ..problem import Problem
from . import cross_entropy, label_smoothing, mean_square_levels
from .cross_entropy import Scale
from .levels import Level

SCALES: dict[type[Any], Callable[[Problem], Scale]] = {
    CrossEntropy: cross_entropy.minimizer_scale,
    LabelSmoothing: label_smoothing.minimizer_scale,
}


def minimizer_levels(problem: Problem) -> Iterator[Level] | None:
    """(eigenvalue, multiplicity) of the Hessian at the closed-form global minimiser; any K, n, d at once.

    None where its levels are not known in closed form; raises NoClosedForm as the loss's `minimizer_scale` does.
    Multiplicities add up to problem.num_variables.
    """
    if isinstance(problem.loss, MeanSquare):
        return mean_square_levels.minimizer_levels(problem)
    if type(problem.loss) not in SCALES:
        return None
    scale = SCALES[type(problem.loss)](problem)
    return etf_levels(problem, scale) if scale.margin > 0 else origin_levels(problem)


def symmetric_levels(problem: Problem, means: Point) -> Iterator[Level] | None:
    """The levels at a collapsed critical point that is the closed-form ETF or the balanced origin, else None.

    "Is" up to rotation, and to a relative 1e-7.
    """
    if not problem.is_balanced or type(problem.loss) not in SCALES:
        return None
    b = means.b - (means.b.mean() if problem.lambda_b == 0 else 0)
    if float(b.abs().max()) > 1e-7:
        return None
    if not means.W.any() and not means.H.any():
        return origin_levels(problem)
    try:
        scale = SCALES[type(problem.loss)](problem)
    except NoClosedForm:
        return None
    if scale.margin <= 0:
        return None
    W, H = means.W / scale.alpha, means.H / scale.beta
    frame = torch.eye(len(W), dtype=W.dtype, device=W.device) - 1 / len(W)
    distance = max(float((W @ W.T - frame).abs().max()), float((W - H).abs().max()))
    return etf_levels(problem, scale) if distance <= 1e-7 else None


def etf_levels(problem: Problem, scale: Scale) -> Iterator[Level]:
    """The levels at the simplex ETF of the given scale."""
    K, n, d, N = problem.num_classes, problem.per_class, problem.dim, problem.num_samples
    lW, lH = problem.lambda_w, problem.lambda_h
    # 1. the reduced problem
    dimensions = {"1": 1, "V": K - 1, "S": K * (K - 3) // 2, "L": (K - 1) * (K - 2) // 2}
    for name, block in etf_blocks(problem, scale).items():
        # L is singular exactly, along the orbit of O(d): lW alpha^2 = n lH beta^2.
        values = (0.0, np.trace(block)) if name == "L" else np.linalg.eigvalsh(block)
        for value in values if len(block) else ():
            yield float(value), dimensions[name]
    yield lW, K - 1
    if problem.bias:
        yield problem.lambda_b, 1
    # 2. directions out of the row space of W: the singular values of G~ are rho (K-1 times) and 0
    out = d - (K - 1)
    yield from ((0.0, out * (K - 1)), (lW + lH, out * (K - 1)), (lW, out), (lH, out))
    # 3. features within a class: W^T S_k W / N + lH. 1 - delta is K s, without cancellation.
    s, delta = scale.p_wrong, scale.p_correct - scale.p_wrong
    within = K * (n - 1)
    yield lH + scale.alpha**2 * s / N, within * (K - 2)
    yield lH + scale.alpha**2 * (s + delta * K * s * (K - 1) / K) / N, within
    yield lH, within * out


def etf_blocks(problem: Problem, scale: Scale) -> dict[str, np.ndarray]:
    """The blocks of the reduced Hessian at the ETF by representation, less the split-off eigenvalues lW and lb.

    "1" (2 x 2): A, B along Pi.       "V": A, B along Pi diag(v) Pi, B along 1 v^T, db along v (if there is a bias);
    "S", "L" (2 x 2): A, B symmetric or antisymmetric with zero diagonal. For K = 2 the blocks that are not there
    have no rows, and V has no Pi diag(v) Pi.
    """
    K, lW, lH, rho = problem.num_classes, problem.lambda_w, problem.lambda_h, problem.ridge
    s, delta = scale.p_wrong, scale.p_correct - scale.p_wrong
    to_a, to_b = scale.beta, scale.alpha / math.sqrt(problem.per_class)
    decay = np.array([[lW, -rho], [-rho, lH]])

    def seen(*logits: float) -> np.ndarray:
        return np.outer(logits, logits) / K

    # Pi has |diag Pi|^2 = (K-1)^2/K = (K-1)/K |Pi|^2; Pi diag(v) Pi has (K-2)/K in that place, and no column sums.
    trivial = decay + (s + delta * K * s * (K - 1) / K) * seen(to_a, to_b)
    off = {name: decay + s * seen(to_a, sign * to_b) for name, sign in (("S", 1), ("L", -1))}
    standard = np.diag([lW, lH, lH, problem.lambda_b])
    standard[:2, :2] = decay
    inner, outer = np.array([to_a, to_b, 0, 0]), np.array([0, 0, to_b, math.sqrt(K)])
    diagonal = inner * math.sqrt((K - 2) / K) + outer / math.sqrt(K)
    standard = standard + s * (seen(*inner) + seen(*outer)) + delta * K * s * seen(*diagonal)
    rows = [i for i in range(4) if (K > 2 or i >= 2) and (problem.bias or i < 3)]
    return {
        "1": trivial,
        "V": standard[np.ix_(rows, rows)],
        "S": off["S"] if K > 3 else np.zeros((0, 0)),
        "L": off["L"] if K > 2 else np.zeros((0, 0)),
    }


def origin_levels(problem: Problem) -> Iterator[Level]:
    """The levels at W = 0, H = 0, b = 0: G~ = -(1 - a) Pi/(K sqrt n), a the smoothing, every softmax uniform."""
    K, n, d = problem.num_classes, problem.per_class, problem.dim
    lW, lH = problem.lambda_w, problem.lambda_h
    certain = 1 - problem.loss.smoothing if isinstance(problem.loss, LabelSmoothing) else 1.0
    centre, root = (lW + lH) / 2, math.hypot((lW - lH) / 2, certain / (K * math.sqrt(n)))
    yield from ((centre - root, d * (K - 1)), (centre + root, d * (K - 1)), (lW, d), (lH, d))
    yield lH, d * K * (n - 1)
    if problem.bias:
        yield from ((problem.lambda_b + 1 / K, K - 1), (problem.lambda_b, 1))
