"""One finished cell: what was asked and what its record says."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from networks import Recipe, recipe_of
from ufm.storage.files import read_json
from validate import Run

from .theory import Theory, theory_of

FITTED = 0.999  # training accuracy from which the training set counts as fitted
METRICS = ("nc1", "nc2", "nc3", "nc4")
THEORY = "theory.json"  # of a cell's record
TEST_IMAGES = 1000  # of each class, in MNIST (about) and in CIFAR-10, where a recipe takes all


@dataclass(frozen=True)
class Trained:
    """A cell's name and its run, whose epochs are all there.

    image_folder   where CIFAR-10 is as image files now, if they are no longer where the run found them
    recorded       whether the run is what the record keeps of one: its epochs, its recipe and THEORY
    """

    name: str
    run: Run
    image_folder: Path | None = None
    recorded: bool = False

    @cached_property
    def recipe(self) -> Recipe:
        return recipe_of(self.run)

    @cached_property
    def epochs(self) -> list[dict[str, float]]:
        return self.run.epochs

    @cached_property
    def theory(self) -> dict[str, Theory]:
        """The last layer beside theory, by the features of the model; nothing from a record that keeps none."""
        if not self.recorded:
            return theory_of(self.run)
        file = self.run.path / THEORY
        kept = read_json(file) if file.is_file() else {}
        return {features: Theory.from_plain(found) for features, found in kept.items()}

    @property
    def first(self) -> dict[str, float]:
        return self.epochs[0]

    @property
    def last(self) -> dict[str, float]:
        return self.epochs[-1]

    @property
    def fitted(self) -> bool:
        """Whether the training set is fitted at the end."""
        return self.last["accuracy"] >= FITTED

    @property
    def fitted_from(self) -> int | None:
        """The first epoch after which the training set was fitted."""
        return next((int(row["epoch"]) for row in self.epochs if row["accuracy"] >= FITTED), None)

    @property
    def risen(self) -> list[str]:
        """Those of NC1 to NC4 that are not below their value after the first epoch."""
        return [name for name in METRICS if not self.last[name] < self.first[name]]

    @property
    def test_images(self) -> int:
        return 10 * (self.recipe.test_per_class or TEST_IMAGES)

    @property
    def images(self) -> str:
        """What it was trained on, in words; CIFAR-10 read from image files names their format."""
        if self.recipe.data != "folder":
            return {"mnist32": "MNIST", "cifar10": "CIFAR-10"}.get(self.recipe.data, self.recipe.data)
        from PIL import Image

        folders = [Path(self.recipe.data_dir), *([self.image_folder] if self.image_folder else [])]
        suffixes = (file.suffix.lower() for folder in folders for file in folder.glob("test/*/*"))
        return f"CIFAR-10 ({Image.registered_extensions().get(next(suffixes, ''), 'image')} copy)"

    def row(self) -> dict[str, Any]:
        """What the record says of the cell, as plain data."""
        recipe, model = self.recipe, self.run.config.get("model", {})
        facts = {"cell": self.name, "images": self.images, "model": recipe.model, "width": recipe.width}
        facts |= {"head": recipe.head, "d": recipe.feature_dim, "optimizer": recipe.optimizer}
        facts |= {"random_labels": recipe.random_labels, "feature_decay": recipe.feature_decay}
        facts |= {"epochs": len(self.epochs), "fitted_from": self.fitted_from}
        facts |= {name: self.last[name] for name in ("accuracy", "test_accuracy")}
        for name in METRICS:
            facts |= {f"{name}_first": self.first[name], name: self.last[name]}
        return facts | {name: model.get(name) for name in ("parameters", "learned_parameters", "training_memory_bytes")}
