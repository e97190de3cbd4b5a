r"""
Label smoothing beside cross-entropy
====================================

Label smoothing draws the targets towards the uniform ones, by a share :math:`a`. Its
global minimiser is the same simplex frame :cite:p:`zhou2022losses`; what changes is its
size, and how well the problem is conditioned there. Both are known in closed form
(docs/theory, sections 5.1, 6.2 and 11.4): with :math:`s = \sqrt{n \lambda_W \lambda_H}`
the margin is

.. math:: c = \log \frac{1 - (K-1) s_a}{s_a}, \qquad s_a = s + a/K.
"""

import numpy as np

import figures
import ufm

SMOOTHINGS = (0.0, 0.01, 0.1, 0.3)
CLASSES, PER_CLASS, POINTS = 10, 100, 25

# %%
# The collapse ratio :math:`K s` runs from almost no decay upwards; from :math:`1 - a` on
# the minimiser is 0.

rows = []
for smoothing in SMOOTHINGS:
    loss = ufm.losses.LabelSmoothing(smoothing)
    for ratio in np.geomspace(1e-4, 0.6, POINTS):
        decay = ratio / (CLASSES * PER_CLASS**0.5)
        model = {"dim": CLASSES, "lambda_w": decay, "lambda_h": decay, "bias": False}
        problem = ufm.Problem.balanced(CLASSES, PER_CLASS, loss=loss, **model)
        best = ufm.global_minimizer(problem)
        own, other = (best.H @ best.W.T)[0, :2].tolist()
        rows.append((smoothing, ratio, own - other, ufm.spectrum(problem, best).condition))

# %%
# Without smoothing the margin grows without bound as the decay vanishes, with smoothing
# it stops. The condition number tells the other side of it. Cross-entropy flattens out as
# the margin grows, in step with the decay, and stays well conditioned. Smoothed targets
# keep the curvature of the loss where it is while the decay goes to 0, and the condition
# number grows like :math:`1/(K s)`.

with figures.house_style():
    figure = figures.new_figure(6.8, 2.2)
    left, right = figure.subplots(1, 2)
    for smoothing in SMOOTHINGS:
        x, margins, conditions = np.array(
            [row[1:] for row in rows if row[0] == smoothing]
        ).T
        left.plot(x, margins, label=f"a = {smoothing:g}")
        right.plot(x, conditions)
    left.set(title="margin c", ylim=0)
    right.set(title="condition number of the Hessian", yscale="log")
    for axes in (left, right):
        axes.set(xscale="log", xlabel="collapse ratio K s")
    left.legend()

caption = f"Margin and condition number at the minimiser, K = {CLASSES}, smoothing a."
header = ("smoothing", "collapse ratio", "margin", "condition")
drawing = figures.Drawing(figure, caption, header, rows)
drawing
