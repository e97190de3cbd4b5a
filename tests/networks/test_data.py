"""Digits: real images, balanced, split without overlap, the same every time."""

import pytest
import torch

import networks
from ufm import InputError


def test_digits_are_balanced_and_split_without_overlap():
    images = networks.load("digits", seed=0)
    assert images.num_classes == 10
    assert images.image_shape == (1, 8, 8)
    assert torch.bincount(images.train_labels).tolist() == [140] * 10
    assert len(images.train_labels) + len(images.test_labels) == 1797
    seen = images.normalized(images.train_images)
    assert float(seen.mean()) == pytest.approx(0, abs=1e-5)
    assert float(seen.std()) == pytest.approx(1, abs=1e-5)


def test_all_images_are_there_once():
    from sklearn.datasets import load_digits

    images = networks.load("digits", seed=3)
    both = torch.cat([images.train_images, images.test_images]).flatten(1)
    original = torch.from_numpy(load_digits().images).to(torch.uint8).flatten(1)
    assert sorted(both.tolist()) == sorted(original.tolist())


def test_seed_chooses_the_split():
    first, again, other = (networks.load("digits", seed=s) for s in (1, 1, 2))
    assert torch.equal(first.train_images, again.train_images)
    assert not torch.equal(first.train_images, other.train_images)


def test_labels_belong_to_their_images():
    """Class means of train and test agree, class by class."""
    images = networks.load("digits")

    def means(x, y):
        return torch.stack([x[y == k].float().mean(0).flatten() for k in range(10)])

    nearest = torch.cdist(
        means(images.test_images, images.test_labels), means(images.train_images, images.train_labels)
    ).argmin(1)
    assert nearest.tolist() == list(range(10))


def test_unknown_data_set_lists_the_known():
    with pytest.raises(InputError, match="unknown data set 'mnits'; choose one of: digits"):
        networks.load("mnits")
