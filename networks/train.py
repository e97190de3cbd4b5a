"""Train a classifier into its terminal phase, recording its collapse every epoch.

The defaults take a five-layer perceptron on 1,400 digits to 100 % training accuracy and on, until its
last layer is within a few per cent of the unconstrained feature model's global minimiser, in well under
a minute on two cores.
"""

import functools
import math
from collections.abc import Callable, Iterable
from contextlib import ExitStack, contextmanager
from pathlib import Path

import torch

from ufm import InputError, Point
from ufm.errors import Setting, require
from ufm.storage.locks import held
from validate import Run
from validate.statistics.classes import class_statistics

from .allocation import kept_memory
from .arrangement import arranged
from .batches import epoch_batches, require_batches
from .data.images import Images, load
from .distributed import Ranks, processes
from .draws import epoch_seed, seeded
from .measure import measure, training_point
from .models.build import Classifier, model_of
from .models.heads import HEADS
from .models.memory import footprint
from .models.running_statistics import refresh_statistics
from .objective import FeaturesAndLogits, Objective
from .optim.optimizers import OPTIMIZERS, build_optimizer
from .optim.schedules import learning_rate
from .recipe import Recipe
from .runs.board import board, no_board, require_tensorboard
from .runs.checkpoints import load_training
from .runs.record import begin, record
from .runs.resume import open_run


class Diverged(InputError):
    """The numbers of a training stopped being finite; the run keeps its last good checkpoint."""


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
    the same numbers as an uninterrupted run (all random numbers depend on seed and epoch alone). Under
    torchrun every process calls it and process 0 alone writes; see `networks.distributed`.
    Raises InputError for a bad recipe, an existing run without force or resume, a damaged run, and one that another
    process writes (`ufm.storage.locks`); and Diverged, which is one, for numbers that stop being finite (the run keeps
    its last good checkpoint).

    >>> import networks
    >>> recipe = networks.Recipe(data="digits", epochs=1, keep=2, width=8, depth=1, feature_dim=8, device="cpu")
    >>> run = networks.train(recipe, "runs/mine")
    >>> len(run.epochs), run.epochs[-1]["nc1"] > 0
    (1, True)
    """
    both = Setting("force", True), " replaces a run and ", Setting("resume", True), " goes on with it"
    require(not (force and resume), both, "give one of them")
    if recipe.tensorboard:
        require_tensorboard()
    ranks, device = processes(recipe.device)
    images = ranks.in_turn(lambda: load(recipe, recipe.seed)).to(device)
    with seeded(recipe.seed, device):
        model = ranks.agreed(lambda: model_of(recipe, images.num_classes, images.image_shape)).to(device)
        batch = images.normalized(images.train_images[: recipe.batch_size])
        takes = footprint(model, batch) if ranks.rank == 0 else None
        model = arranged(ranks.prepare(model), recipe, device)
    optimizer = build_optimizer(recipe, model)
    objective = Objective(recipe, model, _as_run(model, recipe, ranks), images.class_counts)
    require_batches(recipe, images, ranks, model)
    opened = _opened(recipe, images, Path(path), ranks, force=force, resume=resume)
    with kept_memory(device), opened as (run, done):
        if done:
            ranks.agreed(lambda: load_training(run.last_checkpoint, model, optimizer))
        if takes:
            begin(run, done, recipe, images, takes)
        rows = [row | {"epoch": int(row["epoch"])} for row in run.epochs if row["epoch"] <= done]
        with board(run, rows) if recipe.tensorboard and ranks.rank == 0 else no_board() as write:
            for epoch in track(range(done + 1, recipe.epochs + 1)):
                point, row = _trained_and_measured(objective, optimizer, images, ranks, epoch)
                if ranks.rank == 0:
                    rows.append(row)
                    record(run, model, optimizer, point, rows, recipe)
                    write(row)
    return run


def _trained_and_measured(
    objective: Objective, optimizer, images: Images, ranks: Ranks, epoch: int
) -> tuple[Point, dict[str, float]]:
    """(the training Point after one more epoch, its row); InputError where numbers stop being finite."""
    rate = learning_rate(objective.recipe, epoch)
    for group in optimizer.param_groups:
        group["lr"] = rate
    with compiling(objective.recipe):
        loss = _one_epoch(objective, optimizer, images, ranks, epoch)
    mend = "lower ", Setting("lr"), f" (the run keeps {epoch - 1} epochs)"
    if not math.isfinite(loss):
        raise Diverged(f"the loss became {loss} in epoch {epoch}", mend)
    try:
        point, row = measure(objective.model, images, ranks)
    except InputError as error:
        raise Diverged(f"epoch {epoch} cannot be measured: {error}", mend) from error
    return point, {"epoch": epoch, "lr": rate, "train_loss": loss} | row


def _one_epoch(objective: Objective, optimizer, images: Images, ranks: Ranks, epoch: int) -> float:
    """One pass over the training set; the mean training loss. All that waits for the device is its last line."""
    total = train_epoch(objective, optimizer, images, ranks, epoch)
    ranks.agree(objective.model)
    return float(ranks.sum(total) / len(images.train_labels))


def train_epoch(objective: Objective, optimizer, images: Images, ranks: Ranks, epoch: int) -> torch.Tensor:
    """The steps of an epoch; the sum of this process's losses, 0-d float64 where the images are.

    No value is asked of the device here, so that the host runs ahead of it (but for L-BFGS: a line search has to look;
    and for heads that follow the features).
    """
    recipe, model = objective.recipe, objective.model
    method, device = OPTIMIZERS[recipe.optimizer], images.train_labels.device
    after_step, on_means = HEADS[recipe.head].after_step, HEADS[recipe.head].on_means
    if on_means:
        on_means(model.head, class_statistics(training_point(model, images, ranks)).means.to(model.head.weight.dtype))
    total = torch.zeros((), dtype=torch.float64, device=device)
    model.train()
    with seeded(epoch_seed(recipe.seed, epoch) * ranks.world + ranks.rank, device):
        for batch in epoch_batches(recipe, images, ranks, epoch):
            loss = method.step(optimizer, model, functools.partial(objective, batch), ranks.mean)
            if after_step:
                after_step(model.head, objective.features, batch.labels, ranks.sum)
            total += loss * len(batch.labels)
        if not method.tracks:
            refresh_statistics(model, (batch.images for batch in epoch_batches(recipe, images, ranks, epoch)))
    return total


def _as_run(model: Classifier, recipe: Recipe, ranks: Ranks) -> torch.nn.Module:
    """The model as the training pass runs it: distributed, and compiled if asked for."""
    wrapped = ranks.wrap(FeaturesAndLogits(model))
    return torch.compile(wrapped) if recipe.compile else wrapped


@contextmanager
def compiling(recipe: Recipe):
    """A compiler that fails (there may be none) is told of in one line; it runs when the first batch comes."""
    try:
        yield
    except RuntimeError as error:
        if not (recipe.compile and type(error).__module__.startswith(("torch._dynamo", "torch._inductor"))):
            raise
        reason = " ".join(str(error).split())
        raise InputError(
            f"torch cannot compile {recipe.model} here ({reason[:120]})", ("leave ", Setting("compile", True), " out")
        ) from error


@contextmanager
def _opened(recipe: Recipe, images: Images, path: Path, ranks: Ranks, *, force: bool, resume: bool):
    """Yield (run, epochs done) on every process; process 0 alone looks and writes, and holds the run for the block."""
    with ExitStack() as holding:

        def opened() -> tuple[Run, int]:
            if ranks.rank:
                return Run(path), 0
            holding.enter_context(held(path))
            return open_run(recipe, images, path, force=force, resume=resume)

        run, done = ranks.agreed(opened)
        yield run, ranks.first(done)
