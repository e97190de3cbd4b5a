r"""
Zhou et al. 2022: the landscape of squared error
================================================

:cite:t:`zhou2022optimization` prove the landscape of squared error benign for :math:`d
\ge K` as well, and show networks that reach collapse with it as fast as with
cross-entropy. Here are descents from random starts under both losses, and in fewer
dimensions than the paper covers.
"""

import numpy as np

import figures
import ufm

STARTS, CLASSES, DECAY = 16, 6, 2e-4
ROUNDING = 1e-16


def descents(loss, dim, **bias):
    """(the problem, where descents from random starts end)."""
    problem = ufm.Problem.balanced(
        CLASSES, 2, dim, lambda_w=DECAY, lambda_h=DECAY, loss=loss, **bias
    )
    return problem, [ufm.minimize(problem, seed) for seed in range(STARTS)]


squares = ufm.losses.MeanSquare()
found = {
    f"squared error, d = {CLASSES}": descents(squares, CLASSES, bias=False),
    "squared error, d = 2": descents(squares, 2, bias=False),
    "cross-entropy, d = 2": descents(ufm.losses.CrossEntropy(), 2, lambda_b=1e-3),
}
least = {name: min(end.value for end in ends) for name, (_, ends) in found.items()}

# %%
# Squared error has its global minimum in closed form at any :math:`d` (docs/theory,
# section 11.3). The lowest ends are there; that of cross-entropy in the plane is the best
# that is known.

for name, (problem, _) in list(found.items())[:2]:
    exact = float(problem.objective(ufm.global_minimizer(problem)))
    print(f"{name}: lowest end less the global minimum {least[name] - exact:.0e}")

# %%
# Under squared error all descents come down to the global minimum, for :math:`d = K`,
# where the rows of :math:`W` become an orthogonal frame, and in the plane as well: it is
# benign for every :math:`d` (docs/theory, section 10.7). Under cross-entropy some
# descents in the plane stay in a trap.

with figures.house_style():
    figure = figures.new_figure(6.8, 2.2)
    for axes, (name, (_, ends)) in zip(
        figure.subplots(1, 3, sharey=True), found.items(), strict=True
    ):
        for end in ends:
            above = np.array([step.value for step in end.history]) - least[name]
            axes.plot(np.maximum(above, ROUNDING), linewidth=0.8, color="C0", alpha=0.7)
        axes.set(title=name, yscale="log", xlabel="Newton step")
    figure.axes[0].set_ylabel("f above the lowest")

caption = f"{STARTS} descents each, K = {CLASSES}: f above the lowest value found."
rows = [
    (name, seed, i, step.value - least[name])
    for name, (_, ends) in found.items()
    for seed, end in enumerate(ends)
    for i, step in enumerate(end.history)
]
drawing = figures.Drawing(
    figure, caption, ("problem", "start", "step", "f above the lowest"), rows
)
drawing

# %%
# What differs
# ------------
# The paper proves the landscape for :math:`d \ge K` and a bias without decay, and trains
# ResNets; its figures of networks are not made again here, since the record has no run
# under squared error (``ufm train --loss mse`` makes one, and ``--own-weight`` and
# ``--own-target`` rescale it as the paper does). Fewer dimensions than classes are not in
# the paper. Our squared error is :math:`\frac12 |z - e_y|^2`, a mean over samples.
