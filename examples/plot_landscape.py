r"""
The landscape of four classes
=============================

The unconstrained feature model minimises the regularised cross-entropy over free
:math:`W`, :math:`H` and :math:`b`. It is not convex, and yet its landscape is benign:
:cite:t:`zhu2021geometric` prove that for :math:`d \ge K` every critical point is a
global minimiser, which is a simplex frame, or a strict saddle; :math:`d = K - 1` is
enough (docs/theory, section 4.2).

Here are all critical points for :math:`K = 4`, up to rotations of feature space and
permutations of the classes, and where the gradient flow leads from each.
"""

import figures
import ufm

CLASSES = 4
UNTIL_QUIET = 200  # random starts in a row that have to find nothing new

problem = ufm.Problem.balanced(
    CLASSES, per_class=2, dim=CLASSES - 1, lambda_w=2e-3, lambda_h=2e-3, lambda_b=1e-2
)
atlas = ufm.explore(problem, until_quiet=UNTIL_QUIET, connect=True)
atlas

# %%
# Is the list complete? The critical points of a Morse function, counted with the sign of
# their index and the Euler characteristic of their orbits, add up to 1, and so they do
# within every subspace that a symmetry of the classes fixes (docs/theory, section 7.2). A
# missing point would show: none of these sums fails.

print(len(atlas.sums), "Euler sums,", len(atlas.failing), "of them not 1")

# %%
# A marker is a critical point: how high it is against in how many directions one can
# leave it downwards. Sizes of groups of equal classes stand beside it: at 2+1+1 two
# classes are not told apart. Arrows are gradient flows. All of them end in the one
# minimiser, whatever saddles they pass.

drawing = figures.landscape_figure(atlas)
drawing
