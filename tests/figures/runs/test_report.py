"""The page holds everything, stands alone, and says what it has nothing on."""

import base64
import dataclasses
import html
import math
import re
import shutil
from html.parser import HTMLParser
from itertools import pairwise

import pytest

import ufm
from figures.runs.report import write_report
from tests.cases import PROBLEMS
from ufm import InputError
from ufm.storage.files import write_json
from validate import Run, compare_run
from validate.metrics.formulas import FORMULAS


@pytest.fixture(scope="module")
def page(trained, tmp_path_factory) -> str:
    """The page of the trained run, with every theorem's verdict."""
    folder, problem = tmp_path_factory.mktemp("report"), PROBLEMS["balanced"]
    found = [dataclasses.asdict(verdict) for verdict in ufm.verify(problem, starts=1)]
    write_json(folder / "verify.json", {"problem": problem.settings(), "verdicts": found})
    shutil.copytree(trained.path, folder / "run")
    commands = ["ufm train --name 'a & b'", "ufm report x"]
    return write_report(Run.open(folder / "run"), folder / "verify.json", commands=commands).read_text()


class Balanced(HTMLParser):
    """Collects images and sees that every element is closed."""

    def __init__(self):
        super().__init__()
        self.open, self.images = [], []

    def handle_starttag(self, tag, attributes):
        if tag == "img":
            self.images.append(dict(attributes))
        elif tag not in ("meta", "link", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def parsed(text: str) -> Balanced:
    page = Balanced()
    page.feed(text)
    assert page.open == []
    return page


def test_page_is_whole(page, trained):
    images = parsed(page).images
    assert len(images) == 5
    assert all(image["src"].startswith("data:image/svg+xml;base64,") and image["alt"] for image in images)
    for theorem in ufm.THEOREMS:
        assert f'<th scope="row">{html.escape(theorem.name)}</th>' in page
    assert page.count('<span class="holds">holds</span>') == len(ufm.THEOREMS)
    for theorem in ufm.THEOREMS:
        assert f'<td data-label="source">{html.escape(theorem.source)}</td>' in page
    for row in compare_run(trained).rows:
        assert f"{row.network:.5g}" in page
    assert str(trained.config["recipe"]["lr"]) in page
    assert trained.config["versions"]["torch"] in page


def test_page_stands_alone(page):
    assert not re.search(r"(src|href)=\"(?!data:)", page)
    assert not re.search(r"url\(|@import|https?://", page)
    assert "default-src 'none'; img-src data:;" in page
    assert page.count("<script>") == 1
    for source in re.findall(r'src="data:image/svg\+xml;base64,([^"]*)"', page):
        assert not re.search(rb"<image|(href|src)=\"(?!#)", base64.b64decode(source))


def test_page_is_valid_html(page):
    import html5lib

    html5lib.HTMLParser(strict=True).parse(page)
    spoiled = page.replace("</tr>\n</tbody>", "<div></tr>\n</tbody>", 1)
    assert spoiled != page
    with pytest.raises(html5lib.html5parser.ParseError):
        html5lib.HTMLParser(strict=True).parse(spoiled)


def test_results_come_first_and_settings_last(page):
    assert re.findall(r"<h2>(.*?)</h2>", page) == [
        "The network beside the theory",
        "The theorems",
        "The training",
        "What was asked",
        "What made this page",
    ]


def test_mathematics_is_mathml(page, trained):
    comparison = re.search(r'<table id="comparison">.*?</table>', page, re.S).group()
    rows = [row for row in compare_run(trained).rows if row.name in FORMULAS]
    assert len(rows) > 5
    assert comparison.count("<math") == len(rows)
    verdicts = re.search(r'<table id="other-verdicts".*?</table>', page, re.S).group()
    assert verdicts.count("<math") >= 8
    assert "Minimised over the last layer, its W free: <math" in page


def test_every_setting_and_the_commands_are_shown(page, trained):
    for name in trained.config["recipe"]:
        assert f"<dt>{name}</dt>" in page
    assert "ufm train --name &#39;a &amp; b&#39;\nufm report x</pre>" in page


def test_epochs_are_listed_evenly_with_the_first_and_the_last(run_copy):
    rows = [
        run_copy.epochs[0] | {"epoch": epoch, "nc1": math.nan if epoch == 1 else 1 / epoch} for epoch in range(1, 101)
    ]
    run_copy.write_epochs(rows)
    table = re.search(r'<table id="epochs">.*?</table>', write_report(run_copy).read_text(), re.S).group()
    listed = [int(number) for number in re.findall(r'<tr><td class="number" data-value="(\d+)\.0">', table)]
    assert (len(listed), listed[0], listed[-1]) == (15, 1, 100)
    assert max(b - a for a, b in pairwise(listed)) <= 8
    assert '<td class="number" data-value="">not defined</td>' in table


def test_what_is_not_there_is_not_covered(run_copy):
    run_copy.last_point.unlink()
    text = write_report(run_copy).read_text()
    assert text.count("Not covered") == 3
    assert "no point of the run is on disk" in text
    assert "Dashed" not in text
    assert len(parsed(text).images) == 3


def test_a_failing_verdict_and_disagreement_are_shown(run_copy, tmp_path):
    problem = PROBLEMS["balanced"].settings()
    verdict = {"claim": "a < b", "statement": "s", "source": "", "status": "fails", "worst": None, "tolerance": 1.0}
    write_json(tmp_path / "v.json", {"problem": problem, "verdicts": [verdict | {"note": "<script>"}]})
    write_json(
        run_copy.analysis,
        {"agrees": False, "worst_deviation": 0.5, "allowed_deviation": 0.1, "checkpoints": [1, 2]},
    )
    text = write_report(run_copy, tmp_path / "v.json").read_text()
    assert '<span class="fails">fails</span>' in text
    assert "DO NOT agree" in text
    assert "a &lt; b" in text
    assert "&lt;script&gt;" in text
    assert text.count("<script>") == 1
    assert "Theorems on another problem: 0 holds, 1 fails, 0 inconclusive, 0 not covered" in text


def verdict(claim: str, status: str) -> dict:
    return {"claim": claim, "statement": "s", "source": "", "status": status} | dict.fromkeys(
        ("worst", "tolerance"), 1.0
    )


def test_theorems_on_the_networks_own_model_come_first(run_copy, tmp_path):
    assert (
        "the theorems were not checked on this network&#39;s model (ufm validate RUN --theorems)"
        in write_report(run_copy).read_text()
    )
    own = compare_run(run_copy).problem.settings()
    found = [verdict(status, status) | {"note": "n"} for status in ("holds", "inconclusive", "not covered")]
    checked = {"agrees": True, "worst_deviation": 0.0, "allowed_deviation": 0.1, "checkpoints": [1]}
    write_json(run_copy.analysis, checked | {"theorems": {"problem": own, "verdicts": found}})
    other = PROBLEMS["balanced"].settings()
    write_json(tmp_path / "v.json", {"problem": other, "verdicts": [verdict("another", "holds") | {"note": "n"}]})
    text = write_report(run_copy, tmp_path / "v.json").read_text()
    assert text.index('id="own-verdicts"') < text.index('id="other-verdicts"')
    assert "num_classes 10, per_class 140, dim 16" in text.split('id="own-verdicts"')[0].split("The theorems</h2>")[1]
    assert '<span class="inconclusive">inconclusive</span>' in text
    assert "Theorems on the network&#39;s own model: 1 holds, 0 fails, 1 inconclusive, 1 not covered." in text
    assert "fewer samples than the network" not in text
    write_json(run_copy.analysis, checked | {"theorems": {"problem": own | {"per_class": 7}, "verdicts": found}})
    assert "fewer samples than the network" in write_report(run_copy).read_text()


@pytest.mark.parametrize("found", [{}, [], {"problem": {}, "verdicts": []}, {"problem": {}, "verdicts": [{}]}])
def test_damaged_verdicts_on_the_own_model_are_named(found, run_copy):
    checked = {"agrees": True, "worst_deviation": 0.0, "allowed_deviation": 0.1, "checkpoints": [1]}
    write_json(run_copy.analysis, checked | {"theorems": found})
    with pytest.raises(InputError, match=r"validation\.json are damaged"):
        write_report(run_copy)


def test_the_reason_stands_where_theorems_are_not_covered(run_copy):
    other = dataclasses.replace(run_copy.minimised, reasons=("the steps are random walks",))
    run_copy.write_config(run_copy.config | {"minimised": other.plain()})
    section = write_report(run_copy).read_text().split("The theorems</h2>")[1].split("<h2>")[0]
    assert "Not covered: the steps are random walks" in section


def test_what_agrees_by_construction_is_said_in_the_table(run_copy):
    said = "ratio of the two norms, W : H (agrees by construction)"
    assert said in write_report(run_copy).read_text()
    own = dataclasses.replace(run_copy.minimised, lambda_h=1e-5, implied_by=None)
    run_copy.write_config(run_copy.config | {"minimised": own.plain()})
    text = write_report(run_copy).read_text()
    assert said not in text
    assert "ratio of the two norms, W : H" in text


@pytest.mark.parametrize("content", [{}, {"verdicts": []}, [1, 2]])
def test_refuses_what_holds_no_verdicts(run_copy, tmp_path, content):
    write_json(tmp_path / "v.json", content)
    with pytest.raises(InputError, match=r"holds no verdicts; make it with ufm.verify"):
        write_report(run_copy, tmp_path / "v.json")
