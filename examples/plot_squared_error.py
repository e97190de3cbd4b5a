r"""
Squared error: from the simplex to an orthogonal frame
======================================================

Under squared error the bias decides what collapse looks like. With a bias that nothing
decays the rows of :math:`W` form the simplex frame, as under cross-entropy; without one
they are orthogonal :cite:p:`zhou2022optimization,tirer2022extended`. In between a decay
:math:`\lambda_b` turns one into the other, at a place that is known exactly
(docs/theory, section 11.2): with :math:`r = K \sqrt{n \lambda_W \lambda_H}` the simplex
stays up to

.. math:: \frac{\lambda_b}{1 + \lambda_b} = r.
"""

import numpy as np

import figures
import ufm

CLASSES, PER_CLASS, DECAY, POINTS = 5, 10, 5e-3, 40
TOL = 1e-10


def squares(**bias):
    """Balanced classes under squared error."""
    shared = {"lambda_w": DECAY, "lambda_h": DECAY, "loss": ufm.losses.MeanSquare()}
    return ufm.Problem.balanced(CLASSES, PER_CLASS, CLASSES, **shared, **bias)


def cosine(problem):
    """(the cosine between two rows of W where a descent ends, the verdict there)."""
    point = ufm.minimize(problem, tol=TOL).point
    first, second = point.W[:2]
    verdict = ufm.certify(problem, point).verdict
    return float(first @ second / (first.norm() * second.norm())), str(verdict)


# %%
# The frame is measured at the end of a descent, not taken from the closed form.

decays = np.geomspace(1e-3, 1e2, POINTS)
found = [cosine(squares(lambda_b=decay)) for decay in decays]
free, none = cosine(squares(lambda_b=0.0)), cosine(squares(bias=False))
ratio = CLASSES * PER_CLASS**0.5 * DECAY
edge = ratio / (1 - ratio)
print(f"bias free: {free[0]:.6f}, no bias: {none[0]:.6f}")
print(f"the simplex ends at lambda_b = {edge:.4f}")

# %%
# Left of the dotted line all pairs of rows have the cosine :math:`-1/(K-1)`. Right of it
# the mean logit grows, and the frame opens towards the orthogonal one, of rank :math:`K`.

with figures.house_style():
    figure = figures.new_figure(3.3, 2.2)
    axes = figure.subplots()
    axes.axhline(-1 / (CLASSES - 1), color="C1", linestyle="--", label="simplex frame")
    axes.axhline(0, color="C2", linestyle="--", label="orthogonal frame")
    axes.axvline(edge, color="black", linestyle=":", label="where theory has the change")
    look = {"color": "C0", "marker": "o", "markersize": 2.5}
    axes.plot(decays, [value for value, _ in found], label="minimiser", **look)
    axes.set(xscale="log", xlabel="lambda_b, the decay of the bias")
    axes.set_ylabel("cosine of two rows of W")
    figure.legend(loc="outside upper left", ncols=2)

caption = f"The cosine between rows of W against the decay of the bias, K = {CLASSES}."
rows = [(decay, *one) for decay, one in zip(decays, found, strict=True)]
drawing = figures.Drawing(figure, caption, ("lambda_b", "cosine", "verdict"), rows)
drawing
