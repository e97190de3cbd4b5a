"""The grid: the paper's recipes at full scale, the rules of a scale, and where images come from."""

import dataclasses

import pytest

import networks
from ufm import InputError
from ufm_paper.grid import CELLS, DESK, FULL, SCALES, SMALL, Scale, with_images


@pytest.mark.parametrize("scale", SCALES.values(), ids=SCALES)
@pytest.mark.parametrize("cell", CELLS)
def test_every_cell_has_a_recipe_at_every_scale(cell, scale):
    recipe = scale.recipe(CELLS[cell])
    assert (recipe.data, recipe.model) == (CELLS[cell]["data"], CELLS[cell]["model"])


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "lbfgs"])
def test_full_scale_is_the_papers_recipe(optimizer):
    recipe = FULL.recipe(CELLS[f"cifar10-{optimizer}"])
    paper = networks.preset(f"paper-{optimizer}")
    changed = {f.name for f in dataclasses.fields(recipe) if getattr(recipe, f.name) != getattr(paper, f.name)}
    assert changed <= {"data", "model", "keep", "amp", "channels_last"}
    assert (recipe.epochs, recipe.weight_decay, recipe.per_class) == (200, 5e-4, None)


@pytest.mark.parametrize(
    ("cell", "epochs", "batch_size", "amp", "augment"),
    [
        ("mnist-sgd", 16, 256, True, "none"),
        ("mnist-resnet18-etf-d10", 16, 256, True, "none"),
        ("mnist-lbfgs", 4, 2048, False, "none"),
        ("cifar10-resnet18-learned", 32, 256, True, "flip"),
        ("cifar10-resnet18-etf-d10", 32, 256, True, "flip"),
    ],
)
def test_desk_scale_has_all_images_the_papers_stem_width_and_decay(cell, epochs, batch_size, amp, augment):
    recipe = DESK.recipe(CELLS[cell])
    assert (recipe.per_class, recipe.test_per_class, recipe.weight_decay) == (None, None, 5e-4)
    assert (recipe.stem or "imagenet", recipe.width) == ("imagenet", networks.Recipe().width)
    assert (recipe.epochs, recipe.batch_size, recipe.amp, recipe.augment) == (epochs, batch_size, amp, augment)


def test_what_a_cell_says_stands_above_the_rules_and_later_rules_above_earlier_ones():
    scale = Scale("test", "a test", (({}, {"width": 3, "epochs": 4}), ({"model": "mlp"}, {"epochs": 5})))
    cell = {"preset": "paper-sgd", "model": "mlp", "width": 7}
    recipe = scale.recipe(cell)
    assert (recipe.width, recipe.epochs, recipe.lr) == (7, 5, 0.05)
    assert scale.recipe({**cell, "model": "resnet18"}).epochs == 4
    assert SMALL.recipe(CELLS["random-resnet18-2"]).width == 2


@pytest.mark.parametrize("cell", ["cifar10-resnet18-learned", "cifar10-resnet18-etf-d10"])
def test_full_scale_has_the_papers_parameter_counts(cell):
    recipe = dataclasses.replace(FULL.recipe(CELLS[cell]), stem="imagenet")
    names = ("stem", "head", "feature_dim")
    model = networks.build_model(recipe.model, 10, **{name: getattr(recipe, name) for name in names})
    count = sum(parameter.numel() for parameter in model.parameters())
    assert count == {"linear": 11_181_642, "etf": 8_867_542}[recipe.head]


def test_images_from_a_folder_stand_in_for_cifar_alone(tmp_path):
    cifar, mnist = SMALL.recipe(CELLS["cifar10-sgd"]), SMALL.recipe(CELLS["mnist-sgd"])
    with pytest.raises(InputError, match="name the folder that has both"):
        with_images(cifar, "there", tmp_path)
    for part in ("train", "test"):
        (tmp_path / part / "cat").mkdir(parents=True)
    with pytest.raises(InputError, match="name the folder that has both"):
        with_images(cifar, "there", tmp_path)
    for part in ("train", "test"):
        (tmp_path / part / "cat" / "1.jpg").touch()
    moved = with_images(cifar, "there", tmp_path)
    assert (moved.data, moved.data_dir) == ("folder", str(tmp_path))
    assert with_images(mnist, "there", tmp_path).data_dir == "there"
    assert with_images(cifar, "there", None).data == "cifar10"
