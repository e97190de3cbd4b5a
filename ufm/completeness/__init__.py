"""Computer-assisted proofs that an atlas is the whole critical set of its problem, up to symmetry.

completeness  `prove_complete`, what it claims, and the certificate that it writes
system        the equations of the points of rank 1; region: where these can be
inner, boxes  the inner unknowns, and what is proved of boxes; search: boxes cut until all are decided
intervals     float64 intervals rounded outward; linear: products of matrices with them
ranges        K >= 4 without a bias: a search over the ranges of W, in fewer dimensions
check         the checker of certificates, in ball arithmetic: it shares no code with any of these
"""

from .completeness import Completeness, prove_complete

__all__ = ["Completeness", "prove_complete"]
