r"""
Fang et al. 2021: minority collapse
===================================

The figure by which :cite:t:`fang2021exploring` show minority collapse: the mean cosine
between the classifiers of the small classes against the imbalance ratio :math:`R =
n_A/n_B`, for 3, 5 and 7 large classes of ten. At 1 the small classes are one point.
"""

import numpy as np
import torch

import figures
import ufm

MAJORITIES, CLASSES, LARGE, DECAY, POINTS = (3, 5, 7), 10, 1000, 6e-4, 14
TOL = 1e-10


def mean_cosine(majority, small):
    """Of the rows of W of the small classes, at the minimiser; NaN where these are 0."""
    counts = (LARGE,) * majority + (small,) * (CLASSES - majority)
    problem = ufm.Problem(counts, dim=CLASSES, lambda_w=DECAY, lambda_h=DECAY, bias=False)
    W = ufm.minimize(problem, tol=TOL).point.W
    if W[majority:].norm() < 1e-6 * W.norm():
        return np.nan
    rows = torch.nn.functional.normalize(W[majority:], dim=1)
    cosines = rows @ rows.T
    return float((cosines.sum() - cosines.trace()) / (len(rows) * (len(rows) - 1)))


def threshold(majority):
    """The R from which the small classes are one point: n_B = N^2 lambda^2, N with n_B."""
    small = CLASSES - majority
    root = [small * DECAY, majority * LARGE * DECAY]  # of n_B: N lambda
    squares = np.polymul(root, root)
    return LARGE / np.roots(np.polysub(squares, [1, 0])).min()


# %%
# The points are minimisers, which know nothing of the threshold. Dotted is the exact one
# (docs/theory, section 10.9). With seven large classes the point to which the small ones
# have merged goes to 0 soon after, where rows of :math:`W` have no direction, and the
# curve ends.

sizes = np.unique(np.geomspace(1, LARGE, POINTS).round().astype(int))[::-1].tolist()
rows = [
    (majority, LARGE / n, mean_cosine(majority, n))
    for majority in MAJORITIES
    for n in sizes
]
with figures.house_style():
    figure = figures.new_figure(3.3, 2.4)
    axes = figure.subplots()
    for i, majority in enumerate(MAJORITIES):
        ratios, cosines = zip(*(row[1:] for row in rows if row[0] == majority), strict=True)
        axes.plot(
            ratios, cosines, marker="os^"[i], color=f"C{i}", label=f"{majority} large"
        )
        axes.axvline(threshold(majority), color=f"C{i}", linestyle=":")
    axes.set(
        xscale="log", xlabel="imbalance ratio R", ylabel="mean cosine of minority rows of W"
    )
    figure.legend(loc="outside upper left", ncols=3)

caption = f"Minority collapse at minimisers, K = {CLASSES}; dotted: the exact thresholds."
drawing = figures.Drawing(figure, caption, ("large classes", "R", "mean cosine"), rows)
drawing

# %%
# What differs
# ------------
# The paper bounds the mean squared norms of :math:`W` and :math:`H` (its layer-peeled
# model); here decays take the place of the bounds, as in training, and the norms are what
# they come out as. The curves have the same shape, and reach 1 at a finite ratio. That
# ratio is found in the paper by looking; here it is a theorem, and larger for fewer small
# samples in all.
#
# Networks follow the curve in part only: the record ``results/minority`` has perceptrons
# on digits whose small classes are merged up to four times the threshold.
