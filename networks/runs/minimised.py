"""What a recipe minimises over the last layer, put together from what its loss, its optimiser and its head state."""

from validate.runs.minimised import BALANCE, Minimised

from ..models.heads import HEADS
from ..optim.losses import LOSSES, MIXED
from ..optim.optimizers import OPTIMIZERS, decays_of
from ..recipe import Recipe

UNDECAYED = (
    "layers before W have no decay, or their normalisation and biases have none: they may scale the features at no "
    "cost, which then have no lambda_h"
)


def minimised(recipe: Recipe, class_counts: tuple[int, ...]) -> Minimised:
    """The facts of a training on class_counts[k] = n_k images of each class, N of all.

    A feature decay c is N lambda_h. Without one weight decay acts on all layers and, where W is free, implies lambda_h
    by balance, unless the layers before W are free of it in part. A weight decay that is the gradient of no penalty, or
    is 0, gives no lambda.
    """
    loss, method, head = LOSSES[recipe.loss], OPTIMIZERS[recipe.optimizer], HEADS[recipe.head].facts(recipe)
    decays = decays_of(recipe)
    held = bool(recipe.feature_decay or (decays.weights and decays.biases) or head.feature_norm)
    lambda_w = decays.W or None if head.W == "free" and not method.no_penalty else None
    reasons = (method.no_penalty, MIXED if recipe.mixup else "", "" if held else UNDECAYED)
    return Minimised(
        loss=loss.facts(recipe, class_counts),
        head=head,
        lambda_w=lambda_w,
        lambda_h=recipe.feature_decay / sum(class_counts) if recipe.feature_decay else None,
        lambda_b=decays.b or None if head.bias and not method.no_penalty else None,
        implied_by=None if recipe.feature_decay or lambda_w is None or not held else BALANCE,
        reasons=tuple(reason for reason in reasons if reason),
    )
