r"""
Softmax codes
=============

More classes than dimensions: the simplex frame does not fit for :math:`d < K - 1`. On
spheres, with logits :math:`\tau \langle w_k, h \rangle`, the best classifiers approach
*softmax codes* as :math:`\tau` grows :cite:p:`jiang2023generalized`: unit vectors of
which each is as far as can be from the convex hull of the others,

.. math:: \max_{|w_k| = 1} \; \min_k \; \mathrm{dist}(w_k, \mathrm{conv}\{w_j : j \ne k\}).

Here is that distance for :math:`d = 3`: of the codes, on spheres, and in the model with
decay, where lengths are free.
"""

import figures
import ufm
from ufm.traps.code_search import reference_distance
from ufm.traps.codes import one_vs_rest_distance

DIM, CLASSES = 3, (4, 5, 6, 7)
SCALE, DECAY, STARTS = 200.0, 1e-7, 6

# %%
# Some descents end in traps, so the best of several counts.


def best(model, minimize):
    """The one-vs-rest distance of W where the lowest of several descents ends."""
    ends = [minimize(model, seed) for seed in range(STARTS)]
    return one_vs_rest_distance(min(ends, key=lambda end: end.value).point.W)


rows = []
for classes in CLASSES:
    spheres = ufm.models.Spheres.balanced(classes, 1, DIM, SCALE)
    free = ufm.Problem.balanced(classes, 1, DIM, lambda_w=DECAY, lambda_h=DECAY, bias=False)
    found = best(spheres, ufm.models.Spheres.minimize), best(free, ufm.minimize)
    rows.append((classes, *reference_distance(classes, DIM), *found))

# %%
# Four classes are the simplex, six the octahedron. Five may stand in many ways, at the
# same distance 1. For seven no optimum is proved; the bar is the best that a search over
# codes found. With free lengths rows of :math:`W` differ in length at five and at seven,
# and their directions are another code: at these :math:`K` the theorem on spheres does
# not carry over.

codes, _, on_spheres, with_decay = list(zip(*rows, strict=True))[1:]
with figures.house_style():
    figure = figures.new_figure(3.3, 2.4)
    axes = figure.subplots()
    axes.bar(CLASSES, codes, color="0.88", width=0.7, label="softmax code")
    axes.plot(CLASSES, on_spheres, "o", label=f"on spheres, scale {SCALE:g}")
    axes.plot(CLASSES, with_decay, "s", label=f"free lengths, decay {DECAY:g}")
    axes.set(xlabel="number of classes K", ylabel="one-vs-rest distance", xticks=CLASSES)
    axes.grid(False, axis="x")
    figure.legend(loc="outside upper left", ncols=2)

caption = f"One-vs-rest distances of the best classifiers found and of codes, d = {DIM}."
header = ("K", "softmax code", "proved", "on spheres", "free lengths")
drawing = figures.Drawing(figure, caption, header, rows)
drawing
