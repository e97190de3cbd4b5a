"""Head, middle and tail classes: thirds of the range of log n_k, from the largest class to the smallest,

t_k = log(n_max / n_k) / log(n_max / n_min):   head t < 1/3,   middle 1/3 <= t < 2/3,   tail t >= 2/3.

Bounds in samples ("many" above 100, "few" below 20: Liu et al. 2019, arXiv 1904.05160; `by_group` without groups) suit
the sets that they were made for; on others all classes may be many.
"""

import math
from collections.abc import Sequence

from ufm.errors import require

TIERS = ("head", "middle", "tail")
UNEQUAL = 2.0  # n_max / n_min from which on classes are told apart


def tiers(class_counts: Sequence[int]) -> dict[str, list[int]]:
    """The classes of each tier that has any, as `by_group` takes groups; empty where n_max < 2 n_min.

    class_counts  n_k of each class. Raises InputError unless all are >= 1.
    Source: Liu et al. 2019 (arXiv 1904.05160) part classes so by bounds in samples; these bounds follow the counts.
    """
    counts = [int(n) for n in class_counts]
    require(bool(counts) and min(counts) >= 1, f"tiers need samples of every class, got {counts[:20]}")
    least, most = min(counts), max(counts)
    if most < UNEQUAL * least:
        return {}
    places = [math.log(most / n) / math.log(most / least) for n in counts]
    found = [min(2, int(3 * place + 1e-9)) for place in places]
    members = {name: [k for k, tier in enumerate(found) if tier == i] for i, name in enumerate(TIERS)}
    return {name: classes for name, classes in members.items() if classes}
