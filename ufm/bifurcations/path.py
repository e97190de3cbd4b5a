"""A path of problems: balanced cross-entropy on a line (d = 1), with one number that changes.

Up to coordinates the critical points depend on rho = K sqrt(n lW lH) and lb alone: in equal-decay coordinates with one
feature a class, lW = lH = rho/K, n = 1.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch

from ..atlas.family import Family
from ..errors import Setting, require
from ..problem import LARGEST_DECAY, Problem
from ..results import Result

ALONG = ("rho", "lambda_b")
LARGEST = 7  # K up to here: as many atlases are made as are looked at
FLATTEST = 0.999  # rho up to here: nearer to the threshold rounding hides every event


class Local(NamedTuple):
    """f at one x (size,) and t: its value, gradient and Hessian, and the gradient's derivative in t."""

    value: float
    gradient: torch.Tensor
    hessian: torch.Tensor
    change: torch.Tensor


@dataclass(frozen=True)
class Path(Result):
    """K classes at d = 1; `along` changes between begin and end.

    along = "rho"       rho = K sqrt(n lW lH) changes, with lb = other times lW = lH = rho/K
    along = "lambda_b"  lb changes (in equal-decay coordinates), at rho = other
    bias                False: no b, and other must be 0 (along rho alone)
    Raises InputError for settings out of range.
    """

    num_classes: int
    along: str
    begin: float
    end: float
    other: float
    bias: bool = True

    def __post_init__(self) -> None:
        require(self.along in ALONG, (Setting("along"), f" must be one of {', '.join(ALONG)}, got {self.along!r}"))
        require(3 <= self.num_classes <= LARGEST, f"the paths take 3 <= K <= {LARGEST}, got K = {self.num_classes}")
        ordered = 0 < self.begin < self.end <= LARGEST_DECAY
        require(ordered, f"a path goes from a number > 0 to a larger, finite one, got {self.begin} to {self.end}")
        rho = self.end if self.along == "rho" else self.other
        require(0 < rho <= FLATTEST, f"rho must lie above 0 and be at most {FLATTEST}, got {rho}")
        decayed = 0 < self.other <= LARGEST_DECAY if self.bias else self.other == 0 and self.along == "rho"
        require(decayed, "a path needs a bias that decays, or (along rho) no bias and nothing that decays it")

    def problem(self, t: float) -> Problem:
        """The problem at t."""
        K, rho = self.num_classes, t if self.along == "rho" else self.other
        decay = rho / K
        lambda_b = (self.other * decay if self.along == "rho" else t) if self.bias else 0.0
        return Problem.balanced(K, 1, 1, lambda_w=decay, lambda_h=decay, lambda_b=lambda_b, bias=self.bias)

    @cached_property
    def slopes(self) -> torch.Tensor:
        """(size,) the derivative in t of the weight decay of each variable W, H~, b."""
        K = self.num_classes
        linear = 1 / K if self.along == "rho" else 0.0
        of_bias = self.other / K if self.along == "rho" else 1.0
        return torch.tensor([linear] * (2 * K) + [of_bias] * (K * self.bias), dtype=torch.float64, device="cpu")

    def family(self, t: float) -> Family:
        return Family(self.problem(t), 1)

    def local(self, x: torch.Tensor, t: float) -> Local:
        """f to second order at x (size,), and how its gradient changes with t: it is linear in the decays."""
        value, gradient, hessian = self.family(t).expand(x[None])
        return Local(float(value), gradient[0], hessian[0], self.slopes * x)

    def logits(self, x: torch.Tensor, t: float) -> torch.Tensor:
        """(K, K), row k those of class k's samples."""
        return self.family(t).logits(x[None])[0]
