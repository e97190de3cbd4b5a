"""A training states what it minimises: each loss, optimiser and head its own part, a planted one too."""

import dataclasses

import pytest
import torch

import networks
from networks.models.heads import HEADS
from networks.optim import optimizers
from networks.optim.losses import LOSSES
from networks.optim.optimizers import OPTIMIZERS, Method, sgd
from networks.optim.steps import first_order_step
from networks.runs.minimised import minimised
from validate import Run, compare_run, not_covered
from validate.runs.minimised import HeadFacts


def test_the_facts_are_in_the_record(trained):
    found = trained.config["minimised"]
    assert found["loss"] == {"name": "cross-entropy", "parameters": {}}
    assert (found["lambda_w"], found["lambda_h"], found["lambda_b"]) == (5e-3, None, 5e-3)
    assert found["implied_by"] == "balance"
    assert found["reasons"] == []


@pytest.mark.parametrize("reason", ["", "it throws dice"])
def test_a_planted_optimiser_is_compared_or_refused_by_what_it_states(reason, small_recipe, tmp_path, monkeypatch):
    monkeypatch.setitem(optimizers.OPTIMIZERS, "planted", Method(sgd, first_order_step, no_penalty=reason))
    run = networks.train(dataclasses.replace(small_recipe, optimizer="planted", epochs=2), tmp_path / "run")
    assert not_covered(run) == (reason or None)
    if not reason:
        assert compare_run(run).problem.lambda_w == small_recipe.weight_decay


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_states_the_settings_that_it_depends_on(name):
    """Another value of such a setting changes the loss, and one of any other setting does not."""
    logits, labels = torch.randn(6, 4, generator=torch.Generator().manual_seed(0)), torch.arange(6) % 4
    settings = {"smoothing": 0.3, "focusing": 1.0, "tau": 0.5, "class_weights": (1.0, 2.0, 3.0, 4.0)}
    settings |= {"own_weight": 3.0, "own_target": 2.0}
    recipe, loss, counts = networks.Recipe(loss=name, head="etf", bias=False), LOSSES[name], (9, 4, 2, 1)
    before = float(loss(logits, labels, recipe, counts))
    changed = {
        setting
        for setting, value in settings.items()
        if float(loss(logits, labels, dataclasses.replace(recipe, **{setting: value}), counts)) != before
    }
    assert changed == set(loss.parameters)
    other = dataclasses.replace(recipe, **settings)
    assert (minimised(other, counts).loss != minimised(recipe, counts).loss) is bool(changed)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("name", HEADS)
def test_a_head_states_what_its_layer_may_be(name, bias):
    """Its facts against the layer after a step: whether W moved, the norms of its rows and of the features."""
    settings = {"width": 16, "depth": 1, "feature_dim": 2 if name == "code" else 8, "head": name, "bias": bias}
    kind, facts = HEADS[name], HEADS[name].facts(networks.ModelRecipe(**settings))
    torch.manual_seed(0)
    model = networks.build_model(name="mlp", num_classes=4, **settings)
    before, images = model.head.weight.detach().clone(), torch.rand(12, 1, 8, 8)
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1, weight_decay=1e-2)
    torch.nn.functional.cross_entropy(model(images), torch.arange(12) % 4).backward()
    optimizer.step()
    H = model.backbone(images).detach()
    if kind.after_step:
        kind.after_step(model.head, H, torch.arange(12) % 4, lambda own: own)
    if kind.on_means:
        kind.on_means(model.head, H.view(3, 4, -1).mean(0))
    W = model.head.weight.detach()
    ones = torch.ones(4)
    assert torch.equal(W, before) is (facts.W == "fixed")
    assert model.head.weight.requires_grad is kind.learned is (facts.W in ("free", "of unit rows"))
    assert torch.allclose(W.norm(dim=1), ones) is (facts.W != "free")
    assert (facts.feature_norm is not None) is (float(H.norm(dim=1).std()) < 1e-4)
    if facts.feature_norm:
        torch.testing.assert_close(H.norm(dim=1), torch.full((12,), facts.feature_norm))
    assert facts.bias is bias is (model.head.bias is not None)


def test_a_frame_that_is_asked_for_is_stated():
    recipe = networks.Recipe(head="etf", frame="rotated", feature_dim=10)
    assert minimised(recipe, (140,) * 10).head == HeadFacts("fixed", frame="rotated")


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimiser_without_a_penalty_has_no_lambda(name):
    facts = minimised(networks.Recipe(optimizer=name), (140,) * 10)
    assert (facts.lambda_w is None) == bool(facts.reasons) == (name == "adamw")
    assert (facts.implied_by is None) == bool(facts.reasons)


NO_W, SCALED = "no weight decay acts on W", "they may scale the features at no cost"
GROUPS = {  # settings to (lambda_w, lambda_b, what theory refuses)
    "one for all": ({}, 5e-3, 5e-3, None),
    "W and b apart": ({"decay_head": 0.02, "decay_biases": 0.01}, 0.02, 0.01, None),
    "no decay of W": ({"decay_head": 0.0}, None, 5e-3, NO_W),
    "no decay of biases": ({"decay_biases": 0.0}, 5e-3, None, SCALED),
    "no decay before W": ({"decay_backbone": 0.0}, 5e-3, 5e-3, SCALED),
    "a frame and no decay": ({"head": "etf", "weight_decay": 0.0}, None, None, SCALED),
    "no decay but of features": ({"feature_decay": 0.1, "weight_decay": 0.0}, None, None, NO_W),
    "features and W": ({"feature_decay": 0.1, "decay_head": 0.02, "decay_biases": 0.0}, 0.02, None, None),
}


@pytest.mark.parametrize(("settings", "of_w", "of_b", "reason"), GROUPS.values(), ids=GROUPS)
def test_decays_by_group_are_the_facts_and_what_has_none_is_refused(settings, of_w, of_b, reason, tmp_path):
    recipe = networks.Recipe(feature_dim=12, **{"head": "linear"} | settings)
    facts = minimised(recipe, (140,) * 10)
    assert (facts.lambda_w, facts.lambda_b) == (of_w, of_b)
    run = Run.create(tmp_path / "run", {"minimised": facts.plain()})
    assert (reason is None) == (not_covered(run) is None)
    assert reason is None or reason in not_covered(run)


def test_a_run_with_decays_of_its_own_is_compared_with_them(small_recipe, tmp_path):
    few = dataclasses.replace(small_recipe, per_class=10, epochs=2, decay_head=0.02, decay_biases=1e-3)
    found = compare_run(networks.train(few, tmp_path / "run"))
    assert (found.problem.lambda_w, found.problem.lambda_b) == (0.02, 1e-3)
    assert found.certified
