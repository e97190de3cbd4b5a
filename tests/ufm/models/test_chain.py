"""f of the factors against loops over samples, its derivatives against autograd."""

import pytest
import torch

from tests.ufm.losses.naive import NAIVE
from tests.ufm.models.deep import flat, random_factors
from ufm.models import DeepLinear


@pytest.mark.parametrize("depth", [2, 3, 5])
@pytest.mark.parametrize("name", ["cross-entropy", "mse", "bce", "focal", "label smoothing"])
def test_value_gradient_and_products_are_autograds(name, depth):
    model = DeepLinear((2, 1, 3), 4, depth, 3e-2, loss=NAIVE[name][0])
    point = random_factors(model, depth)
    f, packed = flat(model, name)
    x = packed(point)
    chain = model.chain(collapsed=False)
    jet = chain.jet(chain.pack(point))
    assert float(jet.value) == pytest.approx(float(f(x)), rel=1e-13)
    assert float(model.objective(point)) == pytest.approx(float(f(x)), rel=1e-13)
    torch.testing.assert_close(jet.gradient, torch.autograd.functional.jacobian(f, x), rtol=0, atol=1e-13)
    dense = torch.autograd.functional.hessian(f, x)
    torch.testing.assert_close(jet.hessian(), dense, rtol=0, atol=1e-12)
    v = torch.randn(2, len(x), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    torch.testing.assert_close(jet.hvp(v), v @ dense, rtol=0, atol=1e-11)


def test_collapsed_rows_have_the_value_and_the_gradient_norm_of_all():
    """In the rows sqrt(n_t) h_t the geometry is that of all N features."""
    model = DeepLinear((2, 1, 3), 4, 4, 3e-2)
    point = random_factors(model, collapsed=True)
    f, packed = flat(model, "cross-entropy")
    assert float(model.objective(point)) == pytest.approx(float(f(packed(point))), rel=1e-13)
    gradient = torch.autograd.functional.jacobian(f, packed(point))
    chain = model.chain()
    assert float(chain.jet(chain.pack(point)).gradient.norm()) == pytest.approx(float(gradient.norm()), rel=1e-12)


def test_flat_vectors_hold_the_factors():
    model = DeepLinear((2, 1, 3), 4, 4, 3e-2)
    point, chain = random_factors(model), model.chain(collapsed=False)
    back = chain.unpack(chain.pack(point))
    assert chain.size == model.num_variables == 2 * 16 + 3 * 4 + 6 * 4
    for one, other in zip((*point.layers, point.H), (*back.layers, back.H), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-15)
