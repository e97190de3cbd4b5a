"""A quantity a file: each states its formula and its source, and one pass over the deviations serves all of them."""

import importlib
import math
import pkgutil
import re

import pytest
import torch

from tests.cases import PROBLEMS, random_point
from ufm import Point
from validate import batch_neural_collapse, metrics
from validate.metrics.cdnv import cdnv
from validate.metrics.effective_rank import effective_rank
from validate.metrics.equinorm import equinorm
from validate.metrics.nc1 import nc1, nc1_quotient, nc1_worst_class
from validate.metrics.nc2 import nc2
from validate.metrics.nc3 import nc3, self_duality
from validate.metrics.nc4 import nc4
from validate.metrics.nearest_center import NearestCenter
from validate.statistics.classes import class_statistics
from validate.statistics.pairs import Pairs

# These put quantities together, say which of them are meant, or write their formulas out again.
ASSEMBLED = ("neural_collapse", "per_class", "generalized", "last_layer", "definitions", "formulas")
QUANTITIES = [module.name for module in pkgutil.iter_modules(metrics.__path__) if module.name not in ASSEMBLED]


@pytest.mark.parametrize("name", QUANTITIES)
def test_a_file_begins_with_its_formula_and_names_its_source(name):
    module = importlib.import_module(f"validate.metrics.{name}")
    assert re.search(r"[|/]", module.__doc__)  # a norm or a ratio
    own = [thing for thing in vars(module).values() if getattr(thing, "__module__", None) == module.__name__]
    documented = [thing.__doc__ for thing in own if callable(thing) and not thing.__name__.startswith("_")]
    assert all(documented)
    assert any(re.search(r"Source: .*\d{4}", doc) for doc in documented)


class Counted:
    """Batches that count how often they are passed over."""

    def __init__(self, *batch: torch.Tensor):
        self.batch, self.passes = batch, 0

    def __iter__(self):
        self.passes += 1
        yield self.batch


def test_one_pass_over_deviations_serves_nc1_and_the_nearest_centre():
    problem = PROBLEMS["balanced"]
    point = random_point(problem)
    batches = Counted(point.H, problem.labels)
    found = batch_neural_collapse(batches, point.W, point.b)
    assert batches.passes == 2  # one for the means
    assert found.nc1 > 0
    assert found.nearest_center_disagreement > 0


@pytest.mark.parametrize("scale", [0.0, 1.0])
def test_the_corners_of_a_square_by_hand(scale):
    """Means +-(1, 0) with deviations +-(0, s): tr Sigma_W = s^2, tr Sigma_B = 1, and W is orthogonal to the means."""
    H = torch.tensor([[1, scale], [1, -scale], [-1, scale], [-1, -scale]], dtype=torch.float64)
    W, b = torch.tensor([[0.0, 2], [0, -2]], dtype=torch.float64), torch.tensor([3.0, 4], dtype=torch.float64)
    point, labels = Point(W, H, b), torch.tensor([0, 0, 1, 1])
    statistics = class_statistics(point, labels)
    nearest = NearestCenter(statistics, W, b, rows=2)
    whitened = statistics.within.whitened(statistics.between, 4, nearest)
    assert nc1(statistics, whitened) == 0
    assert nc1_quotient(statistics) == nc1_worst_class(statistics) == scale**2
    assert cdnv(statistics, rows=2) == scale**2 / 4
    assert nc2(Pairs(statistics.centred, 2)) == pytest.approx(0, abs=1e-15)
    assert nc2(Pairs(W, 2)) == pytest.approx(0, abs=1e-15)
    assert math.isnan(nc3(Pairs(W, 2, statistics.centred)))
    assert self_duality(W, statistics.centred) == pytest.approx(math.sqrt(2))
    assert nc4(W, b, statistics.global_mean) == 5
    assert equinorm(W.norm(dim=1)) == 0
    assert effective_rank(statistics.between) == pytest.approx(1)
    assert nearest.by_class.tolist() == ([2, 0] if scale == 0 else [1, 1])


def test_without_samples_or_a_classifier_nothing_is_judged():
    problem = PROBLEMS["balanced"]
    point = random_point(problem)
    statistics = class_statistics(point, problem.labels)
    silent = NearestCenter(statistics, None, None, rows=10)
    statistics.within.whitened(statistics.between, problem.num_samples, silent)
    for nearest in (silent, NearestCenter(statistics, point.W, point.b, rows=10)):
        assert math.isnan(nearest.disagreement)
        assert nearest.by_class is None
