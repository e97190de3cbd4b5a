"""A Point refuses what it cannot be, in one line, and survives a trip to disk."""

import copy
import pickle

import pytest
import torch

import ufm
from tests.cases import PROBLEMS, orthogonal, random_point
from ufm import InputError, Point

W, H, B = torch.ones(3, 2), torch.ones(5, 2), torch.zeros(3)
NAN = torch.tensor([[1.0, float("nan")]] * 5)

BAD = {
    "not a tensor": ((W.tolist(), H, B), "W must be a torch tensor"),
    "integers": ((W.long(), H, B), "floating point"),
    "W flat": ((W[0], H, B), r"W must have shape \(K, d\), got \(2,\)"),
    "widths differ": ((W, torch.ones(5, 4), B), r"H must have shape \(N, 2\).*got \(5, 4\)"),
    "b too long": ((W, H, torch.zeros(4)), r"b must have shape \(3,\).*got \(4,\)"),
    "dtypes differ": ((W, H.double(), B), "float32.*float64"),
    "NaN": ((W, NAN, B), "H has 5 entries that are not finite"),
    "infinity": ((W / 0, H, B), "W has 6 entries that are not finite"),
    "labels too short": ((W, H, B, torch.zeros(4, dtype=torch.int64)), "labels must be 5 integers"),
    "labels not whole": ((W, H, B, torch.zeros(5)), "labels must be 5 integers"),
}


@pytest.mark.parametrize(("parts", "message"), BAD.values(), ids=BAD)
def test_refuses(parts, message):
    with pytest.raises(InputError, match=message) as caught:
        Point(*parts)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("labels", [None, torch.tensor([0, 1, 2, 0, 1])])
def test_save_and_load(tmp_path, labels):
    point = Point(torch.randn(3, 2), torch.randn(5, 2), torch.randn(3), labels)
    point.save(tmp_path / "point.safetensors")
    loaded = Point.load(tmp_path / "point.safetensors")
    for name in ("W", "H", "b"):
        assert torch.equal(getattr(loaded, name), getattr(point, name))
    assert loaded.labels is None if labels is None else torch.equal(loaded.labels, labels)


def test_load_names_what_is_missing(tmp_path):
    from ufm.storage.files import write_tensors

    write_tensors(tmp_path / "other.safetensors", {"W": W, "weight": H})
    with pytest.raises(InputError, match="lacks H, b"):
        Point.load(tmp_path / "other.safetensors")


def test_logits_rotation_and_padding():
    point = random_point(PROBLEMS["balanced"])
    expected = torch.einsum("nd,kd->nk", point.H, point.W) + point.b
    torch.testing.assert_close(point.logits, expected)
    torch.testing.assert_close(point.rotated(orthogonal(6)).logits, expected)
    padded = point.padded(9)
    assert padded.dim == 9
    torch.testing.assert_close(padded.logits, expected)
    with pytest.raises(InputError, match="cannot pad from d = 6 to d = 4"):
        point.padded(4)


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda point: pickle.loads(pickle.dumps(point))])
def test_a_point_that_was_analysed_is_copied(copied):
    problem = PROBLEMS["balanced"]
    point = ufm.minimize(problem).point
    verdict = ufm.certify(problem, point).verdict
    again = copied(point)
    assert set(vars(again)) == {"W", "H", "b", "labels"}
    assert torch.equal(again.W, point.W)
    assert ufm.certify(problem, again).verdict == verdict


def test_a_point_that_tracks_gradients_is_copied_after_its_analysis():
    problem = PROBLEMS["balanced"]
    found = ufm.minimize(problem).point
    point = Point(found.W.clone().requires_grad_(), found.H, found.b)
    ufm.certify(problem, point)
    assert copy.deepcopy(point).W.requires_grad
