"""What can be certified of a point, to a tolerance: a lower bound, a direction of descent, a verdict."""

from .certificate import GAP, Certificate, certify
from .descent import descent_direction
from .lower_bound import LowerBound, lower_bound

__all__ = ["GAP", "Certificate", "LowerBound", "certify", "descent_direction", "lower_bound"]
