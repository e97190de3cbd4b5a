"""Proofs in ball arithmetic of what a numerical point is near to (python-flint is loaded to prove, not before).

proof         what is proved of a point, `prove`, and what it refuses
balls         matrices of balls; enclosure: f and its derivatives in them, in coordinates off the orbit
krawczyk      one critical point in a box; distance: how far it is from the given one
conclusions   what it is: a global minimiser, a strict saddle or a local minimiser
followed      where the end of a search leads in more bits; settle: the steps there, and the index
"""

from .followed import Followed, follow, is_empty
from .proof import PRECISION, Proof, is_available, prove

__all__ = ["PRECISION", "Followed", "Proof", "follow", "is_available", "is_empty", "prove"]
