r"""
Minority collapse
=================

:cite:t:`fang2021exploring` found that under imbalance the classifiers of small classes
merge: the network can no longer tell these classes apart. In the unconstrained feature
model the threshold is exact. Equal classes of :math:`n_k` samples are one point at the
global minimiser if and only if

.. math:: n_k \le N^2 \lambda_W \lambda_H,

for cross-entropy :cite:p:`hong2023neural`, and by one argument for squared error and
binary cross-entropy as well (docs/theory, section 10.9).
"""

import figures
from ufm.phases import Grid, survey_all

FEWER = (1, 2, 4, 7, 12, 20, 33, 55, 100)
LAMBDAS = (5e-4, 1e-3, 2e-3, 4e-3, 6e-3, 1e-2, 2e-2, 3e-2)

# %%
# Three classes of 100 samples stand beside three of fewer. Each cell is one minimisation
# (all of them are one sweep), certified as global by its duality gap; then one looks which
# rows of :math:`W` are equal. The theorem has no part in that.

grid = Grid(fewer=FEWER, lambdas=LAMBDAS, per_class=100)
cells = survey_all(grid.problems)
print(f"{sum(cell.certified for cell in cells)} of {len(cells)} minimisers are certified")
print(f"{sum(cell.contradicts for cell in cells)} of them contradict the threshold")

# %%
# The line is the threshold of the minority, the dashed one that of the majority. Between
# them the large classes are kept apart and the small ones are one point.

drawing = figures.phase_figure(cells)
drawing
