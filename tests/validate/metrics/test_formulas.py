"""Every metric that a notebook shows has its formula, which is sound mathematics."""

from dataclasses import fields

import html5lib
import pytest

import ufm
import validate
from ufm.results.table import mathml
from validate.metrics.formulas import FORMULAS, OF_LAYERS

MATH = "{http://www.w3.org/1998/Math/MathML}math"
WORDS = {"best", "best_is_known", "loss", "accuracy"}  # which are no formula


@pytest.mark.parametrize("kind", [validate.NeuralCollapse, validate.GeneralizedCollapse, validate.LastLayer])
def test_every_field_has_a_formula(kind):
    assert {one.name for one in fields(kind)} <= set(FORMULAS) | WORDS


@pytest.mark.parametrize("name", OF_LAYERS)
def test_no_command_is_left_in_a_formula(name):
    assert "\\" not in mathml(OF_LAYERS[name])


def test_notebook_shows_a_formula_a_metric():
    problem = ufm.Problem.balanced(num_classes=3, per_class=2, dim=3, lambda_w=5e-3, lambda_h=5e-3, lambda_b=1e-2)
    found = validate.neural_collapse(ufm.global_minimizer(problem), problem.labels)
    page = html5lib.parse(found._repr_html_())
    assert len(list(page.iter(MATH))) == len(fields(found))
    frame = found.to_pandas().set_index("field")["value"]
    assert frame["nc2"] == found.nc2
    assert frame["rank"] == found.rank == 2
