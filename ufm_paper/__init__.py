"""The experimental claims of Zhu et al. (NeurIPS 2021) as a grid of runs, their verdicts, and the record of both."""

from ufm_names import require_own

require_own("ufm", "validate", "networks", "figures")

from .claims import CLAIMS
from .driver import reproduce
from .grid import CELLS, SCALES, Scale

__all__ = ["CELLS", "CLAIMS", "SCALES", "Scale", "reproduce"]
