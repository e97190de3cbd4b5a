"""Every script of the gallery, run at a small size: what its page says of the outcome is so."""

import math
import re
from collections import Counter

import numpy as np
import pytest
import torch

import ufm
import validate
from figures import Drawing
from tests.examples import running
from tests.examples.running import EXAMPLES, run
from tests.figures.looks import require_readable
from tests.test_docs import cited, unresolved

SCRIPTS = sorted(str(file.relative_to(EXAMPLES).with_suffix("")) for file in EXAMPLES.rglob("plot_*.py"))


def page(name, **smaller):
    """What a script leaves, whose figures can be read."""
    found = run(name, **smaller)
    drawings = [*found.get("drawings", {}).values()] or [found["drawing"]]
    assert all(isinstance(drawing, Drawing) for drawing in drawings)
    for drawing in drawings:
        require_readable(drawing)
    return found


def test_landscape():
    """One minimiser, at the closed form's value; all else strict saddles, the origin on top; every flow ends in it."""
    atlas = page("plot_landscape", CLASSES=3, UNTIL_QUIET=20)["atlas"]
    s = math.sqrt(2) * 2e-3
    c = math.log((1 - 2 * s) / s)
    assert not atlas.failing
    assert len(atlas.minimizers) == 1
    assert {p.certificate.verdict for p in atlas.points[1:]} == {ufm.PointVerdict.STRICT_SADDLE}
    assert atlas.points[0].level == pytest.approx(math.log(1 + 2 * math.exp(-c)) + 2 * s * c, rel=1e-10)
    assert atlas.points[-1].level == pytest.approx(math.log(3), rel=1e-12)
    assert atlas.leads_down == set(range(len(atlas.points)))


def test_traps():
    """A hexagon, and above it a pentagon with a class at 0, whose values docs/theory, section 4.5, names."""
    found = page("plot_traps", STARTS=12)
    best, trap = found["cell"].best, found["cell"].worst
    assert (round(best.value, 7), round(trap.value, 7)) == (0.0250389, 0.0340194)
    assert found["levels"].index == 0
    assert found["levels"].nullity == 1
    for end, corners in ((best, 6), (trap, 5)):
        x, y = end.point.W.numpy().T
        lengths = np.hypot(x, y)
        on = lengths > 1e-6 * lengths.max()
        turns = np.diff(np.sort(np.arctan2(y[on], x[on])))
        assert on.sum() == corners
        assert np.allclose(turns, 2 * np.pi / corners, atol=1e-6)


def test_imagenet_spectrum():
    """As many eigenvalues as variables, and their sum is the trace of the Hessian, from the definition of f."""
    K, n, d = 20, 7, 32
    found = page("plot_imagenet_spectrum", CLASSES=K, PER_CLASS=n, DIM=d)
    problem, levels = found["problem"], found["levels"]
    W, H = found["minimizer"].W.numpy(), found["minimizer"].H.numpy()
    z = H @ W.T
    p = np.exp(z - z.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    inner = np.array([(q * (W**2).sum(1)).sum() - ((q @ W) ** 2).sum() for q in p])  # tr W^T S W
    trace = ((1 - (p**2).sum(1)) * ((H**2).sum(1) + 1)).mean() + inner.mean()
    trace += problem.lambda_w * K * d + problem.lambda_h * K * n * d + problem.lambda_b * K
    assert levels.size == problem.num_variables == K * d + K * n * d + K
    assert levels.index == 0
    assert levels.nullity == found["rotations"]
    assert float(levels.values @ levels.multiplicities.double()) == pytest.approx(trace, rel=1e-9)


def test_minority_collapse():
    found = page("plot_minority_collapse", FEWER=(2, 20), LAMBDAS=(1e-2,))
    merged = [cell.parties[-1].merged for cell in found["cells"]]
    assert all(cell.certified for cell in found["cells"])
    assert merged == [n <= (300 + 3 * n) ** 2 * 1e-4 for n in (2, 20)] == [True, False]


def test_label_smoothing():
    """Margins are those of the formula on the page; with a small decay more smoothing is worse conditioned."""
    rows = page("plot_label_smoothing", POINTS=4)["rows"]
    for a, ratio, margin, condition in rows:
        s = ratio / 10 + a / 10
        assert margin == pytest.approx(math.log((1 - 9 * s) / s), abs=1e-9)
        assert condition >= 1
    conditions = [condition for _, ratio, _, condition in rows if ratio == rows[0][1]]
    assert conditions == sorted(conditions)
    assert conditions[-1] > 100 * conditions[0]


def test_squared_error():
    """The simplex up to the place where theory has the change, an orthogonal frame without a bias, all certified."""
    found = page("plot_squared_error", POINTS=6, CLASSES=4)
    decays, cosines, verdicts = zip(*found["rows"], strict=True)
    r = 4 * math.sqrt(10) * 5e-3
    left = [decay / (1 + decay) <= r for decay in decays]
    assert any(left)
    assert not all(left)
    assert np.allclose([c for c, simplex in zip(cosines, left, strict=True) if simplex], -1 / 3, atol=1e-7)
    assert all(-1 / 3 + 1e-3 < c < 0 for c, simplex in zip(cosines, left, strict=True) if not simplex)
    assert list(cosines)[-3:] == sorted(cosines[-3:])
    assert set(verdicts) == {ufm.PointVerdict.GLOBAL_MINIMIZER}
    assert found["free"][0] == pytest.approx(-1 / 3, abs=1e-7)
    assert found["none"][0] == pytest.approx(0, abs=1e-7)


def test_softmax_codes():
    """Four classes in space are a simplex, five stand at the distance 1; on spheres both come near it."""
    rows = page("plot_softmax_codes", CLASSES=(4, 5), STARTS=2)["rows"]
    for (_, code, known, spheres, free), distance in zip(rows, (4 / 3, 1), strict=True):
        assert known
        assert code == pytest.approx(distance, abs=1e-12)
        assert spheres == pytest.approx(distance, abs=2e-2)
        assert free <= distance + 1e-9
    assert rows[0][4] == pytest.approx(4 / 3, abs=1e-6)


def test_depth_and_rank():
    """With two factors four classes keep the frame; with four a point of rank 2 is below it (docs/theory, 12.4)."""
    cells = page("plot_depth_and_rank", CLASSES=(4,), DEPTHS=(2, 4), LAMBDAS=(2e-3,), ROUNDS=1)["cells"]
    two, four = cells
    assert (two.rank, two.excess) == (3, 0.0)
    assert four.rank == 2
    assert (round(four.value, 7), round(four.etf.value, 7)) == (0.0317281, 0.0344366)
    assert not any(cell.contradicts for cell in cells)


def test_proof():
    """The trap is proved, and above a value that is proved; more bits give narrower balls about the same value."""
    found = page("plot_proof", STARTS=8, PRECISIONS=(64, 128))
    trap, best = found["trap"], found["best"]
    assert trap.verdict == ufm.PointVerdict.LOCAL_MINIMIZER
    assert 0.0250388 < best.value[0] <= best.value[1] < 0.0340194 < trap.value[1] < 0.0340195
    assert found["radii"][1] < 1e-15 * found["radii"][0]
    assert not any(proof.refused for proof in found["proofs"])


def test_relu_network():
    """Its rows are the last layer's own numbers over those of the closed form behind a ReLU."""
    found = page("plot_relu_network", EPOCHS=3, WIDTH=16)
    comparison = found["compared"][False, "nonnegative"]
    W = comparison.point.W
    model = comparison.model
    theta = model.free.num_samples * math.sqrt(model.lambda_w * model.lambda_h) * math.sqrt(9 / (10 * 140))
    margin = math.log(9 * (1 - theta) / theta)
    ratios = {name: ratio for bias, kind, name, ratio in found["rows"] if (bias, kind) == (False, "nonnegative")}
    logits = comparison.point.H @ W.T
    own = logits.gather(1, comparison.point.labels[:, None])[:, 0]
    mean = float((own - (logits.sum(1) - own) / 9).mean())
    assert ratios["mean_margin"] == pytest.approx(mean / margin, rel=1e-6)
    assert len(found["rows"]) == 12


def test_layers_of_a_resnet():
    """The last layer is what the head sees of the model that was trained."""
    found = page("plot_layers_of_a_resnet", EPOCHS=1, WIDTH=2, PER_CLASS=10)
    before, after = found["found"].values()
    seen = validate.collect(found["model"], torch.utils.data.DataLoader(found["data"], batch_size=100))
    assert [layer.name for layer in before] == [layer.name for layer in after]
    assert after[-1].nc1 == pytest.approx(validate.neural_collapse(*seen).nc1, rel=1e-6)
    assert after[-1].nc1 != before[-1].nc1


def test_vocabulary():
    """Tokens are counted as they come next; a word is a point of the figure if it came 20 times or more."""
    found = page("plot_vocabulary", VOCABULARY=50, WORDS=3_200, EPOCHS=20, DIM=8)
    rows = found["batches"].numpy().reshape(-1, 32)
    counted = Counter(rows[:, 1:].ravel().tolist())
    before, after = ([row for row in found["rows"] if row[0] == moment] for moment in found["seen"])
    assert found["tokens"].counts.tolist() == [counted[k] for k in range(50)]
    assert [row[1] for row in after] == [counted[k] for k in range(1, 50) if counted[k] >= 20]
    assert np.mean([row[3] for row in after]) > np.mean([row[3] for row in before]) + 0.2


def test_zhu_2021():
    """The curves of every figure end where the record's page says that the runs end."""
    drawings = page("papers/plot_zhu_2021")["drawings"]
    ends = {}
    for drawing in drawings.values():
        for row in drawing.rows:
            cells = dict(zip(drawing.header, row, strict=True))
            ends[cells["run"]] = cells
    record = (EXAMPLES.parent / "results" / "README.md").read_text()
    assert len(drawings) == 6
    for run_, last in ends.items():
        if "nc1" in last and not run_.startswith("random"):
            assert f" to {last['nc1']:.3g} |" in record, run_


def test_zhou_2022():
    """Squared error ends at its least value at any d, in numpy by the singular values of the targets; cross-entropy
    in the plane ends above its best value as well."""
    found = page("papers/plot_zhou_2022", STARTS=8)["found"]
    K, n, decay = 6, 2, 2e-4
    for dim in (6, 2):
        kept = decay * math.sqrt(n) - K * n * decay**2 / 2
        least = dim * kept + (K - dim) * n / (2 * K * n)
        assert [end.value for end in found[f"squared error, d = {dim}"][1]] == pytest.approx([least] * 8, rel=1e-9)
    problem, ends = found["cross-entropy, d = 2"]
    worst = max(ends, key=lambda end: end.value)
    assert worst.value > 1.1 * min(end.value for end in ends)
    assert ufm.certify(problem, worst.point).verdict == ufm.PointVerdict.LOCAL_MINIMIZER


def test_fang_2021():
    """The small classes are one point where n_B <= N^2 lambda^2, and nowhere else."""
    found = page("papers/plot_fang_2021", MAJORITIES=(2,), CLASSES=4, POINTS=4)
    for _, ratio, cosine in found["rows"]:
        n = round(1000 / ratio)
        merged = n <= (2000 + 2 * n) ** 2 * 6e-4**2
        assert (cosine > 1 - 1e-6) == merged
        assert (ratio >= found["threshold"](2)) == merged
    assert len({cosine > 1 - 1e-6 for *_, cosine in found["rows"]}) == 2


def test_jiang_2023():
    """Six classes in the plane are a hexagon, with the features on the classifiers."""
    ((*_, distance, best, cosine),) = page("papers/plot_jiang_2023", CASES=((6, 2),), SCALES=(50.0,), STARTS=2)["rows"]
    assert best == pytest.approx(0.5)
    assert distance == pytest.approx(0.5, abs=1e-6)
    assert cosine == pytest.approx(1, abs=1e-6)


def test_garrod_keating_2024():
    found = page("papers/plot_garrod_keating_2024", CLASSES=4, DEPTHS=(2, 4), STARTS=4)["found"]
    ranks = {depth: sum(size > 1e-6 * sizes[0] for size in sizes) for depth, (sizes, *_) in found.items()}
    assert ranks == {2: 3, 4: 2}
    assert found[2][1] == pytest.approx(found[2][2], rel=1e-9)
    assert (round(found[4][1], 7), round(found[4][2], 7)) == (0.0317281, 0.0344366)


PLANTED = {  # by the test: what is changed in its script, and into what
    test_minority_collapse: ("per_class=100", "per_class=200"),
    test_label_smoothing: ("PER_CLASS**0.5", "PER_CLASS"),
    test_fang_2021: ("lambda_h=DECAY", "lambda_h=100 * DECAY"),
    test_jiang_2023: ("point.W * point.H", "point.W * -point.H"),
}


@pytest.mark.parametrize("test", PLANTED, ids=lambda test: test.__name__)
def test_a_planted_error_is_caught(test, monkeypatch):
    right, wrong = PLANTED[test]
    source = running.source
    monkeypatch.setattr(running, "source", lambda name: source(name).replace(right, wrong))
    assert wrong in running.source(f"{'papers/' * test.__name__[-1].isdigit()}plot_{test.__name__[5:]}")
    with pytest.raises(AssertionError):
        test()


def test_every_script_has_a_test():
    here = {name.removeprefix("test_") for name in globals() if name.startswith("test_")}
    assert {script.rsplit("plot_", 1)[1] for script in SCRIPTS} <= here


def test_every_section_that_a_page_cites_is_there():
    texts = {script: running.source(script).replace("\n# ", "\n") for script in SCRIPTS}
    assert not {script: wrong for script, text in texts.items() if (wrong := unresolved(text))}
    assert sum(len(cited(text)) for text in texts.values()) > 15


def test_every_paper_that_a_page_cites_is_in_the_bibliography():
    entries = set(re.findall(r"^@\w+\{(\w+),", (EXAMPLES.parent / "docs" / "references.bib").read_text(), re.M))
    texts = "".join(running.source(script) for script in SCRIPTS)
    keys = {key for found in re.findall(r":cite:[tp]:`([^`]+)`", texts) for key in found.split(",")}
    assert len(keys) > 10
    assert keys <= entries


def test_a_constant_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match="assigns SIZE 0 times"):
        run("plot_landscape", SIZE=1)


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_page_has_a_title_and_ends_in_a_figure(script):
    text = running.source(script)
    assert re.match(r'r"""\n(.+)\n(=+)\n\n', text)
    assert re.search(r"^drawings?(\[.*\])?$", text, re.M)
