"""Two workers on two cores: one torch thread each. Property tests draw the same examples every time."""

import gc
import os

import hypothesis
import pytest
import torch

import networks
from tests.installed import built, copied, unpacked

if "PYTEST_XDIST_WORKER" in os.environ:
    torch.set_num_threads(1)

hypothesis.settings.register_profile("steady", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.load_profile("steady")


def pytest_collection_finish():
    """What is imported by now stays: the garbage collector need not look through it again, nor so often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


SMALL = networks.Recipe(width=32, depth=1, feature_dim=16, epochs=6, keep=2, device="cpu")


@pytest.fixture(autouse=True)
def threads():
    """Every test leaves torch the threads that it found: their number changes the last bits of a training."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def small_recipe():
    """A recipe of a second: enough to be a run, not to collapse."""
    return SMALL


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """A finished run of the small recipe; tests must not change it."""
    return networks.train(SMALL, tmp_path_factory.mktemp("runs") / "small")


@pytest.fixture
def run_copy(trained, tmp_path):
    """A copy of the finished run, to be spoiled."""
    import shutil

    from validate import Run

    shutil.copytree(trained.path, tmp_path / "copy")
    return Run.open(tmp_path / "copy")


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    """The wheel of what git tracks."""
    folder = tmp_path_factory.mktemp("wheel")
    return built(copied(folder / "source"), folder / "dist")


@pytest.fixture(scope="session")
def site(wheel):
    """A folder into which the wheel is installed, and nothing else."""
    return unpacked(wheel, wheel.parent.parent / "site")
