"""ufm validate: measure a run or a saved Point again, and put it beside the theory."""

from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_type_hints

import tyro

from ..console import say, show, track
from ..flags import as_flags
from ..layers import show_layers
from ..losses import said
from ..options import JsonFile, Switch, require_unused, write_result
from ..trained_losses import TrainedLossFlags

if TYPE_CHECKING:
    from ufm import Point
    from validate import Comparison, Deviation, Neighbourhood, OnSpheres, Run
    from validate.theory.compare import Row

UNSEEN = "not defined: class means only"
SHOWN = ("loss", "accuracy", "test_accuracy", "nc1", "nc2", "nc3", "nc4", "mean_margin")


@dataclass(frozen=True)
class Command:
    """Measure every checkpoint of a run from its weights, or one saved Point, and compare with theory.

    Exit status 1 when a checkpoint does not measure what training recorded, or a theorem fails. A run gets the result
    in RUN/validation.json too. --layers measures every layer as well; `ufm figures` then draws them.
    """

    target: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN|POINT.safetensors")]
    """a run directory, or a safetensors file with W, H, b (and labels)"""
    data_dir: str | None = None
    """for a run: the folder of data sets, if it is no longer where it was"""
    lambda_w: float | None = None
    """for a Point: the weight decay of W, to compare with theory"""
    lambda_h: float | None = None
    """for a Point: the weight decay of H; by default the one that balance implies"""
    lambda_b: float | None = None
    """for a Point: the weight decay of b; by default that of W"""
    bias: bool = True
    """for a Point: whether its layer has a bias"""
    loss: TrainedLossFlags = field(default_factory=TrainedLossFlags)
    """for a Point: the loss that it was trained with"""
    features: Literal["free", "nonnegative"] = "free"
    """for a Point: the features of the model: free, or nonnegative as behind a ReLU (a run is compared with both)"""
    classifier: Literal["free", "fixed"] = "free"
    """for a Point: whether W was learned (free) or is what it was at the start (fixed, without --lambda-w)"""
    theorems: Switch = False
    """also check every theorem at the K, d, class counts and decays of this last layer (K = 10: seconds to a minute)"""
    layers: Switch = False
    """for a run: also measure every layer of its network, with the law of data separation; writes RUN/layers.json"""
    names: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME ...", help_behavior_hint="")] = ()
    """with --layers: these modules alone, or patterns: 'backbone.*' (default: the blocks, and what the head sees)"""
    pool: Literal["mean", "flatten", "first", "last", "token"] | None = None
    """with --layers: how maps and sequences become features (default: their mean over positions)"""
    most: int = 7
    """with --layers: at how many checkpoints at most, evenly over the run"""
    json: JsonFile = None

    def check(self, given: set[str]) -> None:
        from ufm.errors import Setting, require

        of_loss = {flag.name for flag in fields(TrainedLossFlags)}
        trained = {"lambda_h", "lambda_b", "no_bias", "bias", "features", *of_loss}
        if self.target.is_dir():
            require_unused(given, {"lambda_w", "classifier", *trained}, "a run's config.json says how it was trained")
        if not self.layers:
            require_unused(given, {"names", "pool", "most"}, "without --layers no layer is measured")
        if self.target.is_file():
            require_unused(given, {"data_dir"}, "a Point needs no data")
            require_unused(given, {"layers"}, "a Point is of one layer")
            if self.classifier == "fixed":
                require_unused(given, {"lambda_w"}, "no decay acts on a W that is fixed")
            elif self.lambda_w is None:
                require_unused(given, {*trained, "theorems"}, "without --lambda-w nothing is compared with theory")
            if not self.bias:
                require_unused(given, {"lambda_b"}, "--no-bias leaves no b to decay")
        self.loss.check(given)
        require(
            not self.loss.needs_given_w or (self.classifier == "fixed" and not self.bias),
            f"the loss {self.loss.loss} sees the own logit alone: it needs a W that is fixed, and no bias",
            ("pass ", Setting("classifier", "fixed"), " and ", Setting("bias", False)),
        )

    def run(self) -> int:
        from ufm import Status
        from ufm.errors import require
        from ufm.storage.locks import held
        from validate import Run

        if self.target.is_file():
            result = self._point()
        else:
            require(self.target.suffix != ".safetensors", f"there is no file {self.target}; ufm.Point.save writes one")
            with held(Run.open(self.target).path):  # what it finds is about the run as it is now, and goes into it
                result = self._run()
        write_result(self.json, "validate", result)
        checked = result.get("theorems") or {"verdicts": []}
        fails = any(verdict["status"] == Status.FAILS for verdict in checked["verdicts"])
        return 1 if fails or not result.get("agrees", True) else 0

    def _point(self) -> dict[str, Any]:
        from ufm import Point
        from validate import compare
        from validate.statistics.classes import resolve_labels

        point = Point.load(self.target)
        metrics = _show_metrics(str(self.target), point)
        if self.lambda_w is None and self.classifier == "free":
            reason = "pass --lambda-w, the weight decay that W was trained with"
            _say_not_covered(reason)
            return metrics | {"not_covered": reason}
        decays = {"lambda_w": self.lambda_w, "lambda_h": self.lambda_h, "lambda_b": self.lambda_b}
        loss = self.loss.trained(tuple(resolve_labels(point, None).bincount(minlength=point.num_classes).tolist()))
        asked = {"bias": self.bias, "loss": loss, "features": self.features, "classifier": self.classifier}
        return metrics | self._beside(compare(point, **decays, **asked))

    def _beside(self, comparison: "Comparison") -> dict[str, Any]:
        """Print theory beside a last layer; what was found, as plain data."""
        _show_comparison(comparison)
        found = {"comparison": comparison.plain(), "neighbourhood": _show_neighbourhood(comparison)}
        return found | {"theorems": _show_theorems(comparison) if self.theorems else None}

    def _beside_run(self, run: "Run") -> dict[str, Any]:
        """The same of a run's last point; None three times, and the reason said, where theory has nothing beside it."""
        from validate import NotComparable, OnSpheres
        from validate.runs.minimised import FOLLOWING
        from validate.theory.on_spheres import beside_run, nothing_beside

        nothing = dict.fromkeys(("comparison", "neighbourhood", "theorems", "behind_a_relu"))
        try:
            if run.last_point.is_file():
                found = beside_run(run)
                if not isinstance(found, OnSpheres):
                    followed = run.minimised is not None and run.minimised.head.W == FOLLOWING
                    _say_followed(followed)
                    beside = self._beside(found) | {"behind_a_relu": _behind_a_relu(run, found)}
                    return beside | ({"w_followed": True} if followed else {})
                _show_on_spheres(found)
                checked = _show_theorems(found) if self.theorems else None
                return nothing | {"on_spheres": found.plain(), "theorems": checked}
            reason = nothing_beside(run) or "the run ended before it recorded a point"
        except NotComparable as error:
            reason = as_flags(error, Command)
        _say_not_covered(reason)
        return nothing | {"not_covered": reason}

    def _every_layer(self, run: "Run") -> dict[str, Any]:
        """Measure every layer, write RUN/layers.json and print the tables; what was found, as plain data."""
        from networks import measure_layers

        found = measure_layers(run, self.names, self.pool, self.most, track("layers"), self.data_dir)
        found.save(run.layers)
        show_layers(found.plain())
        return {"layers": found.plain()}

    def _run(self) -> dict[str, Any]:
        from networks import remeasure
        from networks.runs.remeasure import ALLOWED
        from ufm import Point
        from ufm.results import plain
        from ufm.storage.files import write_json
        from validate import Run

        run = Run.open(self.target)
        found = remeasure(run, track=track("checkpoints"), data_dir=self.data_dir)
        agrees, worst = all(item.agrees for item in found), max(item.deviation for item in found)
        deviations = {"agrees": agrees, "worst_deviation": worst, "allowed_deviation": ALLOWED}
        result = plain({"run": str(run.path)} | deviations | {"checkpoints": found})
        _show_checkpoints(result)
        if run.last_point.is_file():
            result |= _show_metrics(f"{run.path}, the last recorded point", Point.load(run.last_point))
        result |= self._beside_run(run)
        result |= self._every_layer(run) if self.layers else {}
        _say_agreement(result)
        write_json(run.analysis, result)
        return result


def show_result(data: dict[str, Any]) -> None:
    """Print a result as `ufm validate` does."""
    from ufm.results import from_plain
    from validate import Deviation, Neighbourhood, OnSpheres
    from validate.theory.theorems import Checked

    from .verify import show_verdicts

    if "checkpoints" in data:
        _show_checkpoints(data)
    if "metrics" in data:
        _show_numbers(data)
    if data.get("not_covered"):
        _say_not_covered(data["not_covered"])
    _say_followed(bool(data.get("w_followed")))
    if data.get("comparison"):
        _show_comparison(_comparison(data["comparison"]))
    if data.get("on_spheres"):
        _show_on_spheres(OnSpheres.from_plain(data["on_spheres"]))
    if data.get("neighbourhood"):
        _say_neighbourhood(Neighbourhood.from_plain(data["neighbourhood"]))
    if data.get("theorems"):
        checked = from_plain(Checked, data["theorems"])
        show_verdicts(checked.problem, checked.verdicts)
    if data.get("behind_a_relu"):
        found = data["behind_a_relu"]
        _show_comparison(_comparison(found["comparison"]))
        _show_nearer(from_plain(list[Deviation], found["nearer"]))
    if data.get("layers"):
        show_layers(data["layers"])
    if "agrees" in data:
        _say_agreement(data)


def _comparison(data: dict[str, Any]) -> "Comparison":
    """The comparison that a file has; one of the free model alone had it as its problem."""
    from validate import Comparison

    named = {name: value for name, value in data.items() if name != "problem"}
    return Comparison.from_plain({"model": data.get("problem")} | named)


def _behind_a_relu(run: "Run", free: "Comparison") -> dict[str, Any] | None:
    """Print the comparison with nonnegative features, where the run's are, and which of the two is nearer."""
    from ufm import InputError, Point
    from ufm.results import plain
    from validate import compare_run, nearer

    if float(Point.load(run.last_point).H.min()) < 0:
        return None
    try:
        found = compare_run(run, "nonnegative")
    except InputError as error:
        say(f"theory of nonnegative features: not covered ({as_flags(error, Command)})")
        return None
    _show_comparison(found)
    deviations = nearer(free, found)
    _show_nearer(deviations)
    return {"comparison": found.plain(), "nearer": plain(deviations)}


def _show_nearer(deviations: "list[Deviation]") -> None:
    """Print how far the network is from either model, and in how many quantities which is nearer."""
    models = ("free features", "nonnegative features")
    rows = [(d.meaning, d.first, d.second, ("-", *models)[d.nearer]) for d in deviations]
    show("how far the network is from either model", ("quantity", *models, "nearer"), rows)
    counts = [sum(d.nearer == which for d in deviations) for which in (1, 2)]
    say(f"nearer: {models[0]} in {counts[0]}, {models[1]} in {counts[1]} of {len(deviations)} quantities")


def _say_not_covered(reason: str) -> None:
    say(f"theory: not covered ({reason})")


def _say_followed(followed: bool) -> None:
    """Say of a W that followed the features what theory makes of it."""
    if followed:
        say("W followed the features: the model is that of the W that it ended with, and does not say why it is there")


def _show_checkpoints(data: dict[str, Any]) -> None:
    from networks.measure import BY_TIER
    from networks.runs.remeasure import Remeasured
    from ufm.results import from_plain

    found = from_plain(list[Remeasured], data["checkpoints"])
    rows = [[one.epoch, *(one.metrics[name] for name in SHOWN), one.deviation] for one in found]
    show(f"checkpoints of {data['run']}, measured again", ("epoch", *SHOWN, "deviation"), rows)
    tiers = [name for name in BY_TIER.values() if name in found[0].metrics]
    if tiers:
        rows = [[one.epoch, *(one.metrics[name] for name in tiers)] for one in found]
        show("test accuracy of head, middle and tail, averages over classes", ("epoch", *tiers), rows)


def _say_agreement(data: dict[str, Any]) -> None:
    say(
        f"{len(data['checkpoints'])} checkpoints {'measure' if data['agrees'] else 'DO NOT measure'} what training "
        f"recorded: worst deviation {float(data['worst_deviation']):.1e}, allowed {data['allowed_deviation']:.0e}"
    )


def _show_metrics(title: str, point: "Point") -> dict[str, Any]:
    """Print every metric of a point; they and the errors of those that were sampled, as plain data."""
    from ufm.results import plain
    from validate import Estimate, generalized_collapse, neural_collapse
    from validate.metrics.generalized import CLASSES
    from validate.statistics.classes import class_means_only

    metrics = asdict(neural_collapse(point))
    if point.dim < point.num_classes - 1 and point.num_classes <= CLASSES:
        metrics |= asdict(generalized_collapse(point))
    sampled = {name: value.error for name, value in metrics.items() if isinstance(value, Estimate)}
    values = metrics | {name: float(metrics[name]) for name in sampled}
    found = plain({"of": title, "metrics": values, "sampled": sampled, "class_means_only": class_means_only(point)})
    found |= {"by_group": plain(_tiers(point))}
    _show_numbers(found)
    return found


def _tiers(point: "Point") -> list[dict[str, float | str]]:
    """A row for the head, the middle and the tail of classes, where they differ in samples."""
    from validate import by_group, tiers
    from validate.statistics.classes import resolve_labels

    counts = resolve_labels(point, None).bincount(minlength=point.num_classes).tolist()
    groups = tiers(counts) if min(counts) else {}
    return by_group(point, groups=groups) if groups else []


def _show_numbers(found: dict[str, Any]) -> None:
    from ufm.results import from_plain
    from validate import Estimate, GeneralizedCollapse, NeuralCollapse
    from validate.metrics.neural_collapse import WITHIN

    kinds = get_type_hints(NeuralCollapse) | get_type_hints(GeneralizedCollapse)
    metrics = {name: from_plain(kinds[name], value) for name, value in found["metrics"].items()}
    errors = from_plain(dict[str, float], found["sampled"])
    said = metrics | {name: str(Estimate(metrics[name], error)) for name, error in errors.items()}
    unseen = dict.fromkeys(WITHIN, UNSEEN) if found["class_means_only"] else {}
    show(found["of"], ("metric", "value"), (said | unseen).items())
    groups = found.get("by_group") or []
    if groups:
        names = [group["group"] for group in groups]
        rows = [(name, *(group[name] for group in groups)) for name in groups[0] if name != "group"]
        show("head, middle and tail: thirds of the range of log n_k, averages over classes", ("metric", *names), rows)
    if unseen:
        say("every class has one row: the metrics above are those of the class means, each of the same weight")


def _show_neighbourhood(comparison: "Comparison") -> dict[str, Any] | None:
    """Say which kind of critical point the network's last layer is near; None where that takes too long."""
    from ufm import InputError
    from validate import locate

    try:
        found = locate(comparison)
    except InputError as error:
        say(f"the critical point nearby: not covered ({as_flags(error, Command)})")
        return None
    _say_neighbourhood(found)
    return found.plain()


def _say_neighbourhood(found: "Neighbourhood") -> None:
    say(
        f"a descent from the network's class means ends in a {found.verdict}, {found.distance:.3g} of its norm away "
        f"(modulo rotations), {found.fall:.3g} lower in f; the lowest Hessian eigenvalue is {found.lowest:.3g} at the "
        f"network's class means and {found.lowest_at_end:.1e} there"
    )


def _show_theorems(comparison: "Comparison | OnSpheres") -> dict[str, Any]:
    """Print every theorem's verdict at this last layer's own problem."""
    from validate import theorems

    from .verify import show_verdicts

    checked = theorems(comparison, track("theorems"))
    show_verdicts(checked.problem, checked.verdicts)
    return checked.plain()


def _show_comparison(comparison: "Comparison") -> None:
    from ufm.models import Judgement

    certificate, plain = comparison.certificate, comparison.problem.loss.to_plain()
    show(
        f"theory ({comparison.method}) beside network: {_kind(comparison)}"
        f"{'' if plain == 'cross-entropy' else f'{said(plain)}, '}"
        f"{'' if comparison.fixed else f'lambda_w = {comparison.problem.lambda_w:g}, '}"
        f"{'implied ' if comparison.implied else ''}lambda_h = {comparison.lambda_h:.4g}",
        ("quantity", "theory", "network", "network/theory - 1"),
        [(_titled(row), row.theory, row.network, row.deviation) for row in comparison.rows],
    )
    size = certificate.residual if isinstance(certificate, Judgement) else certificate.relative_grad_norm
    balance = "" if comparison.fixed else f"; balance residual {comparison.balance_residual:.2g}"
    say(
        f"the network's last layer: {certificate.verdict} (relative gradient norm {size:.1e}); "
        f"{_bounded(certificate.duality_gap)}{balance}"
    )


def _show_on_spheres(found: "OnSpheres") -> None:
    loss = found.model.loss.to_plain()
    show(
        f"theory ({found.method}) beside network: unit rows of W and H, "
        f"{'' if loss == 'cross-entropy' else f'{said(loss)}, '}scale = {found.model.scale:.6g}",
        ("quantity", "theory", "network", "network/theory - 1"),
        [(_titled(row), row.theory, row.network, row.deviation) for row in found.rows],
    )
    own = found.certificate
    say(
        f"the network's last layer: {own.verdict} (relative gradient norm {own.residual:.1e}); "
        f"{_bounded(own.duality_gap)}"
    )
    if found.one_sign:
        say("no feature of the network is negative anywhere, as behind a ReLU; those of the model are of either sign")


def _kind(comparison: "Comparison") -> str:
    """The model in words; nothing of the free one."""
    from ufm import Problem

    model = comparison.model
    if isinstance(model, Problem):
        return ""
    nonnegative = not comparison.fixed or getattr(model, "nonnegative", False)
    parts = ["W fixed"] * comparison.fixed + ["H >= 0"] * nonnegative
    return "".join(f"{part}, " for part in parts)


def _bounded(gap: float) -> str:
    finite = f"f is within {gap:.3g} of the global minimum, certified by duality"
    return finite if gap < float("inf") else "how far f is from the global minimum is not covered (no finite bound)"


def _titled(row: "Row") -> str:
    return row.meaning + (" (agrees by construction)" if row.implied else "")
