"""Which of the literature's definitions are measured, by name: docs/metrics.md has them in one table."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from numbers import Integral, Real
from typing import Any, Literal, TypedDict

import torch

from ufm.errors import require

from ..statistics.classes import CENTRES, ClassStatistics


class Options(TypedDict, total=False):
    """The arguments of `Definitions`, as the metrics take them by keyword."""

    centre: Literal["samples", "classes"]
    centre_w: bool
    cdnv_exponent: float
    classes: Sequence[int] | torch.Tensor | None
    least_count: int | None
    most_count: int | None


@dataclass(frozen=True)
class Definitions:
    """What differs between papers and packages; the defaults are Zhu et al.'s, of CDNV Galanti et al.'s.

    centre         the global mean h_G: "samples", the mean of all samples, or "classes", the mean of the class means.
                   They differ where classes have different sizes, and with them Sigma_B, nc1, nc3, nc4 and whatever is
                   of the centred class means
    centre_w       whether the mean of the rows of W is taken from W in NC2 and NC3 (nc2, nc3, self_duality, and the
                   norms and angles of W). Decisions do not depend on it
    cdnv_exponent  p in the mean of (tr Sigma_j + tr Sigma_k)/(2 |h_j - h_k|^p); with another p than 2 the number
                   depends on the scale of the features
    classes        the numbers of the classes to measure, as if there were no others: neither their samples nor their
                   rows of W and b; None: all
    least_count, most_count   measure the classes that have at least, at most so many samples (of the reference, where
                   there is one: those that the class means are of)

    Raises InputError for what is none of these.
    """

    centre: Literal["samples", "classes"] = "samples"
    centre_w: bool = False
    cdnv_exponent: float = 2
    classes: Sequence[int] | torch.Tensor | None = None
    least_count: int | None = None
    most_count: int | None = None

    def __post_init__(self) -> None:
        require(self.centre in CENTRES, f'centre must be "samples" or "classes", got {self.centre!r}')
        require(isinstance(self.centre_w, bool), f"centre_w must be True or False, got {self.centre_w!r}")
        p = self.cdnv_exponent
        number = isinstance(p, Real) and math.isfinite(p) and p > 0
        require(number, f"cdnv_exponent must be a finite number > 0, got {p!r}")
        for name in ("least_count", "most_count"):
            count = getattr(self, name)
            whole = isinstance(count, Integral) and not isinstance(count, bool)
            require(count is None or (whole and count >= 1), f"{name} must be a whole number >= 1, got {count!r}")
        if self.classes is not None:
            self.numbers(torch.device("cpu"))

    @classmethod
    def named(cls, arguments: "Options") -> "Definitions":
        """Those given by name. Raises InputError for a name that is none."""
        known = [field.name for field in fields(cls)]
        for name in arguments:
            near = ", ".join(get_close_matches(name, known) or known)
            require(name in known, f"no argument and no definition is named {name!r}; near it are {near}")
        return cls(**arguments)

    @classmethod
    def among(cls, arguments: dict[str, Any]) -> "Definitions":
        """Those named in a function's further arguments, which are taken out of them."""
        return cls(**{field.name: arguments.pop(field.name) for field in fields(cls) if field.name in arguments})

    def numbers(self, device: torch.device) -> torch.Tensor:
        """(K',) the `classes`, ascending. InputError where they are no whole numbers."""
        asked = self.classes
        found = torch.as_tensor([], device=device)
        if hasattr(asked, "dtype"):
            found = torch.as_tensor(asked, device=device)
        elif isinstance(asked, Collection) and all(isinstance(k, Integral) and not isinstance(k, bool) for k in asked):
            found = torch.tensor([int(k) for k in asked], device=device)
        whole = found.ndim == 1 and len(found) and not found.is_floating_point() and found.dtype != torch.bool
        require(bool(whole), f"classes must be a list of class numbers, got {asked!r}")
        return found.long().unique()

    def measured(self, statistics: ClassStatistics, absent: str) -> tuple[ClassStatistics, torch.Tensor]:
        """(the statistics of the classes that are measured, about the centre that is meant, their numbers (K',)).

        absent  as for `neural_collapse`. Raises InputError for class numbers beyond K - 1, for absent classes, and
                where fewer than two are left.
        """
        counts, K = statistics.counts_of_means, len(statistics.counts)
        asked = torch.arange(K, device=counts.device) if self.classes is None else self.numbers(counts.device)
        within = int(asked[0]) >= 0 and int(asked[-1]) < K
        require(within, f"classes must lie in 0 .. {K - 1}, got {int(asked[0])} .. {int(asked[-1])}")
        if self.least_count is not None:
            asked = asked[counts[asked] >= self.least_count]
        if self.most_count is not None:
            asked = asked[counts[asked] <= self.most_count]
        if absent == "error":
            statistics.require_present(asked)
        asked = asked[counts[asked] > 0]
        require(bool(counts.any()), "no samples: there is nothing to measure")
        sizes = f"{int(counts.min())} to {int(counts.max())} samples behind their means"
        require(len(asked) >= 2, f"collapse is of at least 2 classes, got {len(asked)} of the {K}, which have {sizes}")
        return replace(statistics.only(asked), centre=self.centre), asked
