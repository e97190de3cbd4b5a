"""The claims: what is said, by whom, which cells bear on it, and how the runs decide.

A judge's docstring is its criterion: it was fixed before the runs were made, and each could come out the other way.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from .beside import predictions, predictions_behind_relu, theorems
from .finding import Finding, Runs
from .footprints import footprints
from .grid import CELLS, OPTIMIZERS, SETS
from .trained import METRICS, Trained

PAPER = "Zhu et al., NeurIPS 2021 (arXiv 2105.02375)"


@dataclass(frozen=True)
class Claim:
    """statement and source in words; the cells it rests on; what decides.

    figures   by name, a figure of `figures.runs.comparison` and the cells that are in it
    """

    statement: str
    source: str
    cells: tuple[str, ...]
    judge: Callable[[Runs], Finding]
    figures: Mapping[str, tuple[str, tuple[str, ...]]]

    @property
    def criterion(self) -> str:
        return " ".join((self.judge.__doc__ or "").split())


def collapses(runs: Runs) -> Finding:
    """Every training set is fitted, and NC1 to NC4 of each end below where they were after the first epoch."""
    faults = [f"{name} reaches {run.last['accuracy']:.2%} only" for name, run in runs.items() if not run.fitted]
    for name, run in runs.items():
        faults += [f"{name}: {m} {run.first[m]:.3g} to {run.last[m]:.3g}" for m in run.risen]
    largest = {m: max(run.last[m] for run in runs.values()) for m in METRICS}
    said = f"{len(runs)} runs; at the end at most " + ", ".join(f"{m} {value:.2g}" for m, value in largest.items())
    said = "; ".join([said, *(faults or ["every training set fitted, every metric below its start"])])
    return Finding(not faults, said, number=_telling(runs, lambda run: run.risen))


def _telling(runs: Runs, too_high: Callable[[Trained], list[str]]) -> str:
    """One number: what went wrong, in the first place a training set that is not fitted; the largest NC1 if nothing."""
    least = min(runs, key=lambda name: runs[name].last["accuracy"])
    if not runs[least].fitted:
        return f"{least} fits {runs[least].last['accuracy']:.2%} of its training set"
    faults = Counter(name for run in runs.values() for name in too_high(run))
    for name, count in faults.most_common(1):
        return f"{name.upper()} ends too high in {count} of {len(runs)} runs"
    return f"NC1 at the end at most {max(run.last['nc1'] for run in runs.values()):.2g}"


def frames(runs: Runs) -> Finding:
    """A fixed frame with d = K collapses, and tests no worse than the learned head by more than two standard errors."""
    return _frames(runs, FRAME_PAIRS)


def _frames(runs: Runs, pairs: Mapping[str, str]) -> Finding:
    """pairs: the cells with a fixed frame, by those with a learned head."""
    said, holds, gains = [], True, []
    for learned, fixed in pairs.items():
        ours, theirs = runs[fixed].last["test_accuracy"], runs[learned].last["test_accuracy"]
        error = math.sqrt(sum(p * (1 - p) / runs[learned].test_images for p in (ours, theirs)))
        gains.append(ours - theirs)
        holds &= ours >= theirs - 2 * error and runs[fixed].last["nc1"] < runs[fixed].first["nc1"]
        said.append(f"{fixed} tests at {ours:.2%}, {learned} at {theirs:.2%} (standard error {error:.2%})")
    sizes = footprints()
    for row in sizes:
        if row["head"] == "etf":
            saved = f"{row['fewer_parameters']:.2%} fewer parameters and {row['fewer_memory_bytes']:.2%} less memory"
            said.append(f"{row['model']} at its full size has {saved} with it")
    number = f"test accuracy {min(gains):+.2%} to {max(gains):+.2%} against a learned head"
    return Finding(holds, "; ".join(said), {"summary": sizes}, number)


CEILINGS = {"nc1": 0.1, "nc2": 0.4, "nc3": 0.4}  # at desk scale; the paper states none


def collapses_below(runs: Runs) -> Finding:
    """Every training set is fitted, and NC1, NC2 and NC3 of each end at 0.1, 0.4 and 0.4 or below."""
    said = [f"{len(runs)} runs"]
    for name, run in runs.items():
        said.append(f"{name}: train {run.last['accuracy']:.2%}, test {run.last['test_accuracy']:.2%}, {_ends(run)}")
    holds = all(run.fitted and not _above(run) for run in runs.values())
    return Finding(holds, "; ".join(said), number=_telling(runs, _above))


def frames_below(runs: Runs) -> Finding:
    """A fixed frame with d = K fits its training set, ends with NC1, NC2 and NC3 at 0.1, 0.4 and 0.4 or below, and
    tests no worse than the learned head by more than two standard errors."""
    pairs = {learned: fixed for learned, fixed in FRAME_PAIRS.items() if fixed in runs}
    finding = _frames(runs, pairs)
    said = [
        f"{fixed} ends at train {runs[fixed].last['accuracy']:.2%}, {_ends(runs[fixed])}" for fixed in pairs.values()
    ]
    holds = finding.holds and all(runs[fixed].fitted and not _above(runs[fixed]) for fixed in pairs.values())
    return replace(finding, holds=holds, said="; ".join([finding.said, *said]))


def _above(run: Trained) -> list[str]:
    """Those of the metrics that do not end at their ceiling or below."""
    return [name for name, ceiling in CEILINGS.items() if not run.last[name] <= ceiling]  # a NaN does not


def _ends(run: Trained) -> str:
    return ", ".join(f"{name} {run.last[name]:.3g}" for name in CEILINGS)


def random_labels(runs: Runs) -> Finding:
    """In each family NC1 to NC3 of every run that fits lie below those of every run that does not, and both occur."""
    said, holds, numbers = [], True, []
    for family in ("mlp", "resnet18"):
        mine = [run for run in runs.values() if run.recipe.model == family]
        fit, others = ([run for run in mine if run.fitted is wanted] for wanted in (True, False))
        widths = {name: [run.recipe.width for run in group] for name, group in (("fit", fit), ("others", others))}
        said.append(f"{family}: widths {widths['fit']} fit, {widths['others']} do not")
        holds &= bool(fit and others)
        for metric in METRICS[:3] if fit and others else ():
            worst, best = max(run.last[metric] for run in fit), min(run.last[metric] for run in others)
            holds &= all(one.last[metric] < other.last[metric] for one in fit for other in others)  # a NaN is not
            said.append(f"{metric} at most {worst:.3g} where fitted, at least {best:.3g} elsewhere")
            if metric == "nc1":
                numbers.append(f"{family}: NC1 <= {worst:.2g} where fitted, >= {best:.2g} elsewhere")
    return Finding(holds, "; ".join(said), number="; ".join(numbers))


def decays(runs: Runs) -> Finding:
    """Under either weight decay every training set is fitted, and NC1 to NC4 end below where they began."""
    finding = collapses(runs)
    tests = ", ".join(f"{name} {run.last['test_accuracy']:.2%}" for name, run in runs.items())
    return replace(finding, said=f"{finding.said}; test accuracy {tests}")


FRAMES = ("learned-d10", "etf", "etf-d10")
FRAME_PAIRS = {
    "mnist-sgd": "mnist-resnet18-etf-d10",
    "cifar10-resnet18-learned": "cifar10-resnet18-etf-d10",
    "cifar10-resnet50-learned": "cifar10-resnet50-etf-d10",
}
BY_OPTIMIZER = {name: tuple(f"{name}-{optimizer}" for optimizer in OPTIMIZERS) for name in SETS}
BY_FRAME = {
    fixed.removesuffix("-etf-d10"): (learned, *(fixed.replace("etf-d10", head) for head in FRAMES))
    for learned, fixed in FRAME_PAIRS.items()
}
BY_WIDTH = {model: tuple(c for c in CELLS if c.startswith(f"random-{model}-")) for model in ("mlp", "resnet18")}
BY_DECAY = {name: (f"{name}-sgd", f"{name}-feature-decay") for name in SETS}


def _collapse(groups: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, tuple[str, ...]]]:
    """NC1 to NC4 of each group against epoch."""
    return {name: ("collapse", cells) for name, cells in groups.items()}


def _with_accuracy(groups: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, tuple[str, ...]]]:
    """And the errors of each."""
    return _collapse(groups) | {f"{name}-accuracy": ("accuracy", cells) for name, cells in groups.items()}


def _all(groups: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(cell for group in groups.values() for cell in group))


CLAIMS: dict[str, Claim] = {
    "optimizers": Claim(
        "Neural collapse is reached under SGD, Adam and L-BFGS alike: ResNet18 on MNIST and CIFAR-10.",
        f"{PAPER}, section 4, on the prevalence of collapse over optimisers",
        _all(BY_OPTIMIZER),
        collapses,
        _collapse(BY_OPTIMIZER),
    ),
    "fixed-etf": Claim(
        "A last layer fixed as a simplex ETF with d = K tests as well as a learned one, and is smaller.",
        f"{PAPER}, section 4, on insights for architecture design",
        _all(BY_FRAME),
        frames,
        _with_accuracy(BY_FRAME),
    ),
    "random-labels": Claim(
        "With random labels a network collapses if and only if it is wide enough to fit them.",
        f"{PAPER}, section 4, on random labels and network width",
        _all(BY_WIDTH),
        random_labels,
        {"width": ("width", _all(BY_WIDTH))},
    ),
    "weight-decay": Claim(
        "Weight decay on the features and the last layer leads to the same collapse as weight decay on everything.",
        f"{PAPER}, on the two formulations of weight decay",
        _all(BY_DECAY),
        decays,
        _collapse(BY_DECAY),
    ),
    "theory": Claim(
        "A network that fits has the margin and the norms of its unconstrained feature model's global minimiser.",
        f"{PAPER}, theorem 3.1, at the networks' own decays",
        tuple(CELLS),
        predictions,
        {"mnist": ("predictions", BY_OPTIMIZER["mnist"])},
    ),
    "theory-relu": Claim(
        "A network that fits has the margin and the norms of the global minimiser with features behind a ReLU.",
        "Dang et al. 2024 (arXiv 2401.02058); docs/theory, sections 12.1 and 12.2; at the networks' own decays",
        tuple(CELLS),
        predictions_behind_relu,
        {"ratios": ("ratios", tuple(CELLS))},
    ),
    "landscape": Claim(
        "At the networks' K, d and decays simplex ETFs are global minimisers and all else strict saddles.",
        f"{PAPER}, theorems 3.1 and 3.2",
        ("mnist-sgd", "cifar10-sgd"),
        theorems,
        {"bounds": ("bounds", ("mnist-sgd", "cifar10-sgd"))},
    ),
}

DESK_PAIRS = {name: FRAME_PAIRS[name] for name in ("mnist-sgd", "cifar10-resnet18-learned")}
DESK_GROUPS = {fixed.removesuffix("-etf-d10"): (learned, fixed) for learned, fixed in DESK_PAIRS.items()}
DESK_OPTIMIZERS = {"mnist": BY_OPTIMIZER["mnist"]}
DESK_CELLS = _all(DESK_OPTIMIZERS | DESK_GROUPS)
DESK_CLAIMS = {
    "optimizers": replace(
        CLAIMS["optimizers"],
        cells=_all(DESK_OPTIMIZERS),
        judge=collapses_below,
        figures=_collapse(DESK_OPTIMIZERS),
    ),
    "fixed-etf": replace(
        CLAIMS["fixed-etf"],
        cells=_all(DESK_GROUPS),
        judge=frames_below,
        figures=_with_accuracy(DESK_GROUPS),
    ),
    "theory": replace(CLAIMS["theory"], cells=DESK_CELLS, figures={"ratios": ("ratios", DESK_CELLS)}),
    "theory-relu": replace(CLAIMS["theory-relu"], cells=DESK_CELLS, figures={"ratios": ("ratios", DESK_CELLS)}),
    "landscape": replace(
        CLAIMS["landscape"], cells=tuple(DESK_PAIRS), figures={"bounds": ("bounds", tuple(DESK_PAIRS))}
    ),
}


def claims_at(scale: str) -> dict[str, Claim]:
    """The claims that are judged at a scale, by its name: all of them but at desk scale, whose runs are few."""
    return DESK_CLAIMS if scale == "desk" else CLAIMS
