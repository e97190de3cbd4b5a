"""The blocks of the Hessian against autograd's over all factors and all N features; index, nullity and orbits."""

from dataclasses import replace

import pytest
import torch
from scipy.optimize import brentq

import ufm
from tests.ufm.losses.naive import NAIVE
from tests.ufm.models.deep import flat
from ufm import InputError
from ufm.models import DeepLinear, Factors
from ufm.models.deep_spectrum import orbit_dimension
from ufm.models.factors import balanced_factors


def require_dense(model: DeepLinear, name: str, point: Factors) -> ufm.Spectrum:
    """Assert that the spectrum is autograd's."""
    f, packed = flat(model, name)
    dense = torch.linalg.eigvalsh(torch.autograd.functional.hessian(f, packed(point)))
    levels = model.spectrum(point)
    assert levels.size == levels.num_variables == model.num_variables == len(dense)
    torch.testing.assert_close(levels.expanded(), dense, rtol=0, atol=1e-8)
    # zeros are told from the rest by a gap: a wrong multiplicity moves an eigenvalue by far more than the tolerance
    assert int((dense.abs() < 1e-7).sum()) == levels.nullity
    assert int((dense < -1e-7).sum()) == levels.index
    return levels


@pytest.mark.parametrize("depth", [2, 3, 4, 5])
@pytest.mark.parametrize("name", ["cross-entropy", "mse", "bce", "label smoothing", "focal"])
def test_the_spectrum_is_autograds_over_all_factors_and_features(name, depth):
    model = DeepLinear((2, 1, 3), 4, depth, 1e-2, loss=NAIVE[name][0])
    for seed in (0, 1):
        end = model.minimize(seed, tol=1e-12)
        require_dense(model, name, end.point)


@pytest.mark.parametrize("dim", [3, 5])
def test_types_in_the_place_of_classes(dim):
    model = DeepLinear((1, 2, 1, 1), dim, 3, 1e-2, loss=NAIVE["soft"][0])
    require_dense(model, "soft", model.minimize(0, tol=1e-12).point)


def test_the_origin_is_a_strict_local_minimiser_from_three_factors_on():
    """The Hessian is decay times the identity: for two factors the loss's slope is in it."""
    for depth in (3, 4):
        model = DeepLinear((2, 1, 3), 4, depth, 1e-2)
        levels = require_dense(model, "cross-entropy", model.origin())
        assert levels.min == pytest.approx(1e-2, rel=1e-12)
        assert levels.max == pytest.approx(1e-2, rel=1e-12)
    two = DeepLinear((2, 1, 3), 4, 2, 1e-2)
    assert require_dense(two, "cross-entropy", two.origin()).index > 0


def test_two_factors_have_the_spectrum_of_the_problem():
    model = DeepLinear((2, 1, 3), 5, 2, 1e-2)
    for point in (model.minimize().point, model.origin()):
        ours, theirs = model.spectrum(point), ufm.spectrum(model.free, point.point)
        torch.testing.assert_close(ours.expanded(), theirs.expanded(), rtol=0, atol=1e-11)
        assert (ours.index, ours.nullity) == (theirs.index, theirs.nullity)


def saddle(depth: int, dim: int = 4) -> tuple[DeepLinear, Factors]:
    """Squared error at the smaller root of one singular value's problem: f falls along its scale, on both sides."""
    model = DeepLinear((3, 2, 1), dim, depth, 1e-2, loss=ufm.losses.MeanSquare())
    N, a, power = 6, 3**0.5, 2 / depth
    top = a * (depth - 2) / (2 * depth - 2)
    x = brentq(lambda x: (a - x) * x ** (1 - power) - N * model.decay, 1e-12, top, xtol=1e-16)
    roots = model.free.landscape(collapsed=True).roots
    return model, balanced_factors(torch.diag(torch.tensor([x / a, 0.0, 0.0], dtype=torch.float64)), roots, dim, depth)


@pytest.mark.parametrize("depth", [3, 4])
def test_a_saddle_has_its_index_at_every_width(depth):
    """Nothing outside of the used dimensions has negative curvature: wide layers do not remove traps."""
    model, point = saddle(depth)
    levels = require_dense(model, "mse", point)
    assert levels.index == 1
    assert model.certify(point).verdict == "strict saddle"
    wide, padded = replace(model, dim=9), point.padded(9)
    assert wide.spectrum(padded).index == 1
    end = model.minimize(2)  # of rank 1: a local minimiser at d = 4 and at d = 9 alike
    assert model.certify(end.point).verdict == wide.certify(end.point.padded(9)).verdict == "local minimizer"


@pytest.mark.parametrize("depth", [2, 3, 5])
def test_the_orbit_has_the_dimension_of_its_tangent(depth):
    """The rank of the generators of the rotations of the L - 1 inner spaces, acting on the factors."""
    model = DeepLinear((1, 1, 1), 4, depth, 1e-2)
    point = model.minimize().point
    d, rank = model.dim, model.inner(point).rank
    tangent = []
    for space in range(depth - 1):
        for i in range(d):
            for j in range(i):
                A = torch.zeros(d, d, dtype=torch.float64)
                A[i, j], A[j, i] = 1.0, -1.0
                parts = [torch.zeros_like(part) for part in (*point.layers, point.H)]
                parts[space - 1 if space else -1] += point.H @ A.T if space == 0 else A @ point.layers[space - 1]
                parts[space] += -point.layers[space] @ A
                tangent.append(torch.cat([part.reshape(-1) for part in parts]))
    found = torch.linalg.matrix_rank(torch.stack(tangent), rtol=1e-8)
    assert int(found) == orbit_dimension(rank, d, depth) == model.spectrum(point).nullity


def test_the_spectrum_is_cheap_in_n_and_d():
    """A million variables: only the r dimensions that are used are formed."""
    model = DeepLinear((10_000,) * 3, 500, 4, 1e-4)
    point = model.minimize().point
    levels = model.spectrum(point)
    assert levels.size == model.num_variables == 2 * 500**2 + 3 * 500 + 30_000 * 500
    assert levels.nullity == model.orbit_dimension(2)


def test_a_point_that_is_not_critical_has_no_spectrum():
    model = DeepLinear((2, 1, 3), 4, 3, 1e-2)
    point = model.minimize().point
    with pytest.raises(InputError, match="not critical"):
        model.spectrum(replace(point, H=1.01 * point.H))


@pytest.mark.parametrize(("depth", "index"), [(5, 20), (4, 0)])
def test_an_etf_that_is_a_saddle_is_not_left(depth, index):
    """Newton's method for the last digits stays where the gradient is 0; f falls along 20 directions or none."""
    model = DeepLinear((1,) * 8, 8, depth, 2e-2)
    etf = model.etf()
    inner = model.inner(etf)
    assert float(inner.jet.value) == pytest.approx(float(model.objective(etf)), rel=1e-13)
    levels = model.spectrum(etf)
    assert (levels.index, levels.nullity) == (index, model.orbit_dimension(7))
