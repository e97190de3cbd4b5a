"""The page of an atlas has every point and descent, with the atlas's numbers, and stands alone."""

import json
import re
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

import ufm
from figures.pages.landscape import COLUMNS, landscape_page
from tests.cases import autograd_hessian
from tests.figures.browser import driven, needs_browser, opened
from tests.figures.pages.reading import complaints, read, values
from ufm import PointVerdict
from ufm.atlas import Atlas, partition_points
from ufm.atlas.exploration import Descent

NAMES = [column.name for column in COLUMNS]


@pytest.fixture(scope="module")
def atlas():
    """Points of every rank up to 3, with two descents from each saddle (ends that nothing was followed to)."""
    problem = ufm.Problem.balanced(4, 2, 3, lambda_w=5e-3, lambda_h=5e-3, lambda_b=1e-2)
    points = partition_points(problem, blocks=4, starts=16)
    descents = [Descent(i, -1.0, end) for i in range(1, len(points)) for end in (0, i - 1)]
    return Atlas(problem, tuple(points), (), {}, {}, (*descents, Descent(1, -1.0, None)))


@pytest.fixture(scope="module")
def text(atlas):
    spectra = [ufm.spectrum(atlas.problem, point.point) for point in atlas.points]
    return landscape_page(atlas, spectra, ["It is proved."], made={"made by": "ufm <0>"}).html()


def differences(text: str, atlas) -> list[str]:
    """Where the page's numbers are not the atlas's; its spectra are compared with dense ones by autograd."""
    page = read(text)
    if len(page.data["items"]) != len(atlas.points):
        return ["not as many points"]
    found = []
    for name, of in {
        "level": lambda p: p.level,
        "index": lambda p: p.index,
        "nullity": lambda p: p.nullity,
        "rank": lambda p: p.rank,
        "classes": lambda p: p.shape,
        "copies": lambda p: p.copies,
        "least eigenvalue": lambda p: p.lambda_min,
        "verdict": lambda p: str(p.certificate.verdict),
        "duality gap": lambda p: p.certificate.duality_gap,
        "dimension of the orbit": lambda p: p.certificate.orbit_dimension,
    }.items():
        found += [name] if values(page, NAMES, name) != [of(p) for p in atlas.points] else []
    for item, p in zip(page.data["items"], atlas.points, strict=True):
        found += ["logits"] if item["logits"] != p.logits.tolist() else []
        spectrum = item["spectrum"]
        dense = torch.linalg.eigvalsh(autograd_hessian(atlas.problem, p.point)).numpy()
        listed = np.repeat(spectrum["values"], spectrum["counts"])
        same = len(listed) == len(dense) and np.allclose(listed, dense, rtol=1e-6, atol=1e-10)
        found += [] if same else ["spectrum"]
    edges = sorted({(line.start, line.end) for line in atlas.descents if line.end is not None})
    return found + (["descents"] if [tuple(link) for link in page.data["links"]] != edges else [])


def changed(text: str, change) -> str:
    """The page with its data changed, in place."""
    found = re.search(r'(<script type="application/json" id="data">)(.*?)(</script>)', text, re.S)
    data = json.loads(found[2])
    change(data)
    return text.replace(found[2], json.dumps(data))


def test_it_is_whole_and_has_the_atlases_numbers(text, atlas):
    assert complaints(text) == []
    assert differences(text, atlas) == []
    page = read(text)
    assert page.links
    said = "".join(page.root.itertext())
    for point in atlas.points:
        assert f"{point.level:.6g}" in said
    assert "It is proved." in said
    assert "ufm <0>" in said


SPOILED = {
    "a point lost": (lambda data: data["items"].pop(), "marks and items are not the same"),
    "an edge to nowhere": (lambda data: data["links"].append([0, 99]), "a link ends nowhere"),
    "an edge lost": (lambda data: data["links"].pop(), "links are drawn that the numbers do not have, or the reverse"),
}


@pytest.mark.parametrize(("change", "complaint"), SPOILED.values(), ids=SPOILED)
def test_a_spoiled_page_is_seen_by_itself(change, complaint, text):
    assert complaint in complaints(changed(text, change))


OUTSIDE = {
    "an image": ("<h1>", '<img alt="" src="https://example.org/x.png"><h1>'),
    "a script": ("</body>", '<script src="x.js"></script></body>'),
    "a style": ("</style>", "@import 'x.css';</style>"),
    "a font": ("</style>", "p { background: url(x.png); }</style>"),
    "no policy": ("default-src 'none'", "default-src *"),
}


@pytest.mark.parametrize(("old", "new"), OUTSIDE.values(), ids=OUTSIDE)
def test_what_is_taken_from_elsewhere_is_seen(old, new, text):
    assert complaints(text.replace(old, new, 1))


def nudge(data):
    data["items"][1]["values"][NAMES.index("level")] *= 1 + 1e-14


def miscount(data):
    data["items"][0]["spectrum"]["counts"][0] += 1


def swap(data):
    data["links"][0].reverse()


def transpose(data):
    data["items"][1]["logits"][0][0] += 1e-9


PLANTED = {"level": nudge, "spectrum": miscount, "descents": swap, "logits": transpose}


@pytest.mark.parametrize("name", PLANTED)
def test_a_wrong_number_is_seen(name, text, atlas):
    assert differences(changed(text, PLANTED[name]), atlas) == [name]


def test_heights_are_logarithms_of_levels_and_no_point_hides_another(text, atlas):
    places = np.array([place for _, place in sorted(read(text).marks.items())])
    levels = np.log([point.level for point in atlas.points])
    slope = np.ptp(places[:, 1]) / np.ptp(levels)
    np.testing.assert_allclose(places[:, 1], places[0, 1] - slope * (levels - levels[0]), atol=0.1)
    apart = np.linalg.norm(places[:, None] - places[None], axis=2) + np.diag(np.full(len(places), np.inf))
    assert apart.min() >= 30.0
    columns = {point.index: [] for point in atlas.points}
    for point, (x, _) in zip(atlas.points, places, strict=True):
        columns[point.index].append(x)
    ordered = [columns[index] for index in sorted(columns)]
    assert all(max(one) < min(other) for one, other in pairwise(ordered))


def test_equal_levels_stand_side_by_side(atlas):
    """Twenty points of one level and index."""
    many = replace(atlas, points=(atlas.points[0],) * 20, descents=())
    spectra = [ufm.spectrum(atlas.problem, atlas.points[0].point)] * 20
    places = np.array(list(read(landscape_page(many, spectra).html()).marks.values()))
    assert len(set(places[:, 1])) == 1
    assert np.diff(np.sort(places[:, 0])).min() >= 30.0


def test_points_are_counted_in_words(atlas, text):
    assert f"{len(atlas.points)} critical points up to" in text
    one = replace(atlas, points=atlas.points[:1], descents=(), hidden=1)
    alone = landscape_page(one, [ufm.spectrum(atlas.problem, atlas.points[0].point)]).html()
    assert "1 critical point up to" in alone
    assert "hides 1 end of" in alone


def test_what_is_not_known_of_a_point_is_left_open(atlas):
    first = atlas.points[0]
    certificate = replace(first.certificate, verdict=PointVerdict.NOT_CRITICAL, index=None, nullity=None)
    open_one = replace(first, certificate=certificate, index=None, nullity=None, lambda_min=None)
    many = replace(atlas, points=(*atlas.points, open_one), descents=())
    text = landscape_page(many, [ufm.spectrum(atlas.problem, point.point) for point in many.points]).html()
    assert complaints(text) == []
    page = read(text)
    assert values(page, NAMES, "index") == [*(point.index for point in atlas.points), None]
    assert max(page.marks, key=lambda i: page.marks[i][0]) == len(atlas.points)  # in a column of its own, the last
    assert "not critical, level" in text
    assert "index ?" in text


def test_types_that_are_no_classes_are_shown_as_types():
    targets = torch.tensor([[0.8, 0.2], [0.1, 0.9], [0.5, 0.5]], dtype=torch.float64)
    problem = ufm.Problem((1, 1, 1), 1, 1e-2, 1e-2, 1e-2, loss=ufm.losses.SoftCrossEntropy(targets))
    point = ufm.critical_points(problem, until_quiet=1)[0]
    text = landscape_page(Atlas(problem, (point,), (), {}, {}, ()), [ufm.spectrum(problem, point.point)]).html()
    assert complaints(text) == []
    (item,) = read(text).data["items"]
    assert np.shape(item["logits"]) == (3, 2)
    assert sorted(k for tip in item["scenes"][0]["features"] for k in tip["rows"]) == [1, 2, 3]


def test_without_descents_it_says_how_to_have_them(atlas):
    spectra = [ufm.spectrum(atlas.problem, point.point) for point in atlas.points]
    page = landscape_page(replace(atlas, descents=()), spectra, unconnected="Descents were not followed: ask <so>.")
    assert read(page.html()).links == []
    assert "Descents were not followed: ask &lt;so&gt;." in page.html()


READER = """
const key = (name) => document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { key: name, bubbles: true }));
const marks = [...document.querySelectorAll(".mark")];
const chosen = () => document.getElementById("chosen").textContent;
const fact = (i) => document.querySelector(`.facts [data-column="${i}"] dd`).textContent;
const seen = marks.map((mark) => {
  mark.scrollIntoView();
  const box = mark.getBoundingClientRect();
  return document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2).closest(".mark") === mark;
});
const click = (mark) => mark.dispatchEvent(new MouseEvent("click", { bubbles: true }));
const clicked = marks.map((mark) => { click(mark); return chosen(); });
const focused = document.activeElement === marks.at(-1);
const levels = [];
key("Home");
for (const _ of marks) { levels.push(Number(fact(0))); key("PageDown"); }
key("Home");
const walk = [chosen()];
for (const name of ["ArrowUp", "ArrowRight", "ArrowLeft", "ArrowDown", "End"]) { key(name); walk.push(chosen()); }
document.querySelectorAll("#all tbody button")[0].click();
const byRow = chosen();
const scene = document.querySelector(".scene");
const place = (tip) => [tip.cx.baseVal.value, tip.cy.baseVal.value].join();
const tips = () => [...scene.querySelectorAll(".tip")].map(place);
const turn = [scene.getAttribute("class"), tips()];
scene.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight", bubbles: true }));
turn.push(tips());
scene.dispatchEvent(new PointerEvent("pointermove", { buttons: 1, movementX: 40, movementY: 10 }));
turn.push(tips());
scene.dispatchEvent(new KeyboardEvent("keydown", { key: "Home", bubbles: true }));
turn.push(tips());
const down = [...document.querySelectorAll(".links button")].map((one) => one.textContent);
return {
  seen, clicked, focused, levels, walk, byRow, turn, down, hash: location.hash, wide: innerWidth, over: overflowing(),
  options: document.querySelectorAll('[role=listbox] [role=option][aria-selected=true]').length,
  stops: marks.filter((mark) => mark.tabIndex === 0).length,
  logits: [...document.querySelectorAll(".logits td[title]")].map((one) => Number(one.title)),
};"""


@needs_browser
def test_it_is_clicked_through(text, atlas, tmp_path):
    found = driven(text, READER, tmp_path, "--window-size=1100,900")
    names = [f"point {i}" for i in range(len(atlas.points))]
    assert found["seen"] == [True] * len(names)
    assert found["clicked"] == names
    assert found["focused"]
    assert found["levels"] == pytest.approx([point.level for point in atlas.points], rel=1e-8)
    assert found["walk"][0] == "point 0"
    assert found["walk"][-1] == names[-1]
    assert len(set(found["walk"])) >= 3
    assert found["byRow"] == "point 0"
    assert found["hash"] == "#0"
    assert (found["options"], found["stops"]) == (1, 1)
    assert found["logits"] == pytest.approx(atlas.points[0].logits.flatten().tolist(), rel=1e-8)
    kind, begun, keyed, dragged, home = found["turn"]
    assert kind == "scene turns"  # rank 3
    assert len({tuple(begun), tuple(keyed), tuple(dragged)}) == 3
    assert begun == home
    assert found["wide"] == 1100
    assert found["over"] == []


@needs_browser
def test_without_scripts_every_point_is_in_the_table(text, atlas, tmp_path):
    page = tmp_path / "page.html"
    page.write_text(text.replace("script-src 'unsafe-inline'", "script-src 'none'"), encoding="utf-8")
    document, _ = opened(page, tmp_path)
    assert len(re.findall(r'<tr data-item="\d+">', document)) == len(atlas.points)
    assert re.search(r'<section id="panel"[^>]* hidden=""', document)
    assert document.count('class="mark ') == len(atlas.points)
    assert "<button" not in document
