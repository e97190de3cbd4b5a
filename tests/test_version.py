"""One version everywhere, and a citation file with what the format asks for (Citation File Format 1.2.0)."""

import importlib
import re
from configparser import ConfigParser
from pathlib import Path

import pytest
import yaml

import ufm
from ufm_cli.main import main
from validate.runs.provenance import provenance

HOUSE = Path(__file__).parents[1]
CITATION = yaml.safe_load((HOUSE / "CITATION.cff").read_text())


def metadata() -> dict:
    parser = ConfigParser()
    parser.read(HOUSE / "setup.cfg")
    return dict(parser["metadata"])


def wrong(citation: dict) -> list[str]:
    """What a citation file lacks or says otherwise than setup.cfg and the code."""
    expected = {
        "cff-version": "1.2.0",
        "version": ufm.__version__,
        "license": metadata()["license"],
        "authors": [{"name": "The ufm developers"}],
        "type": "software",
    }
    found = [name for name, value in expected.items() if citation.get(name) != value]
    found += [name for name in ("message", "title") if not isinstance(citation.get(name), str)]
    for reference in citation.get("references", [{}]):
        found += [f"references: {name}" for name in ("type", "title", "authors") if not reference.get(name)]
    return found


def test_the_citation_is_in_step():
    assert wrong(CITATION) == []
    (paper,) = CITATION["references"]
    assert paper["authors"][0] == {"family-names": "Zhu", "given-names": "Zhihui"}
    assert (paper["year"], paper["url"]) == (2021, "https://arxiv.org/abs/2105.02375")


PLANTED = {
    "another version": ({"version": "0.0.9"}, ["version"]),
    "a version that is no text": ({"version": 0.1}, ["version"]),
    "another licence": ({"license": "BSD-3-Clause"}, ["license"]),
    "a format of another day": ({"cff-version": "1.1.0"}, ["cff-version"]),
    "no title": ({"title": None}, ["title"]),
    "nobody": ({"authors": []}, ["authors"]),
    "a paper by nobody": ({"references": [{"type": "article", "title": "x"}]}, ["references: authors"]),
}


@pytest.mark.parametrize(("change", "found"), PLANTED.values(), ids=PLANTED)
def test_a_planted_slip_is_seen(change, found):
    assert wrong(CITATION | change) == found


def test_setup_reads_the_version_where_it_stands():
    kind, place = metadata()["version"].split()
    module, _, name = place.rpartition(".")
    assert kind == "attr:"
    assert getattr(importlib.import_module(module), name) == ufm.__version__
    assert re.fullmatch(r"\d+\.\d+\.\d+", ufm.__version__)


def test_the_command_and_the_record_say_it(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"ufm {ufm.__version__}\n"
    assert provenance()["versions"]["ufm"] == ufm.__version__
