"""Many small problems at once.

stack   their objectives as one: values, gradients, products with Hessians, dense Hessians
newton  trust-region Newton on it        judged  certificates and spectra at its ends
sweep   ufm.sweep                        result  what it returns: a row a problem
"""

from .result import Sweep
from .sweep import sweep

__all__ = ["Sweep", "sweep"]
