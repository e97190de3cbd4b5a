r"""
Depth against rank
==================

Put linear layers between features and logits and decay them all: the product of
:math:`L` factors then pays for its singular values with :math:`\sum_i \sigma_i^{2/L}`,
which for :math:`L \ge 3` prefers few of them. So deep neural collapse is not optimal
(:cite:t:`sukenik2024neural` behind a ReLU, :cite:t:`garrod2024persistence` for
cross-entropy). In the deep linear model some point is below every simplex frame if
:math:`K \ge 4` and :math:`L \ge 4`, or :math:`K \ge 6` and :math:`L \ge 3`, at any
decay (docs/theory, section 12.4).
"""

import figures
from ufm.depths import Grid

CLASSES, DEPTHS, LAMBDAS, ROUNDS = (3, 4, 5, 6), (2, 3, 4, 5), (2e-3, 2e-2), 2

# %%
# Each cell is the best of descents from starts of every rank, of the origin, and of the
# best simplex frame.

grid = Grid(classes=CLASSES, depths=DEPTHS, lambdas=LAMBDAS, rounds=ROUNDS)
cells = [grid.survey(model) for model in grid.problems]
beaten = [cell for cell in cells if cell.excess]
print(f"a point below every simplex frame in {len(beaten)} of {len(cells)} cells")

# %%
# Above: the rank of the best point; :math:`K - 1` would be collapse. Below: how much more
# the objective is at the simplex frame. Within the line the theorem says that the frame
# loses.

drawing = figures.depth_figure(cells)
drawing
