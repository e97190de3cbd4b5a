"""Computer-assisted proofs that an atlas is the whole critical set of its problem, up to symmetry.

completeness  `prove_complete`, and what it claims; work: the proof as it goes, and the certificate that it writes
system        the equations of the points of rank 1; region: where these can be, for each order of the classes
inner, boxes  the inner unknowns, and what is proved of boxes; search: boxes cut until all are decided
listed        the listed points and the boxes about them; ranks: how many points of rank 0 and K - 1 there are
intervals     float64 intervals rounded outward; linear: products of matrices with them
ranges        K = 4: a search over the ranges of W, in fewer dimensions
check, trees  the checker of certificates, in ball arithmetic: it shares no code with any of these
local, lowest parts of the checker: what it shows of a box, and of points of rank 0 and 1
"""

from .completeness import Completeness, prove_complete

__all__ = ["Completeness", "prove_complete"]
