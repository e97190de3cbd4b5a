"""ufm validate: the whole table, for a run and for a Point."""

import json
import math
import re
from dataclasses import replace

import pytest
import torch

import networks
import ufm
from figures.runs.material import Material
from tests.conftest import SMALL
from ufm import Point
from ufm_cli.flags import names
from ufm_cli.main import main
from ufm_cli.trained_losses import TrainedLossFlags
from validate import Run, compare, neural_collapse


def saved(folder, K, d, per_class=2):
    problem = ufm.Problem.balanced(K, per_class, d, lambda_w=5e-3, lambda_h=2e-3, lambda_b=1e-2)
    generator = torch.Generator().manual_seed(0)
    W, H = (torch.randn(rows, d, generator=generator, dtype=torch.float64) for rows in (K, K * per_class))
    Point(W, H, torch.zeros(K).double(), problem.labels).save(folder / "p.safetensors")
    return str(folder / "p.safetensors")


def test_a_point_has_every_metric(capsys, tmp_path):
    file = saved(tmp_path, 4, 6)
    assert main(["validate", file, "--lambda-w", "5e-3", "--json", str(tmp_path / "v.json")]) == 0
    text, found = capsys.readouterr().out, json.loads((tmp_path / "v.json").read_text())
    metrics = vars(neural_collapse(Point.load(file)))
    assert found["metrics"] == pytest.approx(metrics)
    assert all(name in text for name in metrics)
    assert "one_vs_rest_w" not in text
    assert found["sampled"] == {}
    assert "ends in a global minimizer" in text
    assert found["neighbourhood"]["verdict"] == "global minimizer"


def test_a_point_that_is_not_there_is_said_to_be_no_file(capsys, tmp_path):
    assert main(["validate", str(tmp_path / "p.safetensors"), "--lambda-w", "5e-3"]) == 2
    assert re.search(r"there is no file \S*p.safetensors; ufm.Point.save writes one", capsys.readouterr().err)


def test_class_means_have_no_nc1(run_copy, capsys, tmp_path):
    """What a run keeps of each epoch: one row a class, whose variation within classes nobody can know."""
    asked = [str(run_copy.point(1)), "--lambda-w", "5e-3", "--json", str(tmp_path / "v.json")]
    assert main(["validate", *asked]) == 0
    text, found = capsys.readouterr().out, json.loads((tmp_path / "v.json").read_text())
    for name in ("nc1 ", "nc1_quotient", "nc1_worst_class", "cdnv"):
        assert re.search(rf"^{name}.*not defined: class means only", text, re.M), name
    assert re.search(r"^NC1 within-class variability  .* not defined  ", text, re.M)
    assert "every class has one row" in text
    assert all(found["metrics"][name] is None for name in ("nc1", "nc1_quotient", "nc1_worst_class", "cdnv"))
    assert found["metrics"]["nc2"] > 0
    assert {row["name"]: row["network"] for row in found["comparison"]["rows"]}["nc1"] is None


def test_fewer_dimensions_than_a_simplex_needs(capsys, tmp_path):
    assert main(["validate", saved(tmp_path, 5, 2)]) == 0
    text = capsys.readouterr().out
    assert "one_vs_rest_w" in text
    assert "best_is_known" in text


def test_what_was_sampled_is_said(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr("validate.neural_collapse", lambda point: neural_collapse(point, rows=4))
    assert main(["validate", saved(tmp_path, 12, 20), "--json", str(tmp_path / "v.json")]) == 0
    text, found = capsys.readouterr().out, json.loads((tmp_path / "v.json").read_text())
    assert "±" in text
    assert "or more" in text
    assert found["sampled"]["cdnv"] > 0


def test_a_layer_too_large_to_descend_over_is_not_covered(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr("validate.theory.locate.VARIABLES", 10)
    assert main(["validate", saved(tmp_path, 4, 6), "--lambda-w", "5e-3", "--json", str(tmp_path / "v.json")]) == 0
    assert "the critical point nearby: not covered (52 variables" in capsys.readouterr().out
    assert json.loads((tmp_path / "v.json").read_text())["neighbourhood"] is None


def test_a_run_has_every_metric_of_its_last_point(run_copy, capsys):
    assert main(["validate", str(run_copy.path)]) == 0
    found = json.loads(Run.open(run_copy.path).analysis.read_text())
    assert found["metrics"] == pytest.approx(vars(neural_collapse(Point.load(run_copy.last_point))))
    assert found["neighbourhood"]["spread"] > 0
    assert "a descent from the network's class means ends in" in capsys.readouterr().out


def test_theorems_at_the_points_own_problem(capsys, tmp_path, monkeypatch):
    file, out = saved(tmp_path, 4, 6), tmp_path / "v.json"
    assert main(["validate", file, "--lambda-w", "5e-3", "--json", str(out)]) == 0
    assert json.loads(out.read_text())["theorems"] is None
    asked = ["validate", file, "--lambda-w", "5e-3", "--lambda-h", "1e-3", "--theorems", "--json", str(out)]
    assert main(asked) == 0
    assert "K = 4, N = 8, d = 6, lambda_w = 0.005, lambda_h = 0.001" in capsys.readouterr().out
    found = json.loads(out.read_text())["theorems"]
    assert found["problem"] == json.loads(out.read_text())["comparison"]["model"]
    planted = ufm.Verdict("planted", "1 < 0", "nowhere", "fails", 1.0, 0.0, "")
    monkeypatch.setattr(ufm, "verify", lambda *given, **asked: [planted])
    assert main(asked) == 1


def test_what_agrees_by_construction_is_said(capsys, tmp_path):
    file, said = saved(tmp_path, 4, 6), "W : H (agrees by construction)"
    assert main(["validate", file, "--lambda-w", "5e-3"]) == 0
    assert said in capsys.readouterr().out
    assert main(["validate", file, "--lambda-w", "5e-3", "--lambda-h", "1e-3"]) == 0
    assert said not in capsys.readouterr().out


def test_a_network_whose_features_are_all_equal_is_measured_and_not_covered(run_copy, capsys):
    point = Point.load(run_copy.last_point)
    Point(point.W, 0 * point.H, point.b, point.labels).save(run_copy.last_point)
    assert main(["validate", str(run_copy.path)]) == 0
    reason = "W is zero or all features are equal: they imply no feature decay"
    assert f"theory: not covered ({reason})\n" in capsys.readouterr().out  # no flag is named that a run does not take
    assert json.loads(run_copy.analysis.read_text())["comparison"] is None


LOSSES = {
    "mse": ((), ufm.losses.MeanSquare(), "mse, lambda_w"),
    "bce": ((), ufm.losses.BinaryCrossEntropy(), "bce, lambda_w"),
    "label-smoothing": (("--smoothing", "0.2"), ufm.losses.LabelSmoothing(0.2), "label-smoothing, smoothing 0.2,"),
    "focal": (("--focusing", "1"), ufm.losses.Focal(1.0), "focal, focusing 1, lambda_w"),
    "logit-adjusted": (
        ("--offsets", *"0100"),
        ufm.losses.LogitAdjusted([0, 1, 0, 0]),
        "offsets 0 1 0 0, scales 1 1 1 1,",
    ),
}
COUNTS = (6, 3, 2, 1)
OF_TRAINING = {  # flags, to the loss that they mean for these counts, written out
    "rescaled mse": (
        ["mse", "--own-weight", "5", "--own-target", "3"],
        ufm.losses.MeanSquare(weight=5.0, target=3.0),
    ),
    "tau": (
        ["logit-adjusted", "--tau", "0.5"],
        ufm.losses.LogitAdjusted([math.log(n / 12) / 2 for n in COUNTS]),
    ),
    "balanced softmax": (["balanced-softmax"], ufm.losses.LogitAdjusted([math.log(n) for n in COUNTS])),
    "balanced weights": (
        ["focal", "--focusing", "1", "--class-weights", "balanced"],
        ufm.losses.Weighted(ufm.losses.Focal(1.0), [0.5, 1.0, 1.5, 3.0]),
    ),
    "weights and offsets": (
        ["logit-adjusted", "--offsets", *"0100", "--class-weights", *"1234"],
        ufm.losses.Weighted(ufm.losses.LogitAdjusted([0, 1, 0, 0]), [1, 2, 3, 4]),
    ),
    "dot-regression": (
        ["dot-regression", "--own-target", "2", "--classifier", "fixed", "--no-bias"],
        ufm.losses.DotRegression(2.0),
    ),
}


def imbalanced(folder):
    labels = torch.arange(4).repeat_interleave(torch.tensor(COUNTS))
    generator = torch.Generator().manual_seed(0)
    W, H = (torch.randn(rows, 6, generator=generator, dtype=torch.float64) for rows in (4, len(labels)))
    Point(W, H, torch.zeros(4).double(), labels).save(folder / "p.safetensors")
    return str(folder / "p.safetensors")


@pytest.mark.parametrize("name", OF_TRAINING)
def test_the_flags_of_training_mean_what_training_does_with_the_points_counts(name, capsys, tmp_path):
    flags, loss = OF_TRAINING[name]
    file, out, fixed = imbalanced(tmp_path), tmp_path / "v.json", "fixed" in flags
    decays = ["--lambda-h", "1e-2", *([] if fixed else ["--lambda-w", "2e-2"])]
    assert main(["validate", file, *decays, "--loss", *flags, "--json", str(out)]) == 0
    settings = {"classifier": "fixed", "bias": False} if fixed else {"lambda_w": 2e-2}
    expected = compare(Point.load(file), lambda_h=1e-2, loss=loss, **settings)
    assert json.loads(out.read_text())["comparison"] == json.loads(json.dumps(expected.plain()))


REFUSED = {
    "tau beside offsets": (["logit-adjusted", "--offsets", *"0100", "--tau", "1"], "--offsets says what it would"),
    "weights of dot-regression": (
        ["dot-regression", "--classifier", "fixed", "--no-bias", "--class-weights", "balanced"],
        "--class-weights would do nothing here: --loss dot-regression does not have it",
    ),
    "dot-regression of a free W": (["dot-regression"], "pass --classifier fixed and --no-bias"),
    "a weight too few": (
        ["bce", "--class-weights", *"123"],
        "--class-weights must be one for each of 4 classes",
    ),
    "mixup": (["bce", "--mixup", "1"], "--mixup"),
    "an unknown loss": (["hinge"], "unknown loss 'hinge'; choose one of: cross-entropy"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_flags_that_a_loss_cannot_have_are_refused_in_a_line(name, capsys, tmp_path):
    flags, said = REFUSED[name]
    decays = ["--lambda-h", "1e-2", *([] if "fixed" in flags else ["--lambda-w", "2e-2"])]
    assert main(["validate", imbalanced(tmp_path), *decays, "--loss", *flags]) == 2
    errors = capsys.readouterr().err
    assert said in errors
    assert errors.count("\n") == 1


def test_every_setting_of_a_training_loss_is_a_flag(capsys, tmp_path):
    """A setting that a new loss brings is one without a word here."""
    settings = {name for loss in networks.optim.losses.LOSSES.values() for name in loss.parameters}
    assert settings <= names(TrainedLossFlags)
    assert set(networks.optim.losses.LOSSES) <= set(TrainedLossFlags().flags)


@pytest.mark.parametrize("name", LOSSES)
def test_a_point_is_compared_under_the_loss_that_is_asked_for(name, capsys, tmp_path):
    flags, loss, said = LOSSES[name]
    file, out = saved(tmp_path, 4, 6), tmp_path / "v.json"
    asked = [file, "--lambda-w", "5e-3", "--lambda-h", "1e-3", "--loss", name, *flags, "--json", str(out)]
    assert main(["validate", *asked]) == 0
    text, found = capsys.readouterr().out, json.loads(out.read_text())
    assert said in " ".join(text.split())
    assert f"mean loss: {name}" in text
    expected = compare(Point.load(file), lambda_w=5e-3, lambda_h=1e-3, loss=loss)
    assert found["comparison"] == json.loads(json.dumps(expected.plain()))
    assert main(["show", str(out)]) == 0
    assert said in " ".join(capsys.readouterr().out.split())


def test_targets_of_the_classes_are_taken_and_other_types_refused(capsys, tmp_path):
    file, targets = saved(tmp_path, 4, 6), tmp_path / "targets.csv"
    asked = ["validate", file, "--lambda-w", "5e-3", "--loss", "soft-cross-entropy", "--targets", str(targets)]
    rows = ["1,0,0,0", "0,2,0,0", "0,0,3,0", "0,0,0,4"]
    targets.write_text("\n".join(rows))
    assert main(asked) == 0
    assert "mean loss: soft-cross-entropy" in capsys.readouterr().out
    targets.write_text("\n".join(rows[:3]))
    assert main(asked) == 2
    assert "has 3 types of sample and 4 classes" in capsys.readouterr().err


def test_theorems_under_another_loss(capsys, tmp_path):
    asked = ["validate", saved(tmp_path, 3, 4), "--lambda-w", "5e-3", "--lambda-h", "1e-3", "--loss", "mse"]
    assert main([*asked, "--theorems"]) == 0
    text = capsys.readouterr().out
    assert "d = 4, lambda_w = 0.005, lambda_h = 0.001, lambda_b = 0.005, mse:" in text
    assert "needs cross-entropy" in text


def test_flags_of_a_loss_that_would_do_nothing_are_refused(run_copy, capsys, tmp_path):
    file = saved(tmp_path, 4, 6)
    for asked, reason in [
        ([str(run_copy.path), "--loss", "mse"], "a run's config.json says how it was trained"),
        ([file, "--loss", "mse"], "without --lambda-w nothing is compared"),
        ([file, "--lambda-w", "5e-3", "--focusing", "1"], "--loss cross-entropy does not have it"),
        ([file, "--lambda-w", "5e-3", "--loss", "hinge"], "unknown loss 'hinge'"),
    ]:
        assert main(["validate", *asked]) == 2
        assert reason in capsys.readouterr().err


@pytest.mark.parametrize(("name", "value"), [("imbalance", -1), ("milestones", 3), ("lr", None)])
def test_a_recipe_of_another_type_is_refused_in_one_line(name, value, run_copy, capsys):
    run_copy.write_config(run_copy.config | {"recipe": run_copy.config["recipe"] | {name: value}})
    status = main(["validate", str(run_copy.path)])
    errors = capsys.readouterr().err
    assert status == 2
    assert errors.count("\n") == 1
    assert f"config.json holds no recipe ({name} must be" in errors


def test_a_run_behind_a_relu_is_compared_with_both_models(run_copy, capsys):
    assert main(["validate", str(run_copy.path)]) == 0
    printed = capsys.readouterr().out
    assert "beside network: H >= 0, lambda_w" in printed
    assert re.search(r"nearer: free features in \d+, nonnegative features in \d+ of \d+ quantities", printed)
    found = json.loads(Run.open(run_copy.path).analysis.read_text())["behind_a_relu"]
    assert found["comparison"]["model"]["model"] == "nonnegative"
    assert len(found["nearer"]) > 5
    assert main(["show", str(run_copy.path / "validation.json")]) == 0
    assert "nearer: free features in" in capsys.readouterr().out


def test_features_of_either_sign_are_no_relus(run_copy, capsys):
    point = Point.load(run_copy.last_point)
    Point(point.W, point.H - 0.1, point.b + 0.1 * point.W.sum(1), point.labels).save(run_copy.last_point)
    assert main(["validate", str(run_copy.path)]) == 0
    assert "H >= 0" not in capsys.readouterr().out
    assert json.loads(Run.open(run_copy.path).analysis.read_text())["behind_a_relu"] is None


@pytest.fixture(scope="module")
def normalised(tmp_path_factory):
    """A run with unit rows and features of one norm, hardly trained."""
    runs = tmp_path_factory.mktemp("runs")
    recipe = replace(SMALL, head="normalized", temperature=0.2, bias=False, epochs=1)
    return networks.train(recipe, runs / "cosines").path


def test_a_run_with_a_normalised_head_is_compared_on_spheres(normalised, capsys):
    assert main(["validate", str(normalised)]) == 0
    printed = capsys.readouterr().out
    assert "beside network: unit rows of W and H, scale = 5" in printed
    assert "not covered" not in printed
    found = json.loads((normalised / "validation.json").read_text())
    assert found["comparison"] is None
    rows = {row["name"]: row for row in found["on_spheres"]["rows"]}
    assert rows["objective"]["network"] == pytest.approx(found["checkpoints"][-1]["metrics"]["loss"], rel=1e-5)
    assert rows["gap"]["network"] >= rows["objective"]["network"] - rows["objective"]["theory"] > 0
    assert main(["show", str(normalised / "validation.json")]) == 0
    assert capsys.readouterr().out.split() == printed.split()


def test_theorems_on_spheres(normalised, capsys):
    assert main(["validate", str(normalised), "--theorems"]) == 0
    assert "spheres landscape" in capsys.readouterr().out


def test_a_normalised_head_with_a_bias_is_not_covered(tmp_path, capsys):
    networks.train(replace(SMALL, head="normalized", epochs=1), tmp_path / "cosines")
    assert main(["validate", str(tmp_path / "cosines")]) == 0
    assert "theory: not covered (the head has a bias" in capsys.readouterr().out


def test_a_feature_without_direction_is_not_covered_on_spheres(tmp_path, capsys):
    """A ReLU may leave none of a feature's entries: the rest of the run is measured and drawn all the same."""
    recipe = replace(SMALL, head="projected", bias=False, epochs=1)
    run = networks.train(recipe, tmp_path / "dead")
    point = Point.load(run.last_point)
    replace(point, H=torch.cat([0 * point.H[:1], point.H[1:]])).save(run.last_point)
    reason = "the features are to have one length, and theirs are from 0"
    assert main(["validate", str(run.path)]) == 0
    assert f"theory: not covered ({reason}" in capsys.readouterr().out
    assert Material(run).not_covered.startswith(reason)  # what figures and report are made of


def test_a_point_of_a_fixed_classifier(capsys, tmp_path):
    file = saved(tmp_path, 4, 6)
    assert (
        main(["validate", file, "--classifier", "fixed", "--lambda-h", "1e-3", "--json", str(tmp_path / "v.json")]) == 0
    )
    printed = capsys.readouterr().out
    assert "beside network: W fixed, lambda_h = 0.001" in printed
    assert "the critical point nearby: not covered" in printed
    assert main(["show", str(tmp_path / "v.json")]) == 0
    assert "W fixed" in capsys.readouterr().out
    for flags, words in (
        (["--classifier", "fixed", "--lambda-w", "1"], "--lambda-w would do nothing"),
        (["--features", "nonnegative"], "--features would do nothing"),
        (["--features", "nonnegative", "--lambda-w", "1e-3"], "the features must be >= 0"),
    ):
        assert main(["validate", file, *flags]) == 2
        assert words in capsys.readouterr().err
