"""Many small problems at once.

stack   their objectives as one: values, gradients, products with Hessians, dense Hessians
newton  trust-region Newton on it        batches  which problems go together
sweep   ufm.sweep                        judged  certificates and spectra at its ends
result  what it returns: a row a problem
"""

from .result import Sweep
from .sweep import sweep

__all__ = ["Sweep", "sweep"]
