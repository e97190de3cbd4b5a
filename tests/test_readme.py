"""README fits a screen and a half, its blocks run, and its links and the table for readers of the paper's code hold."""

import re

import pytest
import torch

import validate
from tests.pages import HOUSE, blocks, run
from ufm_cli.main import main

README = (HOUSE / "README.md").read_text()


def test_it_fits_a_screen_and_a_half():
    assert len(README.splitlines()) <= 90


@pytest.fixture
def yours():
    """A model and a loader of the reader's."""
    torch.manual_seed(0)
    labels = torch.arange(30) % 3
    features = torch.eye(3)[labels].repeat(1, 2) + 0.1 * torch.randn(30, 6)
    layers = torch.nn.Linear(6, 5), torch.nn.ReLU(), torch.nn.Linear(5, 3)
    return {"model": torch.nn.Sequential(*layers), "loader": [(features, labels)]}


def test_its_blocks_run(yours, tmp_path, monkeypatch):
    """A comment that ends in dots begins one of the lines that were printed."""
    monkeypatch.chdir(tmp_path)
    python = [block for block in blocks(HOUSE / "README.md") if block.language == "python"]
    assert len(python) == README.count("```python") == 2
    printed = "".join(run(block, yours) for block in python)
    assert "InputError" not in printed
    for said in re.findall(r"^print.*# (.+?) ?\.\.\.$", README, re.M):
        assert any(line.startswith(said) for line in printed.splitlines()), said
    numbers = re.search(r"(\d+) numbers", README)[1]
    point, labels = validate.collect(yours["model"], yours["loader"])
    assert len(vars(validate.neural_collapse(point, labels))) == int(numbers)


PAGES = [HOUSE / "README.md", *(HOUSE / "docs" / f"{name}.md" for name in ("results", "paper_code", "cite", "rooms"))]


def dead_links(text, folder):
    """Links and pictures without a scheme that lead to no file; what follows # is looked at when the site is built."""
    links = re.findall(r"\]\(([^)#\s:]+)(?:#[^)]*)?\)", text)
    return [link for link in links if not (folder / link).exists()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_to_files_lead_somewhere(page):
    assert not dead_links(page.read_text(), page.parent)


def test_a_dead_link_is_seen():
    assert dead_links(README.replace("docs/cite.md", "docs/sight.md"), HOUSE) == ["docs/sight.md"]


TABLE = [
    [cell.strip() for cell in row.split(" | ")]
    for row in (HOUSE / "docs" / "paper_code.md").read_text().split("\n## Argument by argument\n")[1].splitlines()
    if row.startswith("| `")
]
ORIGINAL = """
model no-bias ETF_fc fixdim SOTA width depth gpu_id use_cudnn seed dataset data_dir uid force epochs batch_size loss
sample_size lr patience decay_type gamma optimizer weight_decay sep_decay feature_decay_rate history_size ghost_batch
"""


def test_every_argument_of_the_papers_code_is_translated():
    there = re.findall(r"--([\w-]+)", " ".join(row[0] for row in TABLE))
    assert set(there) == set(ORIGINAL.split())


def test_every_flag_of_the_translation_exists(capsys):
    assert main(["train", "--help"]) == 0
    known = set(re.findall(r"--[\w-]+", capsys.readouterr().out))
    flags = set(re.findall(r"--[\w-]+", " ".join(row[1] for row in TABLE)))
    assert len(flags) > 20
    assert flags <= known
