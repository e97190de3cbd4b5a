"""The atlas: every critical point of a problem up to symmetry, the descents between them, and how complete it is."""

import math
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from ..certificates import Certificate, certify
from ..errors import Setting, require
from ..point import Point
from ..problem import Problem
from ..results import PointVerdict, Result, Shown, Table
from ..spectra.blocks import orbit_dimension
from ..storage.files import require_writable
from ..storage.locks import held
from .catalogue import Entry
from .euler import EulerSum
from .exploration import Descent, Exploration
from .rotations import named
from .symmetry import automorphism_count, group_order

LARGEST = 12  # K up to here: every class more makes about three times as many points
BENIGN = (PointVerdict.GLOBAL_MINIMIZER, PointVerdict.STRICT_SADDLE)  # all that there is for d large enough


@dataclass(frozen=True, eq=False)
class CriticalPoint(Result):
    """One critical point up to O(d) and permutations of classes with equal n_k that the loss takes for alike.

    level            f there                            rank       of W (and of W H^T)
    partition        the classes in blocks of equal ones (same rows of W, H and b)
    copies           how many of its class-permuted versions differ modulo O(d)
    index, nullity   negative and zero eigenvalues of the Hessian over all variables; lambda_min the least one. All
                     three are None where the certificate's verdict is "not critical"
    grad_norm        relative: problem.relative_gradient(point)
    logits (T, K)    row t: those of type t's samples   singular_values (rank,)  of H~ W^T, H~ with sqrt(n_t) h_t
    proved           float64 leaves open whether it is there, or an eigenvalue's sign: proved in ball arithmetic, and
                     so are index and nullity (`ufm.proofs.followed`)
    manifold         what it stands for where classes turn into each other: "Gr(2, 4)", the Grassmannian of the planes
                     in 4 dimensions, of dimension 4; empty for a point
    certificate      what it is certified to be          found_by   which part of the search found it first
    point            one representative, collapsed, with the problem's d
    """

    level: float
    rank: int
    partition: tuple[tuple[int, ...], ...]
    copies: int
    index: int | None
    nullity: int | None
    lambda_min: float | None
    grad_norm: float
    logits: torch.Tensor = field(repr=False)
    singular_values: torch.Tensor = field(repr=False)
    certificate: Certificate = field(repr=False)
    found_by: str
    point: Point = field(repr=False)
    proved: bool = False
    manifold: str = ""

    @property
    def shape(self) -> str:
        """The sizes of the partition's blocks: "3+1+1"."""
        return "+".join(str(len(block)) for block in self.partition)


@dataclass(frozen=True, eq=False)
class Atlas(Shown, Result):
    """The critical points found, by level, and the evidence that none is missing.

    sums      the Euler sums of `ufm.atlas.euler`
    starts    by rank: how many random starts there were
    quiet     by rank: how many of them in a row, the last ones, found nothing new
    descents  flow lines between the points, by their places in `points`; empty where they were not asked for
    hidden    how many ends of searches were not entered, since rounding hides whether a critical point is there
    followed  how many more such ends ball arithmetic led to critical points that are proved
    excluded  and from how many it led nowhere, while it proved them to be the rounding of no critical point
    """

    problem: Problem
    points: tuple[CriticalPoint, ...]
    sums: tuple[EulerSum, ...]
    starts: dict[int, int]
    quiet: dict[int, int]
    descents: tuple[Descent, ...]
    hidden: int = 0
    followed: int = 0
    excluded: int = 0

    @property
    def failing(self) -> list[EulerSum]:
        """The sums that are not 1: each shows that a point is missing."""
        return [s for s in self.sums if s.failing]

    @property
    def undecided(self) -> list[EulerSum]:
        """The sums about which the theorem says nothing, since a point in them is degenerate."""
        return [s for s in self.sums if s.value is None]

    @property
    def minimizers(self) -> set[int]:
        """The places of the points certified as global minimisers."""
        return {i for i, p in enumerate(self.points) if p.certificate.verdict == PointVerdict.GLOBAL_MINIMIZER}

    @property
    def leads_down(self) -> set[int]:
        """The places from which some chain of descents reaches a global minimiser, itself included."""
        reached = self.minimizers
        while more := {line.start for line in self.descents if line.end in reached} - reached:
            reached |= more
        return reached

    def as_table(self) -> Table:
        """A row a point; below, what the sums say."""
        columns = ("", "level", "rank", "classes", "copies", "index", "nullity", "lambda_min", "verdict", "found by")
        rows = [
            (i, p.level, p.rank, p.shape, p.copies, p.index, p.nullity, p.lambda_min, p.certificate.verdict, p.found_by)
            for i, p in enumerate(self.points)
        ]
        said = [
            f"Euler sums: {len(self.sums)}, of which {len(self.failing)} are not 1, {len(self.undecided)} undecided"
        ]
        said += [f"{self.hidden} ends of searches hidden by rounding"] if self.hidden else []
        title = f"critical points up to symmetry: {len(self.points)}, K = {self.problem.num_classes}"
        symbols = {"level": "f", "lambda_min": r"\lambda_{\min}(\nabla^2 f)"}
        return Table(title, columns, rows, symbols, notes=said)

    def complaints(self, connected: bool) -> list[str]:
        """What the theory claims of the points and they contradict, a line each; connected: descents were asked for.

        An Euler sum other than 1 contradicts at any d. Where the loss is convex and d at least the largest rank
        (K - 1 for a shift-invariant loss, else K) every point is a global minimiser or a strict saddle, and so every
        descent ends in a global minimiser.
        """
        problem, complaints = self.problem, []
        if self.failing:
            complaints.append(f"{len(self.failing)} of {len(self.sums)} Euler sums are not 1: a point is missing")
        if problem.loss.convex and problem.dim >= problem.largest_rank:
            bad = [p for p in self.points if p.certificate.verdict not in BENIGN]
            if bad:
                complaints.append(f"{len(bad)} points are neither global minimisers nor strict saddles")
            stuck = len(self.points) - len(self.leads_down)
            if connected and stuck:
                complaints.append(f"{stuck} points do not lead down to the global minimiser")
        return complaints


def critical_points(problem: Problem, seed: int = 0, **settings: Any) -> list[CriticalPoint]:
    """The critical points of a problem up to symmetry, by level: `explore(problem, seed, ...).points`."""
    return list(explore(problem, seed, **settings).points)


def explore(
    problem: Problem,
    seed: int = 0,
    *,
    until_quiet: int = 500,
    connect: bool = False,
    jobs: int = 1,
    patience: int = 4,
    file: Path | str | None = None,
    force: bool = False,
    on_round: Callable[[Exploration, str], None] | None = None,
) -> Atlas:
    """Search for every critical point up to O(d) and permutations of the classes (K <= 12; any loss, d, class counts).

    until_quiet  go on until so many random starts in a row found nothing new, at every rank
    connect      follow the gradient flow from every saddle; a point it finds that was missed is entered
    jobs         how many rounds run side by side, in processes of one thread each. Inside
                 `joblib.parallel_config(backend="dask")` they go to the workers of a Dask cluster (`ufm.cluster`)
    patience     how many turns without a find, each twice as long, are spent on the subspaces of Euler sums that are
                 not 1
    file         what is found is written there (JSON) after every round (where that takes long, after some), and gone
                 on with if it is there
    force        begin anew, whatever the file holds
    on_round     called with the exploration and what it is doing, after every round

    The parts of the search are those of `ufm.atlas.exploration`. The same seed gives the same atlas for any number of
    jobs. Raises InputError for settings out of range, and for a file of another problem or that another process writes.

    >>> import ufm
    >>> atlas = ufm.explore(ufm.Problem.balanced(3, 1, 2, lambda_w=2e-2, lambda_h=2e-2), until_quiet=50)
    >>> [(point.rank, str(point.certificate.verdict)) for point in atlas.points]
    [(2, 'global minimizer'), (1, 'strict saddle'), (1, 'strict saddle'), (0, 'strict saddle')]
    >>> {sum.value for sum in atlas.sums}  # no point is missing, as far as these sums tell
    {1}
    """
    problem.require_decidable()
    require(problem.num_classes <= LARGEST, f"the atlas takes K <= {LARGEST}, got K = {problem.num_classes}")
    for name, value in (("until_quiet", until_quiet), ("jobs", jobs), ("patience", patience)):
        require(value >= 1, (Setting(name), f" must be >= 1, got {value}"))
    require(seed >= 0, (Setting("seed"), f" must be >= 0, got {seed}"))
    if file is not None:
        require_writable(file)
    with nullcontext() if file is None else held(file):
        if force and file is not None:
            Path(file).unlink(missing_ok=True)
        search = Exploration(problem, seed, jobs, None if file is None else Path(file), on_round)
        search.partitions()
        search.reflections()
        while True:
            search.at_random(until_quiet)
            sums = search.by_sums(until_quiet, patience)
            if not connect or not search.by_descents():
                return _bound(search, sums, connect)


def partition_points(problem: Problem, seed: int = 0, *, blocks: int = 4, starts: int = 20) -> list[CriticalPoint]:
    """Critical points with few different classes, by level: a look into an atlas too large to be made (K <= 12).

    For every partition of the classes into m <= blocks blocks, `starts` random starts among the points of rank m - 1
    (or d, if that is less) whose classes are equal within the blocks. What is found is critical for the whole problem,
    by the principle of symmetric criticality; nothing is claimed of what is not found. InputError for settings out
    of range.
    """
    problem.require_decidable()
    require(problem.num_classes <= LARGEST, f"the atlas takes K <= {LARGEST}, got K = {problem.num_classes}")
    for name, value, least in (("blocks", blocks, 1), ("starts", starts, 1), ("seed", seed, 0)):
        require(value >= least, (Setting(name), f" must be >= {least}, got {value}"))
    search = Exploration(problem, seed)
    search.coarse_partitions(blocks, starts)
    return list(_bound(search, [], False).points)


def _bound(search: Exploration, sums: list[EulerSum], connect: bool) -> Atlas:
    """The atlas of a finished exploration, its points sorted by level."""
    entries = search.catalogue.entries
    order = sorted(range(len(entries)), key=lambda i: (entries[i].level, entries[i].family.rank))
    place = {old: new for new, old in enumerate(order)}
    lines = [line for i in order for line in search.descents.get(i, [])] if connect else []
    return Atlas(
        problem=search.problem,
        points=tuple(_described(search.problem, entries[i]) for i in order),
        sums=tuple(sums),
        starts=dict(search.starts),
        quiet=dict(search.quiet),
        descents=tuple(
            Descent(place[line.start], line.eigenvalue, None if line.end is None else place[line.end]) for line in lines
        ),
        hidden=search.catalogue.hidden,
        followed=search.catalogue.followed,
        excluded=search.catalogue.excluded,
    )


def _described(problem: Problem, entry: Entry) -> CriticalPoint:
    point = entry.family.point(entry.x).padded(problem.dim)
    certificate = certify(problem, point)
    if entry.proof:
        certificate = _proved(problem, certificate, entry)
    W, scaled, _ = entry.family.landscape.split(entry.x)
    kinds = problem.kinds
    return CriticalPoint(
        level=entry.level,
        rank=entry.family.rank,
        partition=entry.family.partition(entry.x),
        copies=1 if entry.spaces else group_order(kinds) // automorphism_count(entry.logits, kinds),
        index=certificate.index,
        nullity=certificate.nullity,
        lambda_min=certificate.lambda_min,
        grad_norm=certificate.relative_grad_norm,
        logits=torch.from_numpy(entry.logits),
        singular_values=torch.linalg.svdvals(scaled @ W.T)[: entry.family.rank],
        certificate=certificate,
        found_by=entry.found_by,
        point=point,
        proved=entry.proof is not None,
        manifold=named(entry.spaces),
    )


def _proved(problem: Problem, certificate: Certificate, entry: Entry) -> Certificate:
    """The certificate with the index that is proved, and the verdict that goes with it."""
    proof, beyond = entry.proof, problem.dim - entry.family.rank
    assert proof is not None
    index, direction, curvature = proof.index + beyond * proof.further, certificate.direction, certificate.curvature
    if proof.index and direction is None:
        direction, curvature = entry.family.point(proof.lowest).padded(problem.dim), proof.least
    lW, lH, sigma = problem.lambda_w, problem.lambda_h, certificate.sigma_max
    outside = (lW * lH - sigma**2) / ((lW + lH) / 2 + math.hypot((lW - lH) / 2, sigma)) if proof.further else 0.0
    verdict = PointVerdict.STRICT_SADDLE if index else PointVerdict.LOCAL_MINIMIZER
    if not index and certificate.verdict == PointVerdict.GLOBAL_MINIMIZER:
        verdict = certificate.verdict
    return replace(
        certificate,
        verdict=verdict,
        rank=entry.family.rank,
        index=index,
        nullity=orbit_dimension(problem, entry.family.rank),
        lambda_min=min(proof.least, outside) if beyond else proof.least,
        direction=direction,
        curvature=curvature,
    )
