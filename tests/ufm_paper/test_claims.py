"""The claims' judges: what each says of runs made by hand, and of those with an error planted."""

import dataclasses

import pytest

from tests.ufm_paper.runs import made_run
from ufm_paper import claims
from ufm_paper.claims import CLAIMS, claims_at
from ufm_paper.grid import CELLS

NARROW = {"random-mlp-4", "random-mlp-16", "random-resnet18-1", "random-resnet18-2"}


def runs_of(folder, claim, **changes):
    """The claim's cells as if trained; changes by cell, with "_" for "-"."""
    changes = {cell.replace("_", "-"): numbers for cell, numbers in changes.items()}
    return {cell: made_run(folder, cell, **changes.get(cell, {})) for cell in CLAIMS[claim].cells}


@pytest.mark.parametrize(
    "asked", [*CLAIMS.values(), *claims_at("desk").values()], ids=[*CLAIMS, *(f"{c}-desk" for c in claims_at("desk"))]
)
def test_claims_rest_on_cells_of_the_grid(asked):
    assert set(asked.cells) <= set(CELLS)
    assert len(asked.cells) == len(set(asked.cells)) >= 2
    assert all(set(cells) <= set(asked.cells) for _, cells in asked.figures.values())
    assert asked.criterion.endswith(".")


@pytest.mark.parametrize("claim", ["optimizers", "weight-decay"])
def test_collapse_needs_every_training_set_fitted_and_every_metric_fallen(tmp_path, claim):
    judge = CLAIMS[claim].judge
    assert judge(runs_of(tmp_path / "good", claim)).holds
    risen = judge(runs_of(tmp_path / "risen", claim, cifar10_sgd={"nc4": 1.5}))
    assert not risen.holds
    assert "cifar10-sgd: nc4 1 to 1.5" in risen.said
    assert risen.number == f"NC4 ends too high in 1 of {len(CLAIMS[claim].cells)} runs"
    unfitted = judge(runs_of(tmp_path / "unfitted", claim, mnist_sgd={"accuracy": 0.98}))
    assert not unfitted.holds
    assert "mnist-sgd reaches 98.00% only" in unfitted.said
    assert unfitted.number == "mnist-sgd fits 98.00% of its training set"
    assert not judge(runs_of(tmp_path / "nan", claim, mnist_sgd={"nc2": float("nan")})).holds


def test_a_fixed_frame_may_test_worse_by_two_standard_errors_and_no_more(tmp_path):
    judge = CLAIMS["fixed-etf"].judge
    frame = "cifar10_resnet18_etf_d10"  # at 90%, the standard error of a difference is 1.34% for 1,000 images
    found = judge(runs_of(tmp_path / "near", "fixed-etf", **{frame: {"test_accuracy": 0.875}}))
    assert found.holds
    assert "20.70% fewer parameters" in found.said
    assert not judge(runs_of(tmp_path / "far", "fixed-etf", **{frame: {"test_accuracy": 0.87}})).holds
    for nc1 in (1.1, float("nan")):
        assert not judge(runs_of(tmp_path / f"apart{nc1}", "fixed-etf", **{frame: {"nc1": nc1}})).holds
    sizes = {(row["model"], row["head"]): row for row in found.tables["summary"]}
    assert sizes["resnet18", "linear"]["parameters"] == 11_181_642
    assert sizes["resnet18", "etf"]["parameters"] == 8_867_542 - 10 * 10  # the frame is not learned
    assert all(sizes[model, "etf"]["fewer_memory_bytes"] > 0 for model in ("resnet18", "resnet50"))


def desk_runs(folder, claim, **changes):
    return {cell: made_run(folder, cell, **changes.get(cell, {})) for cell in claims_at("desk")[claim].cells}


@pytest.mark.parametrize(
    "planted",
    [{"nc1": 0.11}, {"nc2": 0.41}, {"nc3": 0.41}, {"nc2": float("nan")}, {"accuracy": 0.998}],
    ids=lambda planted: "-".join(planted),
)
@pytest.mark.parametrize(("claim", "cell"), [("optimizers", "mnist-adam"), ("fixed-etf", "cifar10-resnet18-etf-d10")])
def test_at_desk_scale_collapse_has_ceilings(tmp_path, monkeypatch, claim, cell, planted):
    monkeypatch.setattr(claims, "footprints", list)  # seconds, and tested above
    judge = claims_at("desk")[claim].judge
    found = judge(desk_runs(tmp_path / "good", claim))
    assert found.holds, found.said
    assert f"{cell}" in found.said
    assert not judge(desk_runs(tmp_path / "planted", claim, **{cell: planted})).holds


def test_at_desk_scale_a_frame_is_judged_by_all_test_images(tmp_path, monkeypatch):
    monkeypatch.setattr(claims, "footprints", list)
    judge = claims_at("desk")["fixed-etf"].judge
    frame = "mnist-resnet18-etf-d10"  # at 90%, the standard error of a difference is 0.42% for 10,000 images
    for accuracy, holds in ((0.892, True), (0.891, False)):
        runs = desk_runs(tmp_path / str(accuracy), "fixed-etf", **{frame: {"test_accuracy": accuracy}})
        for run in runs.values():
            object.__setattr__(run, "recipe", dataclasses.replace(run.recipe, test_per_class=None))
        assert judge(runs).holds is holds


def test_random_labels_need_collapse_exactly_where_they_are_fitted(tmp_path):
    judge = CLAIMS["random-labels"].judge
    unfit = {cell.replace("-", "_"): {"accuracy": 0.3, "nc1": 9.0, "nc2": 0.9, "nc3": 0.9} for cell in NARROW}
    found = judge(runs_of(tmp_path / "good", "random-labels", **unfit))
    assert found.holds
    assert "widths [64, 256, 1024] fit, [4, 16] do not" in found.said
    fits_apart = unfit | {"random_mlp_64": {"nc1": 9.5}}
    assert not judge(runs_of(tmp_path / "apart", "random-labels", **fits_apart)).holds
    for cell in ("random_mlp_64", "random_mlp_256"):
        undefined = unfit | {cell: {"nc1": float("nan")}}
        assert not judge(runs_of(tmp_path / cell, "random-labels", **undefined)).holds
    collapses_unfit = unfit | {"random_mlp_4": {"accuracy": 0.3, "nc1": 0.001, "nc2": 0.9, "nc3": 0.9}}
    assert not judge(runs_of(tmp_path / "unfit", "random-labels", **collapses_unfit)).holds
    assert not judge(runs_of(tmp_path / "all fit", "random-labels")).holds
