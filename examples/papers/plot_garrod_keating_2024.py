r"""
Garrod and Keating 2024: depth lowers the rank
==============================================

:cite:t:`garrod2024persistence` show for cross-entropy that in deep unconstrained
feature models with L factors the number of singular values that matter at a global
minimum is bounded as depth grows, so that neural collapse, of rank :math:`K - 1`, is
not optimal; :cite:t:`sukenik2024neural` have it for squared error behind a ReLU. Here
are the singular values of the logits at the best point found.
"""

import torch

import figures
import ufm

CLASSES, DEPTHS, DECAY, STARTS = 8, (2, 3, 4, 6), 2e-3, 16


def best(depth):
    """(singular values of the logits at the best end, f there, f at the simplex frame)."""
    model = ufm.models.DeepLinear((1,) * CLASSES, CLASSES, depth, DECAY)
    end = min((model.minimize(seed) for seed in range(STARTS)), key=lambda end: end.value)
    point = end.point.point
    frame = model.etf()
    return (
        torch.linalg.svdvals(point.H @ point.W.T).tolist(),
        end.value,
        float(model.objective(frame)),
    )


found = {depth: best(depth) for depth in DEPTHS}
for depth, (sizes, value, frame) in found.items():
    rank = sum(size > 1e-6 * sizes[0] for size in sizes)
    print(f"L = {depth}: rank {rank}, f = {value:.6f}, at the simplex {frame:.6f}")

# %%

rows = [
    (depth, i, size)
    for depth, (sizes, *_) in found.items()
    for i, size in enumerate(sizes, 1)
]
with figures.house_style():
    figure = figures.new_figure(3.3, 2.2)
    axes = figure.subplots()
    for i, (depth, (sizes, *_)) in enumerate(found.items()):
        axes.plot(range(1, CLASSES + 1), sizes, marker="os^D"[i % 4], label=f"L = {depth}")
    axes.set(xlabel="place", ylabel="singular value of the logits", ylim=0)
    figure.legend(loc="outside upper left", ncols=4)

caption = f"Singular values of the best logits, L factors, K = {CLASSES}, decay {DECAY:g}."
drawing = figures.Drawing(figure, caption, ("L", "place", "singular value"), rows)
drawing

# %%
# What differs
# ------------
# The papers prove bounds and train deep models and networks; here is the least value that
# descents find, at one decay and without a ReLU. No certificate closes the gap to the
# global minimum for :math:`L \ge 3` and ranks above one: that the point is a local
# minimiser is certified by its Hessian (``ufm depth``), that it is the global one is not.
# That some point is below every simplex frame is proved for :math:`K \ge 4` and :math:`L
# \ge 4` (docs/theory, section 12.4).
