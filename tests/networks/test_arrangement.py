"""The faster arrangement on a CPU: the same training to rounding, resumed to the same bytes, recorded as asked."""

import dataclasses

import pytest
import torch

import networks
from networks import allocation
from networks.arrangement import arranged, layout
from networks.models import small_maps
from networks.models.small_maps import Convolution
from tests.networks.runs.records import rows_of

CPU = torch.device("cpu")
RESNET = networks.Recipe(
    model="resnet18", width=8, per_class=20, test_per_class=5, batch_size=64, epochs=2, keep=2, device="cpu"
)


def trained_by(recipe, path, **settings):
    return networks.train(dataclasses.replace(recipe, **settings), path)


@pytest.fixture(scope="module")
def resnet(tmp_path_factory):
    return networks.train(RESNET, tmp_path_factory.mktemp("runs") / "resnet")


def test_the_first_epoch_is_the_same_to_rounding(resnet, tmp_path, monkeypatch):
    """Later ones drift apart, as a network's training does from any rounding."""
    monkeypatch.setattr(small_maps, "_as_product", None)
    plain = trained_by(RESNET, tmp_path / "plain", rearrange=False, epochs=1)
    assert resnet.epochs[0]["train_loss"] == pytest.approx(plain.epochs[0]["train_loss"], rel=1e-3)
    with pytest.raises(TypeError):  # it does take products
        trained_by(RESNET, tmp_path / "rearranged", epochs=1)


def test_it_resumes_to_the_bytes_of_an_uninterrupted_run(resnet, tmp_path):
    trained_by(RESNET, tmp_path / "cut", epochs=1)
    resumed = networks.train(RESNET, tmp_path / "cut", resume=True)
    assert rows_of(resumed) == rows_of(resnet)
    assert resumed.checkpoint(2).read_bytes() == resnet.checkpoint(2).read_bytes()


def test_what_is_rearranged_where():
    recipe, cuda = networks.Recipe(), torch.device("cuda")
    assert layout(recipe, CPU) == torch.channels_last
    assert layout(recipe, cuda) == layout(dataclasses.replace(recipe, rearrange=False), CPU) == torch.contiguous_format
    assert layout(dataclasses.replace(recipe, rearrange=False, channels_last=True), CPU) == torch.channels_last
    kinds = {}
    for device in (CPU, torch.device("meta")):
        with device:
            model = networks.build_model("resnet18", 3, image_shape=(3, 32, 32), width=4)
        assert arranged(model, recipe, device) is model
        kinds[device.type] = any(type(module) is Convolution for module in model.modules())
    assert kinds == {"cpu": True, "meta": False}


def test_a_record_of_a_former_version_was_not_rearranged(run_copy, small_recipe):
    recipe = dict(run_copy.config["recipe"])
    assert networks.recipe_of(run_copy) == small_recipe
    assert recipe.pop("rearrange") is True
    run_copy.write_config(run_copy.config | {"recipe": recipe})
    made = networks.recipe_of(run_copy)
    assert made == dataclasses.replace(small_recipe, rearrange=False)
    networks.train(dataclasses.replace(made, epochs=7), run_copy.path, resume=True)
    assert run_copy.config["recipe"]["rearrange"] is False


class Library:
    """Stands for the C library, and keeps what it was asked."""

    def __init__(self):
        self.asked = []

    def mallopt(self, parameter, value):
        self.asked.append((parameter, value))

    def malloc_trim(self, pad):
        self.asked.append("trim")


def interrupted(library: Library) -> None:
    with allocation.kept_memory(CPU):
        assert sorted(library.asked) == [(-3, 2**31 - 1), (-1, 2**31 - 1)]
        library.asked.clear()
        raise KeyboardInterrupt


def test_memory_is_kept_in_the_block_and_given_back_after_it(monkeypatch):
    library = Library()
    monkeypatch.setattr(allocation, "_allocator", lambda: library)
    with pytest.raises(KeyboardInterrupt):
        interrupted(library)
    assert library.asked == [(-3, 32 * 2**20), (-1, 64 * 2**20), "trim"]
    library.asked.clear()
    with allocation.kept_memory(torch.device("cuda")):
        assert not library.asked


def test_without_glibc_nothing_is_asked(monkeypatch):
    monkeypatch.setattr(allocation, "_allocator", lambda: None)
    with allocation.kept_memory(CPU):
        assert torch.ones(3).sum() == 3
