"""Optimisers: what they decay, what they minimise, closures that are functions, states that survive the disk."""

import dataclasses
import itertools
import math

import pytest
import torch
from torch import nn

import networks
from networks.batches import Batch
from networks.distributed import ALONE
from networks.models.running_statistics import refresh_statistics
from networks.objective import FeaturesAndLogits, Objective
from networks.optim.optimizers import OPTIMIZERS, Decays, build_optimizer, by_decay, decays_of
from networks.optim.steps import closure_step
from networks.runs.checkpoints import load_training, save_training
from ufm import InputError

LABELS = torch.arange(12) % 3


def setting(seed=0, **changes):
    """(recipe, model with BatchNorm and dropout, images, objective, optimiser), all small."""
    torch.manual_seed(seed)
    recipe = networks.Recipe(**changes)
    backbone = nn.Sequential(nn.Flatten(), nn.Linear(8, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Dropout(0.2))
    model = networks.Classifier(backbone, nn.Linear(6, 3))
    model.train()
    objective = Objective(recipe, model, FeaturesAndLogits(model))
    return recipe, model, torch.randn(12, 8), objective, build_optimizer(recipe, model)


def advance(recipe, model, images, objective, optimizer, steps=3):
    torch.manual_seed(9)
    for _ in range(steps):
        OPTIMIZERS[recipe.optimizer].step(
            optimizer, model, lambda: objective(Batch(images, LABELS, 1.0)), lambda value: value
        )


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_objective_falls(name):
    recipe, model, images, objective, optimizer = setting(optimizer=name, lr=0.05)
    model.eval()
    before = float(objective(Batch(images, LABELS, 1.0))[0].detach())
    model.train()
    advance(recipe, model, images, objective, optimizer, steps=10)
    model.eval()
    assert float(objective(Batch(images, LABELS, 1.0))[0].detach()) < before


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_steps_are_the_same_with_channels_last(name):
    """torch's L-BFGS takes views of gradients, and those of such weights are laid out otherwise."""
    parameters = []
    for layout in (torch.contiguous_format, torch.channels_last):
        torch.manual_seed(3)
        recipe = networks.Recipe(optimizer=name, lr=0.05)
        backbone = nn.Sequential(nn.Conv2d(2, 4, 3), nn.Tanh(), nn.Flatten())
        model = networks.Classifier(backbone, nn.Linear(16, 3)).double().to(memory_format=layout)
        objective = Objective(recipe, model, FeaturesAndLogits(model))
        images = torch.randn(12, 2, 4, 4, dtype=torch.float64).contiguous(memory_format=layout)
        advance(recipe, model, images, objective, build_optimizer(recipe, model))
        parameters.append([parameter.detach() for parameter in model.parameters()])
    for plain, last in zip(*parameters, strict=True):
        torch.testing.assert_close(plain, last, rtol=1e-6, atol=1e-9)


GROUPS = {  # which parameters of `setting` are of which group, written out
    **{"backbone.1.weight": "decay_backbone", "head.weight": "decay_head"},
    **dict.fromkeys(("backbone.1.bias", "backbone.2.weight", "backbone.2.bias", "head.bias"), "decay_biases"),
}


@pytest.mark.parametrize(
    "asked", [{"decay_backbone": 0.4, "decay_biases": 0.0, "decay_head": 0.1}, {"decay_head": 0.0}]
)
@pytest.mark.parametrize("name", ["sgd", "lbfgs"])
def test_each_group_has_its_own_decay(name, asked):
    """The step less that of a run without decay, beside lambda times each parameter; groups swapped would be seen."""
    settings = {"optimizer": name, "momentum": 0.0, "lr": 1.0}
    _, model, images, objective, optimizer = setting(weight_decay=0.7, **settings, **asked)
    _, plain, _, without, _ = setting(weight_decay=0.0, **settings)
    model.eval()
    plain.eval()
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    objective(Batch(images, LABELS, 1.0))[0].backward()
    without(Batch(images, LABELS, 1.0))[0].backward()
    if name == "sgd":
        optimizer.step()
        found = {n: before[n] - p.detach() for n, p in model.named_parameters()}
    else:
        found = {n: p.grad for n, p in model.named_parameters()}
    assert set(GROUPS) == set(found)
    for n, p in plain.named_parameters():
        decay = asked.get(GROUPS[n], 0.7)
        torch.testing.assert_close(found[n] - p.grad, decay * before[n], rtol=1e-3, atol=1e-6)


def test_what_each_group_decays_by():
    asked = {"decay_backbone": 0.4, "decay_biases": 0.2, "decay_head": 0.1}
    assert decays_of(networks.Recipe(**asked)) == Decays(0.4, 0.2, W=0.1, b=0.2)
    assert decays_of(networks.Recipe(weight_decay=0.0)) == Decays(0.0, 0.0, W=0.0, b=0.0)
    beside = networks.Recipe(feature_decay=1.0, decay_biases=0.2, decay_head=0.1)
    assert decays_of(beside) == Decays(0.0, 0.0, W=0.1, b=0.2)


@pytest.mark.parametrize("feature_decay", [0.0, 0.3])
@pytest.mark.parametrize("name", ["sgd", "lbfgs"])
def test_the_gradient_is_that_of_the_penalised_loss(name, feature_decay):
    """Whether the optimiser decays or the objective does, the sum is the same gradient, from a formula of its own."""
    settings = {"optimizer": name, "momentum": 0.0, "weight_decay": 0.2, "feature_decay": feature_decay, "lr": 1.0}
    _, model, images, objective, optimizer = setting(**settings)
    model.eval()
    features = model.backbone(images)
    expected = nn.functional.cross_entropy(model.head(features), LABELS)
    expected = expected + feature_decay / 2 * sum(h @ h for h in features) / 12
    everything = dict(model.named_parameters())
    chosen = {n: p for n, p in everything.items() if n.startswith("head") or not feature_decay}
    expected = expected + 0.1 * sum((p**2).sum() for p in chosen.values())
    slopes = dict(zip(everything, torch.autograd.grad(expected, list(everything.values())), strict=True))
    before = {n: p.detach().clone() for n, p in everything.items()}
    value, _ = objective(Batch(images, LABELS, 1.0))
    value.backward()
    if name == "sgd":
        optimizer.step()
        found = {n: before[n] - p.detach() for n, p in everything.items()}
    else:
        torch.testing.assert_close(value, expected)
        found = {n: p.grad for n, p in everything.items()}
    for n, slope in slopes.items():
        torch.testing.assert_close(found[n], slope, rtol=1e-4, atol=1e-6)


def test_feature_decay_has_the_gradient_of_finite_differences():
    _, model, images, objective, _ = setting(feature_decay=2.0)
    _, _, _, plain, _ = setting()
    model.double().eval()
    plain.run = FeaturesAndLogits(model)

    def penalty():
        features, _ = objective.run(images.double())
        return features.square().sum(1).mean()

    weight = model.backbone[1].weight
    gap = [torch.autograd.grad(o(Batch(images.double(), LABELS, 1.0))[0], weight)[0] for o in (objective, plain)]
    slope = gap[0] - gap[1]
    assert float(slope.norm()) > 1e-3
    numeric = torch.zeros_like(weight)
    for index in range(weight.numel()):
        values = []
        for sign in (1, -1):
            with torch.no_grad():
                weight.view(-1)[index] += sign * 1e-6
                values.append(float(penalty()))
                weight.view(-1)[index] -= sign * 1e-6
        numeric.view(-1)[index] = (values[0] - values[1]) / 2e-6
    torch.testing.assert_close(slope.double(), numeric, rtol=1e-3, atol=1e-5)


def test_with_feature_decay_weight_decay_is_of_the_last_layer():
    _, model, *_ = setting(feature_decay=0.1)
    found = by_decay(networks.Recipe(feature_decay=0.1), model)
    assert found == {5e-3: list(model.head.parameters()), 0.0: list(model.backbone.parameters())}
    assert by_decay(networks.Recipe(), model) == {5e-3: list(model.parameters())}


def test_parameters_that_are_fixed_are_left_alone():
    recipe, model, *_ = setting()
    model.head.weight.requires_grad_(False)
    in_groups = [p for group in build_optimizer(recipe, model).param_groups for p in group["params"]]
    assert len(in_groups) == len(list(model.parameters())) - 1
    assert all(p is not model.head.weight for p in in_groups)


def test_the_closure_is_a_function_and_changes_no_buffer():
    """Twice the same value, buffers untouched, though the model is in train mode and drops units out."""
    _, model, images, objective, _ = setting(optimizer="lbfgs")
    seen = []

    class Asks:
        """Stands for an optimiser that evaluates twice at one point and then moves."""

        def zero_grad(self, set_to_none):
            model.zero_grad(set_to_none=set_to_none)

        def step(self, closure):
            buffers = [b.clone() for b in model.buffers()]
            seen.extend([closure(), closure()])
            assert all(torch.equal(a, b) for a, b in zip(buffers, model.buffers(), strict=True))
            with torch.no_grad():
                model.head.weight += 0.1
            seen.append(closure())

    buffers = [b.clone() for b in model.buffers()]
    closure_step(Asks(), model, lambda: objective(Batch(images, LABELS, 1.0)), ALONE.mean)
    assert seen[0] == seen[1] != seen[2]
    assert all(torch.equal(a, b) for a, b in zip(buffers, model.buffers(), strict=True))


def test_refreshed_statistics_are_the_averages_over_the_batches():
    _, model, images, *_ = setting()
    norm = model.backbone[2]
    batches = images.split(4)
    before = model.backbone[1](images)
    refresh_statistics(model, batches)
    torch.testing.assert_close(norm.running_mean, before.mean(0))
    torch.testing.assert_close(norm.running_var, torch.stack([b.var(0) for b in before.split(4)]).mean(0))
    assert norm.momentum == 0.1


def test_after_an_epoch_of_lbfgs_eval_mode_is_train_mode(small_recipe, tmp_path):
    """On the full batch: statistics that lag would make the measured loss another one than the minimised."""
    recipe = dataclasses.replace(small_recipe, optimizer="lbfgs", lr=1.0, batch_size=1400, epochs=3, keep=1)
    rows = networks.train(recipe, tmp_path / "run").epochs
    for row, following in itertools.pairwise(rows):
        assert row["loss"] == pytest.approx(following["train_loss"], rel=1e-2)


def test_lbfgs_draws_anew_at_the_next_step():
    """Dropout is fixed within a step only."""
    _, model, images, objective, optimizer = setting(optimizer="lbfgs", lr=1e-30, max_iter=1)
    losses = []
    torch.manual_seed(1)
    for _ in range(2):
        losses.append(float(closure_step(optimizer, model, lambda: objective(Batch(images, LABELS, 1.0)), ALONE.mean)))
    assert losses[0] != losses[1]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_state_survives_the_disk_to_the_bit(name, tmp_path):
    """Three steps, saved, loaded into a fresh model, three more: as six without a break."""
    recipe, model, images, objective, optimizer = setting(optimizer=name, lr=0.02)
    advance(recipe, model, images, objective, optimizer)
    save_training(tmp_path / "last.safetensors", model, optimizer, 3)
    recipe, other, _, other_objective, other_optimizer = setting(seed=1, optimizer=name, lr=0.02)
    assert load_training(tmp_path / "last.safetensors", other, other_optimizer) == 3
    advance(recipe, model, images, objective, optimizer)
    advance(recipe, other, images, other_objective, other_optimizer)
    for a, b in zip(model.state_dict().values(), other.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_a_checkpoint_without_state_is_refused(tmp_path):
    _, model, _, _, optimizer = setting()
    networks.runs.checkpoints.save_model(tmp_path / "m.safetensors", model)
    with pytest.raises(InputError, match="holds no optimiser's state"):
        load_training(tmp_path / "m.safetensors", model, optimizer)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_training_resumes_to_the_same_numbers(name, small_recipe, tmp_path):
    recipe = dataclasses.replace(small_recipe, optimizer=name, lr=0.01, batch_size=700, epochs=3, max_iter=3)
    whole = networks.train(recipe, tmp_path / "whole")
    networks.train(dataclasses.replace(recipe, epochs=1), tmp_path / "cut")
    resumed = networks.train(recipe, tmp_path / "cut", resume=True)
    assert (resumed.path / "epochs.csv").read_bytes() == (whole.path / "epochs.csv").read_bytes()
    assert whole.epochs[-1]["loss"] < whole.epochs[0]["loss"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"optimizer": "lion"}, "unknown optimizer 'lion'; choose one of: sgd, adam, adamw, lbfgs"),
        ({"history_size": 0}, "history_size must be >= 1, got 0"),
        ({"max_iter": 0}, "max_iter must be >= 1, got 0"),
        ({"feature_decay": -1.0}, "feature_decay must be a finite number >= 0, got -1.0"),
        ({"decay_head": -1.0}, "decay_head must be a finite number >= 0, got -1.0"),
        ({"decay_biases": math.nan}, "decay_biases must be a finite number >= 0, got nan"),
        (
            {"decay_backbone": 0.1, "feature_decay": 0.1},
            "beside feature_decay the layers before .* leave decay_backbone",
        ),
    ],
)
def test_refuses(changes, message):
    with pytest.raises(InputError, match=message):
        networks.Recipe(**changes)
