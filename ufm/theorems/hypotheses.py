"""Hypotheses of the claims: predicates on problems, and what a problem lacks in words."""

from ..analysis import spectrum
from ..errors import InputError, NoClosedForm
from ..losses import CrossEntropy
from ..losses.own import has_conjugate
from ..problem import Problem
from ..solvers.critical import origin
from ..solvers.sharpen import DENSE
from .theorem import Hypothesis

DENSE_LIMIT = 2000  # the most variables for which the dense Hessian is formed by autograd
CONDITION = 1e5  # the largest at which a rate 1 - 1/condition is told from 1


def _origin_is_saddle(problem: Problem) -> bool:
    """Whether some descent leaves the origin: sigma_max > sqrt(lW lH) there (K s < 1 when balanced)."""
    return problem.jet(origin(problem)).sigma_max > problem.ridge * (1 + 1e-6)


def _is_moderate(problem: Problem) -> bool:
    """Whether the closed form meets it; a problem without closed form lacks another hypothesis."""
    try:
        return spectrum(problem).inertia.condition <= CONDITION
    except NoClosedForm:
        return True
    except InputError:  # no complete spectrum: rounding hides the point
        return False


BALANCED = Hypothesis("balanced classes", lambda p: p.is_balanced)
CROSS_ENTROPY = Hypothesis("cross-entropy", lambda p: isinstance(p.loss, CrossEntropy))
CONVEX = Hypothesis("a convex loss", lambda p: p.loss.convex)
CONJUGATE = Hypothesis("a loss whose conjugate is known", lambda p: has_conjugate(p.loss))
SHIFT_INVARIANT = Hypothesis("a loss that ignores a shift of all logits", lambda p: p.loss.shift_invariant)
WIDE = Hypothesis("d >= K - 1 (K, if the loss is not shift-invariant)", lambda p: p.dim >= p.largest_rank)
WEAK_DECAY = Hypothesis("decay below the collapse threshold (sigma_max > sqrt(lW lH) at the origin)", _origin_is_saddle)
BIAS = Hypothesis("a bias", lambda p: p.bias)
SEVERAL = Hypothesis("some class with n_k >= 2", lambda p: max(p.class_counts) >= 2)
MANY_CLASSES = Hypothesis("K >= 3 (no rank lies between 0 and K - 1 for K = 2)", lambda p: p.num_classes >= 3)
SMALL = Hypothesis(f"at most {DENSE_LIMIT} variables (dense Hessian)", lambda p: p.num_variables <= DENSE_LIMIT)
BEYOND_K = Hypothesis("d > K", lambda p: p.dim > p.num_classes)
MODERATE = Hypothesis(f"a condition number of at most {CONDITION:,.0f} (gradient descent)", _is_moderate)
REDUCED = Hypothesis(
    f"2 K (K - 1) + K <= {DENSE:,} (reduced Hessian)", lambda p: p.num_classes * (2 * p.num_classes - 1) <= DENSE
)
ETF = (CROSS_ENTROPY, BALANCED, WIDE, WEAK_DECAY)
