r"""
Jiang et al. 2023: generalised collapse for d < K
=================================================

:cite:t:`jiang2023generalized` take features and classifiers on spheres, logits
:math:`\tau \langle w_k, h \rangle`, and more classes than dimensions. As the
temperature :math:`1/\tau` falls the minimisers reach the largest one-vs-rest distance,
a softmax code (their GNC2), and features come to lie where their classifiers are
(GNC3).
"""

import torch

import figures
import ufm
import validate

CASES = ((6, 2), (5, 3), (7, 3), (9, 4))
SCALES = (3.0, 6.0, 12.0, 25.0, 50.0, 100.0)
STARTS = 4

# %%
# The best of a few descents on spheres for each case and temperature. Features end on
# their rows of :math:`W`.

rows = []
for classes, dim in CASES:
    for scale in SCALES:
        model = ufm.models.Spheres.balanced(classes, 1, dim, scale)
        point = min(
            (model.minimize(seed) for seed in range(STARTS)), key=lambda end: end.value
        ).point
        found = validate.generalized_collapse(point, torch.arange(classes))
        duality = float((point.W * point.H).sum(1).mean())
        rows.append((classes, dim, scale, found.one_vs_rest_w, found.best, duality))

least = min(row[-1] for row in rows)
print(f"the least mean cosine of features and their rows of W: {least:.6f}")

# %%
# Dashed: the distance of softmax codes. Six classes in the plane are a hexagon at any
# temperature; five in space have many codes; seven in space and nine in four dimensions
# come to theirs as the temperature falls.

with figures.house_style():
    figure = figures.new_figure(3.3, 2.4)
    axes = figure.subplots()
    for i, (classes, dim) in enumerate(CASES):
        _, _, scales, distances, best, _ = zip(
            *(row for row in rows if row[:2] == (classes, dim)), strict=True
        )
        axes.plot(
            scales,
            distances,
            color=f"C{i}",
            marker="os^D"[i],
            label=f"K = {classes}, d = {dim}",
        )
        axes.axhline(best[0], color=f"C{i}", linestyle="--", linewidth=0.9)
    axes.set(xscale="log", xlabel="scale of the logits", ylabel="one-vs-rest distance of W")
    figure.legend(loc="outside upper left", ncols=2)

caption = "Minimisers on spheres for d < K - 1 against the scale; dashed: softmax codes."
header = ("K", "d", "scale", "one-vs-rest distance", "that of softmax codes", "mean cosine")
drawing = figures.Drawing(figure, caption, header, rows)
drawing

# %%
# What differs
# ------------
# The paper trains networks on CIFAR-100 and BUPT-CBFace-50 beside the model; here is the
# model alone, at its minimisers. Where no optimum is known (K > 2d, d > 2) ours is the
# best code that a search found. The paper's one-vs-rest distance is the same quantity.
# Cases with :math:`d + 2 \le K \le 2d` have many softmax codes, and which of them is
# reached depends on the temperature :cite:p:`alcala2026neural`.
