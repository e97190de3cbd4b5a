"""Heads whose W follows the features, stays a code, or is put back on the sphere."""

import dataclasses

import numpy as np
import pytest
import scipy.linalg
import torch
from torch.nn import functional

import networks
from figures.runs.comparison import comparison_figures
from networks.draws import seeded
from networks.models.build import model_of
from networks.models.following import MEMORY, NearestFrame, nearest_frame
from ufm import InputError, Point
from ufm.traps.codes import one_vs_rest_distance
from ufm_cli.main import main
from validate import compare_run, compare_run_on_spheres, not_covered
from validate.theory.trajectory import trajectory

FEW = networks.Recipe(width=16, depth=1, feature_dim=12, per_class=6, batch_size=30, epochs=2, device="cpu")
CPU = torch.device("cpu")


def alone(own):
    return own


@pytest.mark.parametrize(("K", "d"), [(3, 2), (4, 7), (10, 9)])
def test_the_nearest_frame_is_scipys_and_nearer_than_others(K, d):
    """scipy's orthogonal Procrustes turns a standard frame in R^max(K, d); no frame drawn at random is nearer."""
    means = np.random.default_rng(0).standard_normal((K, d))
    found = nearest_frame(torch.tensor(means)).numpy()
    gram = (K * np.eye(K) - 1) / (K - 1)
    np.testing.assert_allclose(found @ found.T, gram, atol=1e-12)
    centred = means - means.mean(0)
    values, vectors = np.linalg.eigh(gram)
    frame = (vectors * np.sqrt(values.clip(0)))[:, 1:]  # (K, K - 1), beside zeros
    padded = np.hstack([frame, np.zeros((K, d - K + 1))])
    rotation, _ = scipy.linalg.orthogonal_procrustes(padded, centred)
    np.testing.assert_allclose(found, padded @ rotation, atol=1e-9)
    distance = np.linalg.norm(found - centred)
    torch.manual_seed(0)
    others = [networks.simplex_frame(K, d, "rotated").numpy() for _ in range(50)]
    assert min(np.linalg.norm(other - centred) for other in others) > distance


def test_running_means_are_those_of_a_loop_and_of_two_processes():
    """Three batches, of which the first lacks a class: until it is seen W stays. Halves of a batch add up to it."""
    torch.manual_seed(0)
    frame = networks.simplex_frame(3, 4, "rotated")
    head, halved, means = NearestFrame(frame, True), NearestFrame(frame, True), {}
    for step, labels in enumerate([[0, 1, 1, 0], [2, 2, 0, 1], [1, 0, 0, 0]]):
        H, y = torch.randn(4, 4), torch.tensor(labels)
        for k in set(labels):
            own = H[y == k].mean(0)
            means[k] = MEMORY * means[k] + (1 - MEMORY) * own if k in means else own
        head.follow(H, y, alone)
        onehot = functional.one_hot(y[2:], 3).float()
        rest = iter([onehot.T @ H[2:], onehot.sum(0)])
        halved.follow(H[:2], y[:2], lambda own, rest=rest: own + next(rest))
        assert torch.equal(head.weight, frame.float()) is (step == 0)
    expected = torch.stack([means[k] for k in range(3)])
    torch.testing.assert_close(head.means, expected)
    torch.testing.assert_close(halved.means, expected)
    torch.testing.assert_close(head.weight, nearest_frame(expected))


def test_a_network_with_the_nearest_frame_follows_it(tmp_path):
    """Its W is a frame, nearer to the class means than a frame that was drawn."""
    run = networks.train(dataclasses.replace(FEW, head="nearest-frame", epochs=4), tmp_path / "run")
    drawn = networks.train(dataclasses.replace(FEW, head="etf", frame="rotated", epochs=4), tmp_path / "etf")
    W = Point.load(run.last_point).W
    torch.testing.assert_close(W @ W.T, (10 * torch.eye(10) - 1) / 9, rtol=0, atol=1e-5)
    assert run.epochs[-1]["nc3"] < 0.7 * drawn.epochs[-1]["nc3"]


@pytest.mark.parametrize("head", ["nearest-frame", "class-means"])
def test_theory_takes_a_w_that_followed_as_it_ended_and_each_epochs_as_it_was(tmp_path, head):
    """f of every epoch's own W, from the definition; the model of the last W refuses the others."""
    run = networks.train(dataclasses.replace(FEW, head=head, epochs=3), tmp_path / "run")
    assert not_covered(run) is None
    found, last = compare_run(run), Point.load(run.last_point).double()
    assert found.fixed
    assert found.certified
    torch.testing.assert_close(found.minimizer.W, last.W)
    assert float(found.model.objective(found.minimizer)) <= found.certificate.value
    for step in trajectory(run, found.model):
        point = Point.load(run.point(step.epoch)).double()
        logits = point.H @ point.W.T + point.b
        loss = functional.cross_entropy(logits, torch.arange(10))  # classes of one size
        decays = found.lambda_h * 6 * point.H.square().sum() + FEW.weight_decay * point.b.square().sum()
        assert step.objective == pytest.approx(float(loss + decays / 2), rel=1e-9)
        assert step.lower_bound <= step.objective
        if step.epoch < 3:
            with pytest.raises(InputError):
                found.model.objective(point)
    assert step.epoch == 3


def test_it_is_said_that_a_w_followed(tmp_path, capsys):
    run = networks.train(dataclasses.replace(FEW, head="class-means", epochs=1), tmp_path / "run")
    said = "W followed the features: the model is that of the W that it ended with"
    assert main(["validate", str(run.path)]) == 0
    assert said in capsys.readouterr().out
    assert main(["show", str(run.path / "validation.json")]) == 0
    assert said in capsys.readouterr().out
    (drawing,) = comparison_figures([run], only=["predictions"]).values()
    assert "unconstrained feature model (W as it ended)" in drawing.caption


def test_class_means_are_those_before_the_epoch(tmp_path):
    recipe = dataclasses.replace(FEW, head="class-means", epochs=1)
    run, images = networks.train(recipe, tmp_path / "run"), networks.load(recipe)
    with seeded(recipe.seed, CPU):
        model = model_of(recipe, 10, images.image_shape).eval()
    with torch.no_grad():
        H = model.backbone(images.normalized(images.train_images))
    means = torch.stack([H[images.train_labels == k].mean(0) for k in range(10)])
    expected = functional.normalize(means - H.view(10 * 6, -1).mean(0), dim=1)
    torch.testing.assert_close(Point.load(run.last_point).W, expected, rtol=1e-4, atol=1e-5)


def test_a_code_is_the_best_known_and_theory_is_that_of_its_w(tmp_path):
    run = networks.train(dataclasses.replace(FEW, head="code", feature_dim=5), tmp_path / "run")
    W = Point.load(run.last_point).W.double()
    assert one_vs_rest_distance(W) == pytest.approx(1.0, abs=1e-6)  # known for d + 2 <= K <= 2d
    drawn = torch.randn(10, 5, generator=torch.Generator().manual_seed(0)).double()
    assert one_vs_rest_distance(drawn) < 0.9
    found = compare_run(run)
    assert found.fixed
    assert found.certified
    torch.testing.assert_close(found.minimizer.W, W)


def test_rows_are_put_back_after_each_step(tmp_path):
    """Beside the model on spheres, as the head whose W is normalised within; without the projection rows grow."""
    recipe = dataclasses.replace(FEW, head="projected", bias=False)
    run = networks.train(recipe, tmp_path / "run")
    torch.testing.assert_close(Point.load(run.last_point).W.norm(dim=1), torch.ones(10))
    assert compare_run_on_spheres(run).certified
    model = networks.build_model("mlp", 10, width=16, depth=1, feature_dim=12, head="projected", bias=False)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    functional.cross_entropy(model(torch.randn(20, 1, 8, 8)), torch.arange(20) % 10).backward()
    optimizer.step()
    assert float((model.head.weight.detach().norm(dim=1) - 1).abs().max()) > 1e-4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"head": "projected", "optimizer": "lbfgs"},
            "projected changes W between steps, and lbfgs takes the next one",
        ),
        ({"head": "class-means", "optimizer": "lbfgs"}, "class-means changes W between steps"),
        ({"head": "nearest-frame", "mixup": 0.2}, "mixtures of images have no class whose mean .* leave mixup"),
        ({"head": "code", "decay_head": 0.1}, None),
    ],
)
def test_refuses(changes, message):
    if message is None:
        assert "decay_head" in networks.unused(networks.Recipe(**changes))
        return
    with pytest.raises(InputError, match=message):
        networks.Recipe(**changes)


@pytest.mark.parametrize(
    ("K", "settings", "message"),
    [
        (10, {"head": "code", "feature_dim": 9}, "10 classes have a simplex frame in 9 dimensions, .* head='etf'"),
        (2, {"head": "code", "feature_dim": 1}, "no other code is better; pass head='etf'$"),
        (21, {"head": "code", "feature_dim": 5}, "codes are searched for up to 20 classes, got 21"),
        (10, {"head": "nearest-frame", "feature_dim": 8}, "10 classes have no simplex frame in 8 dimensions"),
    ],
)
def test_refuses_dimensions(K, settings, message):
    with pytest.raises(InputError, match=message):
        networks.build_model("mlp", K, width=8, depth=0, **settings)
