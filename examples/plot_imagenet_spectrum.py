r"""
The spectrum of ImageNet's last layer
=====================================

A thousand classes of 1,281 images and 2,048 features each: the Hessian of the
unconstrained feature model at its global minimiser has 2.6 billion rows. It splits by
symmetry into blocks whose eigenvalues are known in closed form (docs/theory, section
6.2; the model is that of :cite:t:`zhu2021geometric`), so that the whole spectrum, with
multiplicities, takes no time at all.
"""

import figures
import ufm

CLASSES, PER_CLASS, DIM = 1000, 1281, 2048

problem = ufm.Problem.balanced(
    CLASSES, PER_CLASS, DIM, lambda_w=1e-4, lambda_h=1e-9, lambda_b=1e-4
)
minimizer = ufm.global_minimizer(
    problem
)  # one row of H a class: all images of a class share their feature
levels = ufm.spectrum(problem, minimizer).merged()
levels

# %%
# No eigenvalue is negative. The zeros are the rotations of feature space, in which
# nothing changes: :math:`(K-1) d - K(K-1)/2` of them. The condition number on the rest is
# what an optimiser meets near the minimiser: gradient descent takes a number of steps
# proportional to it, a second-order method does not.

rotations = (CLASSES - 1) * DIM - CLASSES * (CLASSES - 1) // 2
print(f"index {levels.index}, condition {levels.condition:.3g}")
print(f"nullity {levels.nullity:,} = {rotations:,}")

# %%
# Almost all eigenvalues are the decay of the features, :math:`\lambda_H`: directions in
# which images of one class part where no class looks. The largest ones belong to moves of
# :math:`W`.

drawing = figures.spectrum_figure(
    levels, f"the global minimiser for K = {CLASSES:,}, n = {PER_CLASS:,}, d = {DIM:,}"
)
drawing
