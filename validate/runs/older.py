"""Records of earlier versions: which columns they lack, and what they minimised, read off the recipe's names of then.

The tables of names are closed: a new loss, optimiser or head states its own facts where it is trained, and its runs say
them.
"""

from collections.abc import Mapping
from typing import Any

from .minimised import BALANCE, HeadFacts, LossFacts, Minimised

# Columns of epochs.csv that a run may be without. One that goes on has them from then on, and empty cells before.
LATER = frozenset(
    {
        "nearest_center_accuracy",
        "test_nc1",
        "test_nc1_quotient",
        "test_nc1_worst_class",
        "test_cdnv",
        "test_nearest_center_disagreement",
        "test_nearest_center_accuracy",
        "test_accuracy_head",
        "test_accuracy_middle",
        "test_accuracy_tail",
    }
)
LOSSES: dict[str, tuple[str, ...]] = {  # the settings that are parameters of each
    "cross-entropy": (),
    "mse": (),
    "label-smoothing": ("smoothing",),
    "focal": ("focusing",),
}
NO_PENALTY = {
    "adamw": "adamw's weight decay is decoupled: it is the gradient of no penalty, as the comparison needs",
}


def recipe_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """The recipe with what the version that wrote it meant and did not write.

    A fixed head whose frame the file does not name was made when every frame was rotated. One that
    names channels_last but not rearrange was made when nothing was rearranged.
    """
    recipe = dict(config.get("recipe", {}))
    frame = {"frame": "rotated"} if recipe.get("head") == "etf" else {}
    order = {"rearrange": False} if "channels_last" in recipe else {}
    return frame | order | recipe


def minimised_of(config: Mapping[str, Any]) -> Minimised | None:
    """What a recipe of that time minimised; None where it names no weight_decay."""
    recipe = recipe_of(config)
    if "weight_decay" not in recipe:
        return None
    loss, optimizer = recipe.get("loss", "cross-entropy"), recipe.get("optimizer", "sgd")
    head, reason = _head(recipe), NO_PENALTY.get(optimizer)
    decay = None if reason else recipe["weight_decay"]
    return Minimised(
        loss=LossFacts(loss, {name: recipe[name] for name in LOSSES.get(loss, ()) if name in recipe}),
        head=head,
        lambda_w=decay if head.W == "free" else None,
        lambda_h=config.get("lambda_h"),
        lambda_b=decay if head.bias else None,
        implied_by=BALANCE if head.W == "free" and decay and config.get("lambda_h") is None else None,
        reasons=(reason,) if reason else (),
    )


def _head(recipe: Mapping[str, Any]) -> HeadFacts:
    name, bias = recipe.get("head", "linear"), recipe.get("bias", True)
    if name == "etf":
        return HeadFacts("fixed", bias, frame=recipe["frame"])
    if name == "normalized":
        return HeadFacts("of unit rows", bias, feature_norm=1 / recipe.get("temperature", 0.1))
    return HeadFacts("free", bias)
