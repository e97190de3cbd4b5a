"""ufm.check_loss: is a loss what it says it is, and if not, where the mistake is."""

import math
import statistics
from dataclasses import dataclass
from typing import Any

import torch

from ..errors import require
from ..results import Result, Shown, Table
from .loss import Loss
from .own import completed, has_conjugate

STEPS = torch.logspace(-1, -6, 11, dtype=torch.float64, device="cpu")
SCALES = (0.3, 1.0, 3.0)  # of the logits that are drawn
SQUARE = 1.6  # the least power of the step that counts as its square; a wrong derivative leaves 1
SMALL = 1e-4  # of the first order
ROUNDS = 8  # of rows for each scale


@dataclass(frozen=True)
class LossCheck(Result):
    """One property: its name, whether it was seen to hold, the number that says so, and what a person should look at.

    holds   None where the loss does not say what is needed, and the property is not covered
    """

    name: str
    holds: bool | None
    worst: float
    hint: str


@dataclass(frozen=True)
class LossReport(Shown, Result):
    """What `check_loss` found, a line a property; `holds` where nothing was seen to fail."""

    loss: str
    checks: tuple[LossCheck, ...]

    @property
    def holds(self) -> bool:
        return all(check.holds is not False for check in self.checks)

    def as_table(self) -> Table:
        """A row a property."""
        words = {True: "holds", False: "FAILS", None: "not covered"}
        title = f"loss {self.loss!r}: {'all holds' if self.holds else 'something FAILS'}"
        rows = [(c.name, words[c.holds], f"{c.worst:.1e}", c.hint) for c in self.checks]
        return Table(title, ("property", "status", "worst", "what to look at"), rows)


def check_loss(loss: Any, num_classes: int = 4, seed: int = 0, verbose: bool = True) -> LossReport:
    """Look whether a loss (one of `ufm.losses`, or your own) is what it says, at random logits, a row of each type.

    num_classes  K, for a loss that does not fix it       verbose   print the report

    In turn: values and slopes by Taylor's remainder, which must shrink as the square of the step; slopes and curvature
    likewise, and the curvature's symmetry; convexity along random chords and invariance under a shift of all logits,
    where the loss claims them; the conjugate by Fenchel and Young, l(z) + l*(u) >= <u, z> with equality where u is the
    slope at z. As pymanopt's check_gradient, the remainder's slope on a log scale is what is looked at, so that a
    missing factor shows. Raises InputError for what is no loss.

    >>> import ufm
    >>> report = ufm.check_loss(ufm.losses.LabelSmoothing(0.1), verbose=False)
    >>> report.holds, {check.holds for check in report.checks}
    (True, {True})
    """
    loss = completed(loss)
    K = num_classes if loss.shape is None else loss.shape[1]
    require(K >= 2, f"need K >= 2 classes, got K = {K}")
    draw = _Draw(loss, K, seed)
    checks = [
        _rows(draw),
        _taylor_of_values(draw),
        _taylor_of_slopes(draw),
        _stack(draw),
        _symmetry(draw),
        _convexity(draw),
        _shift(draw),
        _kinds(draw),
        *_conjugate(draw),
    ]
    report = LossReport(loss.name, tuple(checks))
    if verbose:
        print(report)
    return report


class _Draw:
    """Random logits, directions and types of a loss."""

    def __init__(self, loss: Loss, num_classes: int, seed: int):
        self.loss, self.K = loss, num_classes
        self.generator = torch.Generator("cpu").manual_seed(seed)
        T = num_classes if loss.shape is None else loss.shape[0]
        self.types = torch.arange(T, device="cpu").repeat(ROUNDS * len(SCALES))
        scales = torch.tensor(SCALES, dtype=torch.float64, device="cpu").repeat_interleave(T * ROUNDS)[:, None]
        self.logits = scales * self.rows()

    def rows(self) -> torch.Tensor:
        shape = len(self.types), self.K
        return torch.randn(*shape, generator=self.generator, dtype=torch.float64, device="cpu")

    def values(self, logits: torch.Tensor) -> torch.Tensor:
        return self.loss.values(logits.clone(), self.types).detach()

    def slopes(self, logits: torch.Tensor) -> torch.Tensor:
        return self.loss.expand(logits.clone(), self.types)[1].detach().clone()


def _order(remainders: torch.Tensor, types: torch.Tensor, noise: float) -> float:
    """The power of the step with which the remainders (steps, R) of a type shrink, the least over the types.

    Of a type it is the median over its rows: a kink or a flat stretch in the way of one row says nothing. inf where all
    are 0, NaN where one is no number.
    """
    if not bool(remainders.isfinite().all()):
        return math.nan
    orders: dict[int, list[float]] = {}
    for row, t in zip(remainders.T, types.tolist(), strict=True):
        seen = row > noise
        if int(seen.sum()) >= 3:
            x, y = STEPS[seen].log()[-3:], row[seen].log()[-3:]  # the shortest steps: fewest kinks lie within them
            slope = float(((x - x.mean()) * (y - y.mean())).sum() / (x - x.mean()).square().sum())
            orders.setdefault(t, []).append(slope)
    return min((statistics.median(found) for found in orders.values()), default=math.inf)


def _shrinks(remainders: torch.Tensor, first: torch.Tensor, types: torch.Tensor, noise: float) -> tuple[float, bool]:
    """(the order, whether remainders (steps, R) are those of a derivative whose first order is t times first (R,)).

    They shrink as the square of the step; or, where kinks lie in the way, what is left of the first order at the
    shortest step is less than SMALL in half of the rows of each type.
    """
    order = _order(remainders, types, noise)
    if order >= SQUARE or math.isnan(order):
        return order, order >= SQUARE
    left = remainders[-1] / (float(STEPS[-1]) * first + noise)
    return order, all(float(left[types == t].median()) <= SMALL for t in types.unique())


def _rows(draw: _Draw) -> LossCheck:
    """`expand` has the values of `values`, and a row has the value that it has alone."""
    z, t = draw.logits, draw.types
    plain, unit = draw.values(z), 1 + draw.values(z).abs()
    expanded = draw.loss.expand(z.clone(), t)[0].detach()
    order = torch.randperm(len(t), generator=draw.generator)[: len(t) // 2]
    alone = draw.loss.values(z[order].clone(), t[order]).detach()
    worst = max(
        float(((expanded - plain) / unit).abs().max()), float(((alone - plain[order]) / unit[order]).abs().max())
    )
    hint = "" if worst <= 1e-9 else "expand and values differ, or a row's value depends on the rows beside it"
    return LossCheck("values: of each row alone", worst <= 1e-9, worst, hint)


def _stack(draw: _Draw) -> LossCheck:
    """The curvature of a stack of changes (2, R, K) is that of each."""
    curvature = draw.loss.expand(draw.logits.clone(), draw.types)[2]
    changes = torch.stack([draw.rows(), draw.rows()])
    each = torch.stack([curvature(change.clone()).clone() for change in changes])
    worst = float((curvature(changes.clone()) - each).abs().max() / (1e-300 + each.abs().max()))
    hint = "" if worst <= 1e-12 else "the curvature of changes (..., R, K) must be taken over the last axis"
    return LossCheck("curvature: of a stack", worst <= 1e-12, worst, hint)


def _kinds(draw: _Draw) -> LossCheck:
    """Exchanging two classes of one kind, their logits and their types, changes no value."""
    kinds = draw.loss.kinds(draw.K)
    pairs = [(i, j) for j in range(draw.K) for i in range(j) if kinds[i] == kinds[j]]
    classes = draw.loss.shape is None or draw.loss.shape[0] == draw.K
    name = "classes of one kind"
    if not pairs or not classes:
        return LossCheck(name, None, math.nan, "no two classes are said to be alike")
    z, worst = draw.logits, 0.0
    for i, j in pairs:
        swap = torch.arange(draw.K)
        swap[[i, j]] = torch.tensor([j, i])
        moved = draw.loss.values(z[:, swap].clone(), swap[draw.types]).detach()
        worst = max(worst, float(((moved - draw.values(z)) / (1 + moved.abs())).abs().max()))
    hint = "" if worst <= 1e-9 else "kinds says that classes are alike, and exchanging them changes the loss"
    return LossCheck(name, worst <= 1e-9, worst, hint)


def _taylor_of_values(draw: _Draw) -> LossCheck:
    z, v = draw.logits, draw.rows()
    start, along = draw.values(z), (draw.slopes(z) * v).sum(1)
    remainders = torch.stack([(draw.values(z + t * v) - start - t * along).abs() for t in STEPS.tolist()])
    order, holds = _shrinks(remainders, along.abs(), draw.types, 1e-13 * float(start.abs().max()) + 1e-300)
    hint = "" if holds else "the slopes are not the gradient of the values: a factor, a sign, or another class?"
    return LossCheck("slope: order of the remainder", holds, order, hint)


def _taylor_of_slopes(draw: _Draw) -> LossCheck:
    z, v = draw.logits, draw.rows()
    curvature = draw.loss.expand(z.clone(), draw.types)[2]
    start, along = draw.slopes(z), curvature(v.clone())
    remainders = torch.stack([(draw.slopes(z + t * v) - start - t * along).norm(dim=1) for t in STEPS.tolist()])
    order, holds = _shrinks(remainders, along.norm(dim=1), draw.types, 1e-13 * float(start.abs().max()) + 1e-300)
    hint = "" if holds else "the curvature is not the derivative of the slopes"
    return LossCheck("curvature: order of the remainder", holds, order, hint)


def _symmetry(draw: _Draw) -> LossCheck:
    curvature = draw.loss.expand(draw.logits.clone(), draw.types)[2]
    u, v = draw.rows(), draw.rows()
    Su, Sv = curvature(u.clone()).clone(), curvature(v.clone()).clone()
    unit = Su.norm(dim=1) * v.norm(dim=1) + Sv.norm(dim=1) * u.norm(dim=1)
    unit = unit.clamp_min(1e-10 * float(unit.max()) + 1e-300)
    worst = float((((Su * v).sum(1) - (Sv * u).sum(1)).abs() / unit).max())
    hint = "" if worst <= 1e-10 else "the curvature is not symmetric: is it a Hessian?"
    return LossCheck("curvature: symmetry", worst <= 1e-10, worst, hint)


def _convexity(draw: _Draw) -> LossCheck:
    """The rise of the middle of a chord over the mean of its ends, and the least curvature; a claim is needed."""
    z, v = draw.logits, draw.rows()
    ends, middle = (draw.values(z + v) + draw.values(z - v)) / 2, draw.values(z)
    rise = float(((middle - ends) / (1 + ends.abs())).max())
    bent = (draw.loss.expand(z.clone(), draw.types)[2](v.clone()) * v).sum(1) / v.square().sum(1)
    worst = max(rise, float(-bent.min()))
    if not draw.loss.convex:
        return LossCheck("convexity", None, worst, "not claimed" + (", and not so" if worst > 1e-10 else ""))
    hint = "" if worst <= 1e-10 else "convex = True is claimed, and a chord or a curvature contradicts it"
    return LossCheck("convexity", worst <= 1e-10, worst, hint)


def _shift(draw: _Draw) -> LossCheck:
    z = draw.logits
    change = draw.values(z + 1.7) - draw.values(z)
    worst = float((change.abs() / (1 + draw.values(z).abs())).max())
    if not draw.loss.shift_invariant:
        so = worst <= 1e-10
        return LossCheck("invariance under shifts", None, worst, "not claimed" + (", but it looks so" if so else ""))
    hint = "" if worst <= 1e-10 else "shift_invariant = True is claimed, and l(z + c 1) differs from l(z)"
    return LossCheck("invariance under shifts", worst <= 1e-10, worst, hint)


def _conjugate(draw: _Draw) -> list[LossCheck]:
    below, equal = "conjugate: Fenchel-Young", "conjugate: equality at the slope"
    if not has_conjugate(draw.loss):
        hint = "no negative_conjugate(slopes, types): there will be no lower bound"
        return [LossCheck(name, None, math.nan, hint) for name in (below, equal)]
    z, other = draw.logits, draw.rows()
    u = draw.slopes(z)
    dual = draw.loss.negative_conjugate(u.clone(), draw.types)
    unit = 1 + draw.values(z).abs() + (u * z).sum(1).abs()
    at_zero = draw.loss.negative_conjugate(torch.zeros_like(u), draw.types)
    # l(y) >= -l*(u) + <u, y> for every y, z among them, also where the loss is not convex.
    # At slope 0 it says that -l*(0) is below all values.
    excess = [(dual + (u * y).sum(1) - draw.values(y)) / unit for y in (other, z)]
    excess += [(at_zero - draw.values(y)) / unit for y in (other, z)]
    worst = math.nan if any(bool(e.isnan().any()) for e in excess) else max(float(e.max()) for e in excess)
    first = LossCheck(
        below,
        worst <= 1e-10,
        worst,
        "" if worst <= 1e-10 else "-conjugate is too large: bounds from it would be false",
    )
    gap = draw.values(z) - (u * z).sum(1) - dual
    if not draw.loss.convex:
        return [
            first,
            LossCheck(equal, None, float(gap.min()), "not convex: equality holds for some logits only"),
        ]
    far = float((gap.abs() / unit).max())
    hint = "" if far <= 1e-9 else "-conjugate is not the supremum: bounds from it are true at best, not tight"
    return [first, LossCheck(equal, far <= 1e-9, far, hint)]
