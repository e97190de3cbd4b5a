"""What the README shows runs as it stands there, and what it says of flags is so."""

import re
import shlex
from pathlib import Path

import pytest
import torch

from ufm_cli.main import _parse, main

README = (Path(__file__).parent.parent / "README.md").read_text()


def blocks(language):
    """(section, text) of every block of code in that language."""
    section, found = "", []
    for heading, code in re.findall(rf"^## ([^\n]+)$|^```{language}\n(.*?)^```$", README, re.M | re.S):
        section = heading or section
        found += [(section, code)] if code else []
    return found


SECTIONS = {section: [code for of, code in blocks("python") if of == section] for section, _ in blocks("python")}


def test_every_block_is_in_a_section():
    assert list(SECTIONS) == ["The theory", "Networks"]
    assert sum(map(len, SECTIONS.values())) == README.count("```python")
    assert set(re.findall(r"^```(\w+)", README, re.M)) == {"python", "bash"}


@pytest.mark.parametrize("section", SECTIONS)
def test_the_blocks_of_a_section_run_one_after_the_other(section, tmp_path, monkeypatch, capsys):
    """In one namespace and an empty folder. A comment that ends in dots begins one of the lines that were printed."""
    monkeypatch.chdir(tmp_path)
    namespace = {}
    for code in SECTIONS[section]:
        exec(compile(code, "README.md", "exec"), namespace)
    printed = capsys.readouterr().out.splitlines()
    for said in re.findall(r"^print.*# (.+?) ?\.\.\.$", "".join(SECTIONS[section]), re.M):
        assert any(line.startswith(said) for line in printed), said
    for said in re.findall(r"# ([\d,]+) parameters, ([\d,]+) of them learned", "".join(SECTIONS[section])):
        parameters = list(namespace["model"].parameters())
        counted = (parameters, [parameter for parameter in parameters if parameter.requires_grad])
        assert tuple(f"{sum(map(torch.Tensor.numel, some)):,}" for some in counted) == said


def commands():
    """Every command line of ufm with arguments in the README, but those that stand for many or need a run."""
    shown = [line.split("#")[0] for _, code in blocks("bash") for line in code.splitlines()]
    shown += re.findall(r"`(ufm \w+ [^`\n]+)`", README)
    return sorted({line.strip() for line in shown if not re.search(r"\.\.\.|COMMAND|--resume RUN", line)})


@pytest.mark.parametrize("line", commands())
def test_commands_are_understood(line):
    name, *arguments = shlex.split(line)[1:]
    assert _parse(name, arguments) is not None


TABLE = [
    [cell.strip() for cell in row.split(" | ")]
    for row in README.split("Coming from the paper's code")[1].split("\n## ")[0].splitlines()
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
