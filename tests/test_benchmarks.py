"""What the benchmarks' parts do; how fast anything is, no test says."""

import sys
from types import SimpleNamespace

import pytest
import torch

import networks
import ufm
from benchmarks import __main__ as front
from benchmarks import before, growth, metrics, timing
from tests.cases import PROBLEMS, autograd_gradient, autograd_hessian, flat, random_point
from validate import neural_collapse

PROBLEM = PROBLEMS["balanced"]
BENCH = 'needs pip install -e ".[bench]"'


def test_a_ratio_above_one_means_that_ours_is_faster():
    assert timing.Row("task", "ours", 2.0, "peer", 6.0).ratio == 3.0


def test_interleaved_takes_turns_and_keeps_the_least(monkeypatch):
    clock, calls = [0.0], []
    monkeypatch.setattr(timing, "time", SimpleNamespace(perf_counter=lambda: clock[0]))

    def spending(name: str, *durations: float):
        left = iter(durations)

        def work():
            calls.append(name)
            clock[0] += next(left)

        return work

    # The first of each is to warm up.
    least = timing.interleaved(spending("ours", 0.5, 3, 1, 2), spending("peer", 0.5, 7, 6, 8), repeats=3)
    assert least == (1, 6)
    assert calls == ["ours", "peer"] * 4


@pytest.fixture
def minimize():
    pytest.importorskip("torchmin", reason=BENCH)
    from benchmarks import minimize

    return minimize


@pytest.fixture
def watch(minimize):
    return minimize.Watch(PROBLEM.landscape())


def relative(point: ufm.Point) -> float:
    """|gradient| by autograd over sqrt(4 rho f), in the coordinates in which both decays are rho."""
    gradient, (K, d, N) = autograd_gradient(PROBLEM, point), (PROBLEM.num_classes, PROBLEM.dim, PROBLEM.num_samples)
    units = torch.tensor([1 / PROBLEM.stretch, PROBLEM.stretch, 1.0], dtype=torch.float64)
    even = gradient * torch.repeat_interleave(units, torch.tensor([K * d, N * d, K]))
    return float(even.norm() / (4 * PROBLEM.ridge * PROBLEM.objective(point)).sqrt())


def test_watch_measures_and_remembers_the_best(watch):
    points = [random_point(PROBLEM, seed=1, scale=scale) for scale in (1.0, 0.01, 2.0)]
    for point in points:
        value, gradient = watch(flat(PROBLEM, point))
        assert float(value) == pytest.approx(float(PROBLEM.objective(point)), rel=1e-14)
        torch.testing.assert_close(gradient, autograd_gradient(PROBLEM, point), rtol=1e-12, atol=1e-15)
    assert watch.best == pytest.approx(relative(points[1]), rel=1e-12)
    assert watch.best < min(relative(points[0]), relative(points[2]))


def test_watch_stops_at_its_target(minimize, watch):
    x = flat(PROBLEM, ufm.global_minimizer(PROBLEM))
    with pytest.raises(minimize._Enough):
        watch(x)
    assert watch.best <= minimize.TARGET


def test_watch_stops_at_its_limit(minimize, watch, monkeypatch):
    monkeypatch.setattr(minimize, "LIMIT", -1.0)
    with pytest.raises(minimize._Enough):
        watch(flat(PROBLEM, random_point(PROBLEM)))
    assert watch.best > minimize.TARGET


def test_fused_objective_is_differentiated_as_autograd_does(minimize, watch):
    point = random_point(PROBLEM)
    x = flat(PROBLEM, point).requires_grad_()
    (3 * minimize.FusedObjective.apply(x, watch)).backward()
    torch.testing.assert_close(x.grad, 3 * autograd_gradient(PROBLEM, point), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", ["scipy L-BFGS-B", "torch.optim.LBFGS", "pytorch-minimize l-bfgs"])
def test_every_peer_reaches_the_target(minimize, name):
    """On a small problem, none is held back by a tolerance of its own."""
    _, reached = minimize._theirs(PROBLEM, minimize.PEERS[name])
    assert reached <= 1.1 * minimize.TARGET  # or where its line search gets stuck


def test_curvlinops_is_given_the_same_hessian():
    pytest.importorskip("curvlinops", reason=BENCH)
    from benchmarks.spectra import curvlinops_top

    problem = PROBLEMS["no bias"]
    point = problem.expand(ufm.global_minimizer(problem))
    top = float(torch.linalg.eigvalsh(autograd_hessian(problem, point))[-1])
    assert curvlinops_top(problem, point) == pytest.approx(top, rel=1e-9)


def test_the_loop_over_samples_has_the_same_nc1():
    point, labels = metrics.draw(4, 6, 30)
    expected = neural_collapse(point, labels).nc1
    assert metrics.loop_over_samples(point.double(), labels) == pytest.approx(expected, rel=1e-10)
    for ours in metrics.OURS.values():
        assert ours(point, labels) == pytest.approx(expected, rel=1e-10)


def test_metrics_are_set_beside_their_peers():
    rows = [*metrics.against_products(3, 5, 30, repeats=1), *metrics.against_peers(3, 5, 30)]
    assert [row.peer.split(",")[0] for row in rows][:2] == ["one N x d x d product"] * 2
    assert {row.ours for row in rows} == {"neural_collapse", "NeuralCollapseMetric"}
    assert all(row.ours_seconds > 0 for row in rows)


def test_the_public_formula_is_nc1_of_equal_classes():
    """Of unequal ones its global mean, that of the class means, gives another number."""
    row = metrics.against_public(3, 5, 600)
    assert row.peer == "public formula"
    assert float(row.note.split()[-1]) < 1e-9
    point, labels = metrics.draw(3, 5, 600)
    some = torch.cat([torch.arange(30), torch.arange(30, 600, 3)])
    few = ufm.Point(point.W, point.H[some], point.b)
    assert metrics.public_formula(few, labels[some]) != pytest.approx(neural_collapse(few, labels[some]).nc1, rel=1e-3)


def test_the_vocabulary_reports_memory_and_errors():
    ours, floor, peak, errors = metrics._vocabulary(5000, 4, 10_000, torch.get_num_threads())
    assert ours > 0 < floor
    assert peak > 10_000_000
    assert 0 < errors["cdnv"] < 0.1


@pytest.mark.parametrize(("module", "name"), [("torchmin", "minimize"), ("curvlinops", "spectra")])
def test_a_missing_peer_is_named_with_the_remedy(capsys, monkeypatch, module, name):
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.delitem(sys.modules, f"benchmarks.{name}", raising=False)
    with pytest.raises(SystemExit) as stop:
        front.main([name])
    assert stop.value.code == 2
    assert capsys.readouterr().err == f'benchmarks: no module {module}; pip install -e ".[bench]"\n'


def test_an_unknown_benchmark_is_refused(capsys):
    with pytest.raises(SystemExit) as stop:
        front.main(["spectre"])
    assert stop.value.code == 2
    assert "choose of objective, minimize, spectra, metrics" in capsys.readouterr().err


def test_all_benchmarks_print_a_table_and_write_the_page(capsys, monkeypatch, tmp_path):
    row = timing.Row("a task", "us", 2.0, "them", 6.0, "the same")
    scripts = {name: SimpleNamespace(rows=lambda: iter([row])) for name in front.SCRIPTS}
    for name, script in scripts.items():
        monkeypatch.setitem(sys.modules, f"benchmarks.{name}", script)
    monkeypatch.setattr(front, "RESULTS", tmp_path / "results.md")
    front.main(["objective"])
    assert not front.RESULTS.exists()
    front.main(["--threads", str(torch.get_num_threads())])
    assert capsys.readouterr().out.count("a task") == 1 + len(scripts)
    page = front.RESULTS.read_text().splitlines()
    assert page[0] == "# Benchmarks"
    assert page.count("| a task | us | 2 | them | 6 | 3 | the same |") == len(scripts)


def test_the_plain_loop_and_ours_train_the_same_model_on_the_same_images():
    """Without augmentation and in one batch both take the same step."""
    from benchmarks import training

    recipe = networks.preset("paper-sgd", networks.Recipe(model="resnet18", width=4, bias=False))
    images = training.random_images(40)
    ours, plain = training.Ours(recipe, images), training.Plain(recipe, images, augmented=False)
    assert ours.epoch() == pytest.approx(plain.epoch(), rel=1e-5)
    for mine, theirs in zip(ours.model.parameters(), plain.model.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-5)
    metrics = ours.epoch_and_metrics()
    assert {"nc1", "accuracy", "test_accuracy"} <= set(metrics)


def test_the_roofline_counts_what_sees_no_padding():
    """By hand: a one for each pixel and tap, so that a convolution's outputs sum to the number of pairs."""
    from benchmarks import roofline

    for kernel, stride, padding, size in [(3, 1, 1, 1), (3, 1, 1, 2), (3, 2, 1, 4), (7, 2, 3, 32), (1, 2, 0, 8)]:
        shape = roofline.Shape((5, 7), (kernel,) * 2, (stride,) * 2, (padding,) * 2, (size, size), passes=3)
        ones = torch.ones(1, 1, size, size), torch.ones(1, 1, kernel, kernel)
        pairs = torch.nn.functional.conv2d(*ones, stride=stride, padding=padding).sum()
        assert shape.operations() == 3 * 2 * roofline.SAMPLES * 5 * 7 * int(pairs)


def test_the_roofline_sees_every_convolution():
    from benchmarks import roofline

    model = networks.build_model("resnet18", 10, image_shape=(3, 32, 32), width=4)
    shapes = roofline.shapes_of(model, torch.zeros(2, 3, 32, 32))
    assert sum(shapes.values()) == 20
    assert [shape.passes for shape in shapes] == [2] + [3] * (len(shapes) - 1)
    assert shapes[roofline.Shape((32, 32), (3, 3), (1, 1), (1, 1), (1, 1), 3)] == 3
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_a_sweep_is_set_beside_the_loop_and_ends_where_it_does():
    from benchmarks import sweep

    rows = list(sweep.rows(18, 3))
    assert [row.task.split(",")[0] for row in rows] == ["minimise", "minimise"]
    assert all(float(row.note.split()[-1]) < 1e-9 for row in rows)
    assert {problem.num_classes for problem in sweep.draw(18)} == set(range(2, 11))


def test_a_cluster_is_set_beside_this_process(monkeypatch):
    """The cluster is this process here; a real one is in tests/ufm_cli/test_dask.py."""
    from contextlib import nullcontext

    from benchmarks import cluster

    monkeypatch.setattr(cluster, "MAP", cluster.Grid((3,), (1, 2), (1e-2,), starts=2))
    monkeypatch.setattr(cluster, "cluster", lambda number: nullcontext(None))
    one, two = cluster.rows()
    assert (one.ours, two.ours, two.peer) == ("1 worker", "2 workers", "this process")
    assert one.note.startswith("the same file; a task: ")
    found = iter([(1.0, b"here"), (1.0, b"there"), (1.0, b"here")])
    monkeypatch.setattr(cluster, "surveyed", lambda: next(found))
    assert [row.note.split(";")[0] for row in cluster.rows()] == ["ANOTHER FILE", "the same file"]


def test_tasks_beside_another_revision_are_paired_by_the_least_of_their_times(monkeypatch):
    taken = iter([{"a": 3.0}, {"a": 8.0}, {"a": 2.0}, {"a": 9.0}, {"a": 4.0}, {"a": 7.0}])
    monkeypatch.setattr(before.subprocess, "run", lambda *_, **__: SimpleNamespace(returncode=0, stdout=b""))
    monkeypatch.setattr(before, "_times", lambda house: next(taken))
    (row,) = before.rows("HEAD~1")
    assert (row.ours_seconds, row.peer_seconds) == (2.0, 7.0)
    assert row.note == "0.29 of it"


def test_a_revision_that_git_does_not_have_is_refused_in_one_line(monkeypatch, capsys):
    monkeypatch.setattr(before.subprocess, "run", lambda *_, **__: SimpleNamespace(returncode=128, stdout=b""))
    monkeypatch.setattr("sys.argv", ["before", "no-such-revision"])
    with pytest.raises(SystemExit) as stop:
        before.main()
    assert stop.value.code == 2
    assert capsys.readouterr().err == (
        "benchmarks: git has no revision 'no-such-revision' here; name one that git log lists\n"
    )


def test_growth_tells_what_is_finished_from_what_was_begun(tmp_path):
    growth.search(tmp_path, "K = 3")
    (finished,) = growth.rows(tmp_path)
    assert finished["state"] == "finished"
    assert finished["by rank"] == [1, 2, 1]  # docs/theory, section 7.2
    assert (finished["points"], finished["not 1"], finished["undecided"]) == (4, 0, 0)
    assert finished["cpu_s"] > 0
    (tmp_path / "K = 3.done.json").unlink()
    (begun,) = growth.rows(tmp_path)
    assert begun["state"] == "begun"
    assert begun["by rank"] == [1, 2, 1]
    assert "sums" not in begun
    drawing = growth.growth_figure([finished, begun])
    faces = [line.get_markerfacecolor() for line in drawing.figure.axes[0].lines if line.get_marker() == "o"]
    assert faces == ["C0", "white"]
    assert [row[:5] for row in drawing.rows] == [["K = 3", 3, state, 4, "1 2 1"] for state in ("finished", "begun")]
    assert [row[5] for row in drawing.rows] == [finished["sums"], ""]


def test_the_tally_goes_on_from_the_processes_before(tmp_path):
    growth.write_json(tmp_path / "t.json", {"cpu": 1e6, "peak": 1e9})
    tally = growth.Tally(tmp_path / "t.json")
    tally.write()
    assert growth.Tally(tmp_path / "t.json").before["cpu"] >= 1e6
    assert tally.now()["peak"] == 1e9
