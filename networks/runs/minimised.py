"""What a recipe minimises over the last layer, put together from what its loss, its optimiser and its head state."""

from validate.runs.minimised import BALANCE, Minimised

from ..models.heads import HEADS
from ..optim.losses import LOSSES, MIXED
from ..optim.optimizers import OPTIMIZERS
from ..recipe import Recipe


def minimised(recipe: Recipe, class_counts: tuple[int, ...]) -> Minimised:
    """The facts of a training on class_counts[k] = n_k images of each class, N of all.

    A feature decay c is N lambda_h. Without one weight decay acts on all layers and, where W is free, implies lambda_h
    by balance. A weight decay that is the gradient of no penalty gives no lambda.
    """
    loss, method, head = LOSSES[recipe.loss], OPTIMIZERS[recipe.optimizer], HEADS[recipe.head].facts(recipe)
    decay = None if method.no_penalty else recipe.weight_decay
    lambda_w = decay if head.W == "free" else None
    reasons = (method.no_penalty, MIXED if recipe.mixup else "")
    return Minimised(
        loss=loss.facts(recipe, class_counts),
        head=head,
        lambda_w=lambda_w,
        lambda_h=recipe.feature_decay / sum(class_counts) if recipe.feature_decay else None,
        lambda_b=decay if head.bias else None,
        implied_by=None if recipe.feature_decay or lambda_w is None else BALANCE,
        reasons=tuple(reason for reason in reasons if reason),
    )
