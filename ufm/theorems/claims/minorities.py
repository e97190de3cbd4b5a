"""Minority collapse: which groups of equal classes merge at a global minimiser, for every loss with that threshold."""

import math

import torch

from ...closed_forms.minorities import Group, groups, merging
from ...problem import Problem
from ..evidence import Evidence, Undecided
from ..hypotheses import CONVEX, WIDE
from ..theorem import Finding, Hypothesis, Theorem, here, worst_of

NEAR = 1e-3  # to the threshold: whether a group is merged is left open there
MERGED = 1e-6  # the spread of a merged group's rows of W, relative to the natural size of W, at most

GROUPED = Hypothesis(
    "two classes that the loss takes for alike, of equal n_k, with a known threshold", lambda p: bool(groups(p))
)


def minority_collapse(problem: Problem, evidence: Evidence) -> Finding:
    """A group is one point exactly where N rho >= D0 sqrt(n_g); elsewhere its slopes differ by N rho/sqrt(n_g).

    The deviation is the spread of a merged group's rows, or that of the slopes' difference at one that is not, relative
    to D0; infinite where a group is on the wrong side of the threshold.
    """
    means, notes, deviations = problem.class_means(evidence.minimizer), [], []
    for group in groups(problem):
        ratio = merging(problem, group)
        if abs(ratio - 1) < NEAR:
            continue
        rows = means.W[list(group.classes)]
        spread = float((rows - rows.mean(0)).norm(dim=1).max()) / evidence.classifier_unit
        notes.append(f"{len(group.classes)} of n = {group.count}: {ratio:.3g} of the threshold, spread {spread:.1e}")
        if ratio > 1:
            deviations.append(spread)
        else:
            expected = problem.num_samples * problem.ridge / math.sqrt(group.count)
            off = _slope_differences(problem, evidence, group) - expected
            deviations.append(float(off.abs().max()) / group.tied if spread > MERGED else math.inf)
    if not deviations:
        raise Undecided(f"every group is within {NEAR:g} of its threshold")
    return Finding(worst_of(deviations), MERGED, "; ".join(notes))


MINORITY_COLLAPSE = Theorem(
    "minority collapse",
    "equal classes merge iff D0^2 n <= N^2 lW lH",
    f"{here('10.9')}; Fang et al. 2021 (arXiv 2101.12699); Hong and Ling 2023 (arXiv 2309.09725)",
    (CONVEX, WIDE, GROUPED),
    minority_collapse,
)


def _slope_differences(problem: Problem, evidence: Evidence, group: Group) -> torch.Tensor:
    """Slope of another class of the group less that of the own one, for every pair of the group, at the minimiser."""
    classes = list(group.classes)
    slopes = problem.jet(problem.class_means(evidence.minimizer)).slopes[classes][:, classes]
    others = ~torch.eye(len(classes), dtype=torch.bool, device=slopes.device)
    return (slopes - slopes.diagonal()[:, None])[others]
