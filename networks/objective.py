"""The function that training minimises, as a function of the model's parameters on one batch."""

import torch
from torch import nn

from .batches import Batch
from .optim.class_numbers import Counts
from .optim.losses import LOSSES
from .optim.optimizers import OPTIMIZERS, by_decay
from .recipe import Recipe


class FeaturesAndLogits(nn.Module):
    """A classifier that returns (features (N, d), logits (N, K)): one module to be compiled or distributed."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        features = self.model.backbone(images)
        return features, self.model.head(features)


class Objective:
    """mean loss(z_i, y_i) + (c/2) mean |h_i|^2, and + (lambda/2) sum |p|^2 where the optimiser knows no decay.

    Of a mixture of two images in shares s and 1 - s the loss is s loss(z, y) + (1 - s) loss(z, y').

    c is recipe.feature_decay, lambda that of each parameter's group (`optim.optimizers.decays_of`). The means over all
    N training samples make it the unconstrained feature model's objective with lambda_h = c / N. `run` is the model as
    it is run (compiled, distributed), `model` the one that holds the parameters. class_counts (n_k) is for losses that
    know them. `features` are those of the last batch.
    """

    def __init__(self, recipe: Recipe, model: nn.Module, run: nn.Module, class_counts: Counts = ()):
        self.recipe, self.model, self.run = recipe, model, run
        self.loss = LOSSES[recipe.loss].prepared(recipe, class_counts, next(model.parameters()).device)
        self.features = torch.empty(0)
        self.penalised = {} if OPTIMIZERS[recipe.optimizer].decays else by_decay(recipe, model)

    def __call__(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """(the value, differentiable; the mean loss alone, detached), 0-d.

        The batch's weight scales the means, not the weight decay: the mean over processes is then the value on the
        whole batch.
        """
        with torch.autocast(batch.images.device.type, torch.bfloat16, enabled=self.recipe.amp):
            features, logits = self.run(batch.images)
        if self.recipe.amp:
            features, logits = features.float(), logits.float()
        self.features = features.detach()
        loss = self.loss(logits, batch.labels)
        if batch.partners is not None:
            loss = batch.share * loss + (1 - batch.share) * self.loss(logits, batch.partners)
        value = loss
        if self.recipe.feature_decay:
            value = value + self.recipe.feature_decay / 2 * features.square().sum(1).mean()
        value = value * batch.weight
        for decay, shrinking in self.penalised.items():
            if decay:
                value = value + decay / 2 * sum(p.square().sum() for p in shrinking)
        return value, loss.detach()
