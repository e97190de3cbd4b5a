"""A run's last layer beside theory: whether what it minimised is what theory has a model of, and the comparison."""

from collections.abc import Iterator

from ufm import InputError, Point
from ufm.errors import Call, Setting, given

from ..runs.minimised import BALANCE, FOLLOWING, Minimised
from ..runs.run import AGAIN, Run
from .compare import Comparison, NotComparable, compare

CLASSIFIER = {"free": "free", "fixed": "fixed", FOLLOWING: "fixed"}  # for `compare`, by what W may be
NO_DECAY = "no weight decay acts on W, and the comparison needs its lambda_w"


def not_covered(run: Run) -> str | None:
    """Why a run minimised another objective than the one that `compare_run` compares with; None if it did not."""
    facts = run.minimised
    return None if facts is None else next(_reasons(facts), None)


def _reasons(facts: Minimised) -> Iterator[str]:
    """What the training says against any comparison, and then what this one lacks."""
    yield from why_not(facts)
    if facts.head.W not in CLASSIFIER:
        yield f"W is {facts.head.W}, and the comparison is with a W that is free, or given"
    if facts.head.feature_norm is not None:
        yield "the features have one norm, and the comparison is with features that are free"
    if facts.head.W == "free" and facts.lambda_w is None:
        yield NO_DECAY
    if facts.lambda_h is None and facts.head.W == "free" and facts.implied_by != BALANCE:
        yield "nothing says which decay the features have, and the comparison needs their lambda_h"


def why_not(facts: Minimised) -> Iterator[str]:
    """What the training and its loss say against any comparison."""
    yield from facts.reasons
    if not facts.loss.known:
        yield f"the run was trained with the loss {facts.loss.said}, of which no lower bound is known"
    else:
        try:
            _ = facts.loss.of_theory
        except InputError as error:
            yield f"the record of the run's loss is damaged ({error})"


def compare_run(run: Run, features: str = "free") -> Comparison:
    """The comparison of a run's last recorded point, with the loss and decays it was trained with (`Run.minimised`).

    features as for `compare`; W is free or fixed as it was in training, and where it followed the features it is taken
    as it ended (docs/theory, section 15.6). The feature decay lambda_h is the run's where it has one and implied
    elsewhere.
    Raises InputError where the run has no point, and NotComparable (an InputError) where its last layer has no
    theory to be compared with, for what `not_covered` says or another reason.
    """
    facts = run.minimised
    if facts is None:
        missing = "names no weight_decay and does not say what was minimised"
        raise InputError(f"{run.path}/config.json {missing}", AGAIN)
    if not run.last_point.is_file():
        raise InputError(
            f"the run {run.path} has recorded no point yet",
            ("go on with ", Call("networks.train", Setting("resume", True))),
        )
    reason = not_covered(run)
    if reason:
        raise NotComparable(reason)
    bias, classifier = facts.head.bias, CLASSIFIER[facts.head.W]
    try:
        return compare(
            Point.load(run.last_point),
            lambda_w=None if classifier == "fixed" else given(facts.lambda_w, NO_DECAY),
            lambda_h=facts.lambda_h,
            lambda_b=(facts.lambda_b or 0.0) if bias else None,
            bias=bias,
            loss=facts.loss.of_theory,
            features=features,
            classifier=classifier,
        )
    except NotComparable as error:
        raise NotComparable(error.message) from error  # its mend is an argument of `compare`; a run states its decays
