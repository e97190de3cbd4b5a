"""The record of a spectrum: eigenvalues of the Hessian with their multiplicities, complete or its two ends."""

import math
from dataclasses import dataclass, replace

import torch

from ..errors import require
from ..problem import Problem
from ..results import Result, Shown, Table

ZERO = 1e-12  # at a sharpened point an eigenvalue below this fraction of the largest counts as zero
UNSHARP = 1e-9  # anywhere else

SYMMETRIC, BLOCKS, ENDS = "symmetric blocks", "blocks", "matrix-free ends"


@dataclass(frozen=True)
class Inertia:
    """How many eigenvalues are negative and zero, and the largest over the smallest positive one."""

    index: int
    nullity: int
    condition: float


@dataclass(frozen=True, eq=False)
class Spectrum(Shown, Result):
    """Eigenvalues of the Hessian, ascending, with multiplicities.

    values (m,) float64, multiplicities (m,) int64, both on the CPU; num_variables is the size of the Hessian.
    method  "symmetric blocks" (the simplex ETF or the origin in closed form), "blocks" (any critical point), or
            "matrix-free ends": those of the k smallest and k largest to which Lanczos iteration converges, each
            listed once; one that is repeated may be listed fewer times than it occurs
    tolerance  an eigenvalue within it of zero counts as zero; where only the ends are known, the largest
            residual |H v - value v| as well
    Values are as computed: equal eigenvalues of different blocks stand apart, `merged` puts them together.
    Raises InputError unless there are as many multiplicities as values, whole numbers >= 1.
    """

    values: torch.Tensor
    multiplicities: torch.Tensor
    tolerance: float
    num_variables: int
    method: str

    def __post_init__(self) -> None:
        values, counts = self.values, self.multiplicities
        require(values.ndim == 1 and values.is_floating_point(), "a spectrum is a list of floating-point numbers")
        require(
            counts.shape == values.shape,
            f"a spectrum of {len(values)} values needs as many multiplicities, got shape {tuple(counts.shape)}",
        )
        whole = not (counts.is_floating_point() or counts.dtype == torch.bool)
        require(not len(values) or (whole and int(counts.min()) >= 1), "multiplicities must be whole numbers >= 1")

    @property
    def complete(self) -> bool:
        """Whether every eigenvalue is here; if not, index, nullity and condition are None."""
        return self.method != ENDS

    @property
    def size(self) -> int:
        """How many eigenvalues are listed, with multiplicities."""
        return int(self.multiplicities.sum())

    @property
    def min(self) -> float:
        return float(self.values[0])

    @property
    def max(self) -> float:
        return float(self.values[-1])

    @property
    def index(self) -> int | None:
        """The number of negative eigenvalues."""
        return self.inertia.index if self.complete else None

    @property
    def nullity(self) -> int | None:
        """The number of zero eigenvalues."""
        return self.inertia.nullity if self.complete else None

    @property
    def condition(self) -> float | None:
        """The largest over the smallest positive eigenvalue; inf when none is positive."""
        return self.inertia.condition if self.complete else None

    @property
    def inertia(self) -> Inertia:
        """Index, nullity and condition of a complete spectrum; InputError where only its ends are known."""
        require(self.complete, "the inertia needs the complete spectrum; give a critical point")
        positive = self.values[self.values > self.tolerance]
        return Inertia(
            index=int(self.multiplicities[self.values < -self.tolerance].sum()),
            nullity=int(self.multiplicities[self.values.abs() <= self.tolerance].sum()),
            condition=float(positive[-1] / positive[0]) if len(positive) else math.inf,
        )

    def expanded(self) -> torch.Tensor:
        """(size,) every eigenvalue as often as it occurs."""
        return torch.repeat_interleave(self.values, self.multiplicities)

    def as_table(self) -> Table:
        """A row a value, equal ones of different blocks together."""
        merged = self.merged() if len(self.values) else self
        rows = list(zip(merged.values.tolist(), merged.multiplicities.tolist(), strict=True))
        found = f"index {self.index}, nullity {self.nullity}, condition {self.condition:.6g}" if self.complete else ""
        title = f"Hessian: {self.size:,} of {self.num_variables:,} eigenvalues by {self.method}"
        symbols = {"eigenvalue": r"\lambda(\nabla^2 f)"}
        return Table(title, ("eigenvalue", "multiplicity"), rows, symbols, notes=[found] if found else [])

    def merged(self, rtol: float = 1e-9) -> "Spectrum":
        """The spectrum with values closer than rtol * max|value| merged into their weighted mean."""
        gap = rtol * max(abs(self.min), abs(self.max))
        steps = (self.values.diff() > gap).long()
        groups = torch.cat([steps.new_zeros(1), steps.cumsum(0)])
        counts = steps.new_zeros(int(groups[-1]) + 1).index_add(0, groups, self.multiplicities)
        sums = self.values.new_zeros(len(counts)).index_add(0, groups, self.values * self.multiplicities)
        return replace(self, values=sums / counts, multiplicities=counts)


def listed(problem: Problem, values: torch.Tensor, counts: torch.Tensor, zero: float, method: str) -> Spectrum:
    """The Spectrum of these eigenvalues and their counts; below the fraction `zero` of the largest they count as 0."""
    values, counts = values[counts > 0], counts[counts > 0]
    order = values.argsort()
    largest, decays = float(values.abs().max()), (problem.lambda_w, problem.lambda_h, problem.lambda_b or math.inf)
    # A decay that is small beside the largest eigenvalue is an eigenvalue all the same, down to rounding.
    tolerance = max(min(zero * largest, 0.01 * min(decays)), 1e-15 * largest)
    return Spectrum(values[order], counts[order], tolerance, problem.num_variables, method)
