"""Train a classifier into its terminal phase, recording its collapse every epoch.

The defaults take a five-layer perceptron on 1,400 digits to 100 % training accuracy and on, until its
last layer is within a few per cent of the unconstrained feature model's global minimiser, in well under
a minute on two cores.
"""

import dataclasses
import math
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from torch.nn import functional

from ufm import InputError, Point
from validate import Run, collect, last_layer, neural_collapse
from validate.metrics import class_statistics
from validate.provenance import provenance

from .checkpoints import load_training, save_model, save_training
from .data import Images, load
from .models import Classifier, model_of
from .optimizers import build_optimizer, learning_rate
from .recipe import Recipe

EVALUATION_BATCH = 2048


def train(
    recipe: Recipe,
    path: Path | str,
    *,
    force: bool = False,
    resume: bool = False,
    track: Callable[[Iterable[int]], Iterable[int]] = iter,
) -> Run:
    """Train by the recipe, recording into the run directory `path`; returns the Run.

    track wraps the sequence of epochs, to show progress. resume goes on after the last epoch on disk, to
    the same numbers as an uninterrupted run (the order of the data depends on seed and epoch alone).
    Raises InputError for a bad recipe, an existing run without force or resume, or a loss that stops
    being finite (the run keeps its last good checkpoint).
    """
    device = _device(recipe.device)
    images = load(recipe, recipe.seed).to(device)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        model = model_of(recipe, images.num_classes, images.image_shape).to(device)
    optimizer = build_optimizer(recipe, model)
    run, done = _open_run(recipe, Path(path), force, resume)
    if done:
        done = load_training(run.last_checkpoint, model, optimizer)
    rows = [row for row in run.epochs if row["epoch"] <= done]
    for epoch in track(range(done + 1, recipe.epochs + 1)):
        rate = learning_rate(recipe, epoch)
        for group in optimizer.param_groups:
            group["lr"] = rate
        loss = _one_epoch(model, optimizer, images, recipe, epoch)
        if not math.isfinite(loss):
            raise InputError(f"the loss became {loss} in epoch {epoch}; lower --lr (the run keeps {epoch - 1} epochs)")
        point, row = measure(model, images)
        rows.append({"epoch": epoch, "lr": rate, "train_loss": loss} | row)
        _record(run, model, optimizer, point, images, rows, last=epoch == recipe.epochs, keep=recipe.keep)
    return run


def batches(data: Images, images: torch.Tensor, labels: torch.Tensor) -> Iterable[tuple[torch.Tensor, torch.Tensor]]:
    """The images of a data set in order, in batches for evaluation."""
    for batch, answers in zip(images.split(EVALUATION_BATCH), labels.split(EVALUATION_BATCH), strict=True):
        yield data.normalized(batch), answers


def measure(model: Classifier, images: Images) -> tuple[Point, dict[str, float]]:
    """(training Point with labels, the metrics of one epoch), in eval mode, metrics in float64."""
    point, labels = collect(model, batches(images, images.train_images, images.train_labels), head=model.head)
    test_point, test_labels = collect(model, batches(images, images.test_images, images.test_labels), head=model.head)
    point = dataclasses.replace(point, labels=labels)
    layer = last_layer(point)
    test = {"test_accuracy": float((test_point.logits.argmax(1) == test_labels).double().mean())}
    row = dataclasses.asdict(layer) | test | dataclasses.asdict(neural_collapse(point))
    return point, {name: float(value) for name, value in row.items()}


def _one_epoch(model, optimizer, images: Images, recipe: Recipe, epoch: int) -> float:
    """One pass of SGD over a permutation given by seed and epoch; the mean training loss."""
    model.train()
    generator = torch.Generator().manual_seed(recipe.seed * 1_000_003 + epoch)
    order = torch.randperm(len(images.train_labels), generator=generator).to(images.train_labels.device)
    total = torch.zeros((), dtype=torch.float64, device=order.device)
    for batch in order.tensor_split(math.ceil(len(order) / recipe.batch_size)):
        loss = functional.cross_entropy(
            model(images.normalized(images.train_images[batch])), images.train_labels[batch]
        )
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        total += loss.detach() * len(batch)
    return float(total / len(order))


def _record(run: Run, model, optimizer, point: Point, images: Images, rows, *, last: bool, keep: int) -> None:
    """Write one epoch down. The training state comes last: what it promises is on disk."""
    epoch = int(rows[-1]["epoch"])
    means = class_statistics(point).means.to(point.H.dtype)
    Point(point.W, means, point.b).save(run.point(epoch))
    if last or epoch % keep == 0:
        point.save(run.last_point)
        save_model(run.checkpoint(epoch), model)
    run.write_epochs(rows)
    save_training(run.last_checkpoint, model, optimizer, epoch)


def _open_run(recipe: Recipe, path: Path, force: bool, resume: bool) -> tuple[Run, bool]:
    """(the run, whether there is training to go on from)."""
    if not resume:
        return Run.create(path, {"recipe": dataclasses.asdict(recipe)} | provenance(), force), False
    run = Run.open(path)
    asked, made = dataclasses.asdict(recipe), run.config.get("recipe", {})
    changed = [name for name in asked if name not in ("epochs", "device") and asked[name] != made.get(name)]
    if changed:
        name = changed[0]
        raise InputError(
            f"{path} was made with {name} = {made.get(name)}, not {asked[name]}; resume with the same recipe"
        )
    done = int(run.epochs[-1]["epoch"]) if run.epochs else 0
    if recipe.epochs < done:
        raise InputError(f"{path} has {done} epochs already; --epochs {recipe.epochs} asks for fewer")
    if done and not run.last_checkpoint.is_file():
        raise InputError(f"{path} has {done} epochs but no training state to go on from; train again with --force")
    run.write_config({"recipe": dataclasses.asdict(recipe)} | provenance())
    return run, done > 0


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name not in ("cpu", "cuda"):
        raise InputError(f"device must be cpu, cuda or auto, got {name!r}")
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("no CUDA device here; use --device cpu")
    return torch.device(name)
