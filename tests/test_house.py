"""The front door as a newcomer meets it: what README and Makefile promise is there."""

import re
from pathlib import Path

import pytest

import networks
import ufm
import validate
from ufm_cli.main import COMMANDS

HOUSE = Path(__file__).parent.parent
README = (HOUSE / "README.md").read_text()


def test_readme_opens_with_the_two_commands():
    lines = [line for line in README.splitlines() if line.strip()]
    assert lines[1].split("#")[0].split() == ["make", "verify"]
    assert lines[2].split("#")[0].split() == ["make", "test"]


def test_readme_lists_every_command():
    assert re.findall(r"^    ufm (\w+)", README, re.M) == list(COMMANDS)


def test_readme_network_names_exist():
    for module, name in re.findall(r"\b(networks|validate|ufm)\.([A-Za-z_]+)\(", README):
        assert hasattr({"networks": networks, "validate": validate, "ufm": ufm}[module], name)


FOLDERS = ["ufm", "validate", "networks", "figures", "ufm_paper", "ufm_cli", "ufm_names"]


@pytest.mark.parametrize("folder", FOLDERS)
def test_nothing_is_pickled(folder):
    for file in (HOUSE / folder).rglob("*.py"):
        assert not re.search(r"torch\.(save|load)\(|import pickle|np\.save", file.read_text()), file


def test_contributing_fits_a_screen():
    assert len((HOUSE / "CONTRIBUTING.md").read_text().splitlines()) <= 40
