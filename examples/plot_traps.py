r"""
Traps in the plane
==================

With fewer dimensions than :math:`K - 1` the simplex frame does not fit, and the
landscape is no longer benign: some local minimisers are not global. For six classes in
the plane the best classifier is a hexagon; a pentagon with the sixth class at its
centre is a trap (docs/theory, section 4.5).

Descents from random starts show how often that happens. Each end is certified.
"""

import matplotlib.patches

import figures
import ufm
from ufm.traps import Ending, survey

STARTS = 48

problem = ufm.Problem.balanced(
    num_classes=6, per_class=2, dim=2, lambda_w=2e-4, lambda_h=2e-4, lambda_b=1e-3
)
cell = survey(problem, starts=STARTS)
print({str(ending): count for ending, count in cell.ends.items() if count})

# %%
# The worst trap is a local minimiser: its Hessian has no negative eigenvalue, and no zero
# but those of rotations.

levels = ufm.spectrum(problem, cell.worst.point)
print(f"f = {cell.worst.value:.7f}, at the best {cell.best.value:.7f}")
print(f"index {levels.index}, nullity {levels.nullity}")

# %%
# The rows of :math:`W` at both ends, one colour a class.

with figures.house_style():
    figure = figures.new_figure(3.3, 1.9)
    ends = {"best": cell.best, "trap": cell.worst}
    for axes, (name, end) in zip(
        figure.subplots(1, 2, sharex=True, sharey=True), ends.items(), strict=True
    ):
        rows = end.point.W.numpy()
        radius = (rows**2).sum(1).max() ** 0.5
        axes.add_patch(matplotlib.patches.Circle((0, 0), radius, fill=False, color="0.8"))
        for k, (x, y) in enumerate(rows):
            axes.plot([0, x], [0, y], color=f"C{k}", linewidth=1)
            axes.plot(x, y, "o", color=f"C{k}")
        axes.set(title=f"{name}: f = {end.value:.5f}", aspect="equal")
        axes.set_axis_off()

trapped = cell.ends[Ending.TRAPPED]
caption = f"The rows of W at the best end and at a trap; {trapped} of {STARTS} end in one."
corners = [
    (name, k, *row)
    for name, end in ends.items()
    for k, row in enumerate(end.point.W.tolist())
]
drawing = figures.Drawing(figure, caption, ("end", "class", "x", "y"), corners)
drawing

# %%
# ``ufm map`` surveys a grid over :math:`K`, :math:`d` and the decay in this way. From
# :math:`d = K - 1` on it finds no trap, as the theorem says.
