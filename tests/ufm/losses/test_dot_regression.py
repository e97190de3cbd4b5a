"""Dot-regression: parts that agree, a conjugate against its own definition, and no class seen but the own."""

import numpy as np
import pytest
import scipy.optimize
import torch

import ufm
from ufm import InputError
from ufm.losses import DotRegression, of_plain


def test_its_parts_agree():
    assert ufm.check_loss(DotRegression(1.7), verbose=False).holds


@pytest.mark.parametrize("slope", [-1.0, -0.2, 0.0, 0.7])
def test_the_conjugate_is_the_supremum(slope):
    """sup over z of u z_1 - l(z), by a search along z_1; with a slope elsewhere there is none."""
    loss, y = DotRegression(1.7), torch.tensor([1])
    z = lambda value: torch.tensor([[0.3, float(value), -2.0]], dtype=torch.float64)  # noqa: E731
    found = scipy.optimize.minimize_scalar(lambda v: float(loss.values(z(v), y)[0]) - slope * v)
    u = torch.tensor([[0.0, slope, 0.0]], dtype=torch.float64)
    assert float(loss.negative_conjugate(u, y)[0]) == pytest.approx(found.fun, abs=1e-9)
    assert float(loss.negative_conjugate(u + torch.tensor([0.0, 0.0, 0.1]), y)[0]) == -np.inf


def test_it_comes_back_from_plain_data():
    loss = DotRegression(2.5)
    assert of_plain(loss.to_plain()) == loss
    with pytest.raises(InputError, match="target must be a finite number > 0"):
        of_plain({"name": "dot-regression", "target": 0.0})
