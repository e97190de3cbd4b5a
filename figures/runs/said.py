"""What a caption says of theory: only what is true of the models of the runs that are drawn."""

from collections.abc import Sequence

from ufm.losses import CrossEntropy
from validate import OnSpheres
from validate.runs.minimised import FOLLOWING

from ..drawing.panels import Panel
from .material import Material

FIXED, FOLLOWED, UNIT_ROWS = "W fixed", "W as it ended", "unit rows of W and H"
KINDS = {  # and where some runs are such
    FIXED: " where it was in training",
    FOLLOWED: " where it followed the features",
    UNIT_ROWS: " where training had them",
}


def theory_said(panels: Sequence[Panel], runs: Sequence[Material]) -> str:
    """Whose values the dashed lines are, in which quantities they are zero, and what agrees by construction.

    Empty where no run has a point that theory covers, or no panel has a value of theory's.
    """
    covered, drawn = [run for run in runs if run.theory], [panel for panel in panels if panel.theory]
    if not covered or not drawn:
        return ""
    zero = [panel for panel in drawn if all(run.theory.get(panel.column) == 0 for run in covered)]
    whose = "the run's" if len(runs) == 1 else "each run's" if len(covered) == len(runs) else "each covered run's"
    subject = f"{minimiser_said(covered)} of {whose} own unconstrained feature model{_kinds(covered)}{_losses(covered)}"
    sentences = [f"Dashed: {subject}."] if len(zero) < len(drawn) else []
    if zero:
        sentences.append(f"{'It' if sentences else subject.capitalize()} has zero in {_listed(zero)}.")
    arranged = [panel for panel in drawn if any(panel.column in run.implied for run in covered)]
    of_W = [panel for panel in arranged if panel.column != "norm_ratio"]
    if of_W:
        sentences.append(f"Where W or its norm is given, {_listed(of_W)} of theory and network agree by construction.")
    if len(of_W) < len(arranged):
        sentences.append(
            "The ratio agrees by construction where a run has no feature decay of its own: its model's is chosen so."
        )
    return "".join(f" {sentence}" for sentence in sentences)


def minimiser_said(runs: Sequence[Material]) -> str:
    """The minimiser that theory's values are of, and whether it is certified as global in these runs' models."""
    certified = [run.comparison is not None and run.comparison.certified for run in runs]
    if all(certified):
        return "the global minimiser"
    return f"the minimiser that a descent finds ({'not always' if any(certified) else 'not'} certified as global)"


def loss_said(run: Material) -> str:
    """The loss of the run's model in words: "focal (focusing 2)"; empty where it is cross-entropy."""
    facts = run.run.minimised
    return "" if facts is None or facts.loss.name == CrossEntropy.name else facts.loss.said


def _kinds(runs: Sequence[Material]) -> str:
    """What is given in all models, or in some."""
    found = [_kind(run) for run in runs]
    said = [f"{kind}{'' if set(found) == {kind} else where}" for kind, where in KINDS.items() if kind in found]
    return f" ({', '.join(said)})" if said else ""


def _kind(run: Material) -> str:
    if isinstance(run.comparison, OnSpheres):
        return UNIT_ROWS
    if run.comparison is None or not run.comparison.fixed:
        return ""
    facts = run.run.minimised
    return FOLLOWED if facts is not None and facts.head.W == FOLLOWING else FIXED


def _losses(runs: Sequence[Material]) -> str:
    """What the models' losses are, where one is not cross-entropy."""
    first, *others = {loss_said(run) for run in runs}
    return " (of the loss that it was trained with)" if others else f" (loss: {first})" if first else ""


def _listed(panels: Sequence[Panel]) -> str:
    *most, last = [panel.name or panel.title for panel in panels]
    return f"{', '.join(most)} and {last}" if most else last
