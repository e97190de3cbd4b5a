"""What every critical point has: collapsed features, balance, an isotropic residual."""

import torch

from ...analysis import analysis
from ...problem import Problem
from ..evidence import Evidence, converged
from ..hypotheses import CONVEX, SEVERAL, SHIFT_INVARIANT, WEAK_DECAY
from ..theorem import EXACT, ZHU_GLOBAL, Finding, Theorem, here, worst_of


def within_class_collapse(problem: Problem, evidence: Evidence) -> Finding:
    """For fixed (W, b) each feature minimises the same strictly convex function, so h_{k,i} = h_k."""
    return Finding(worst_of(spread_within(problem, evidence)), EXACT, converged(evidence))


def spread_within(problem: Problem, evidence: Evidence) -> list[torch.Tensor]:
    """The largest distance of a feature from the mean of its type at each free end, in natural lengths of a feature."""
    means = [problem.expand(problem.class_means(solution.point)).H for solution in evidence.ends]
    far = [(end.point.H - H).norm(dim=1).max() for end, H in zip(evidence.ends, means, strict=True)]
    return [distance / evidence.feature_unit for distance in far]


WITHIN_CLASS_COLLAPSE = Theorem(
    "within-class collapse",
    "h_{k,i} = h_k at every critical point",
    f"{ZHU_GLOBAL} (minimisers); {here('2.1')} (all critical points)",
    (CONVEX, SEVERAL, WEAK_DECAY),
    within_class_collapse,
)


def zero_row_sum(problem: Problem, evidence: Evidence) -> Finding:
    """Columns of G sum to zero, so 1^T W = 0 wherever the gradient in W vanishes."""
    deviations = [point.W.sum(0).norm() / evidence.classifier_unit for point in evidence.critical_points]
    return Finding(worst_of(deviations), EXACT, f"{len(deviations)} critical points")


ZERO_ROW_SUM = Theorem(
    "zero row sum", "1^T W = 0, so rank W <= K - 1", here("2.2"), (SHIFT_INVARIANT, WEAK_DECAY), zero_row_sum
)


def balance(problem: Problem, evidence: Evidence) -> Finding:
    """lW W^T W = lH H^T H (H a sample a row), over 2 f: multiply both stationarity equations by the other factor."""
    deviations = []
    for point in map(problem.expand, evidence.critical_points):
        residual = problem.lambda_w * point.W.T @ point.W - problem.lambda_h * point.H.T @ point.H
        deviations.append(residual.norm() / (2 * problem.objective(point)))
    return Finding(worst_of(deviations), EXACT, f"{len(deviations)} critical points")


BALANCE = Theorem(
    "balance",
    "lW W^T W = lH H^T H (a sample a row) at every critical point",
    ZHU_GLOBAL + ", proof",
    (WEAK_DECAY,),
    balance,
)


def isotropic_residual(problem: Problem, evidence: Evidence) -> Finding:
    """G~ G~^T = lW lH on the range of W (columns of G~ a class).

    Relative to |G~|_2 sqrt(lW lH), as products are, and to the rounding of |G~|_2^2, about 1e-14, over the tolerance.
    """
    deviations = []
    for point in [*evidence.critical_points, evidence.minimizer]:
        rank, point = analysis(problem, point).rank, problem.class_means(point)
        G = problem.jet(point).G.T
        if rank:
            U = torch.linalg.svd(point.W)[0][:, :rank]
            size = torch.linalg.matrix_norm(G, 2)
            unit = size * (problem.ridge + 1e-8 * size)
            deviations.append((G @ (G.T @ U) - problem.ridge**2 * U).norm() / unit)
    return Finding(worst_of(deviations), 1e-6, f"{len(deviations)} critical points of rank >= 1")


ISOTROPIC_RESIDUAL = Theorem(
    "isotropic residual", "G~ G~^T = lW lH on range W", here("2.5"), (WEAK_DECAY,), isotropic_residual
)


def averaging_descends(problem: Problem, evidence: Evidence) -> Finding:
    """f is convex in H for fixed W, b (Jensen)."""
    rises = [
        problem.objective(mean) / problem.objective(point) - 1
        for point, mean in zip(evidence.random_points, evidence.averaged_points, strict=True)
    ]
    return Finding(worst_of(rises), 1e-12, f"{len(rises)} random points; largest relative change of f")


AVERAGING_DESCENDS = Theorem(
    "averaging descends", "class means never raise f", here("2.4"), (CONVEX, SEVERAL), averaging_descends
)
