"""Subsets, imbalance and label noise: the counts are exact, and each choice is the seed's alone."""

import pytest
import torch

import networks
from networks.data.sampling import class_sizes, permuted, random_stream, subset, with_noise
from ufm import InputError

LABELS = torch.arange(10).repeat(50)


@pytest.mark.parametrize(
    ("profile", "expected"),
    [
        (None, [40] * 5),
        ("step:0.1", [40, 40, 40, 4, 4]),
        ("step:1", [40] * 5),
        ("exp:0.0625", [40, 20, 10, 5, 2]),
    ],
)
def test_class_sizes(profile, expected):
    assert class_sizes(profile, 40, 5) == expected


def test_a_subset_has_the_sizes_asked_and_no_sample_twice():
    sizes = list(range(1, 11))
    kept = subset(LABELS, sizes, random_stream(0, "subset"))
    assert torch.bincount(LABELS[kept]).tolist() == sizes
    assert len(kept.unique()) == len(kept)
    assert not torch.equal(kept, subset(LABELS, sizes, random_stream(1, "subset")))


@pytest.mark.parametrize("fraction", [0.3, 0.001, 1.0])
def test_label_noise_moves_exactly_its_share(fraction):
    noisy = with_noise(LABELS, fraction, 10, random_stream(0, "noise"))
    assert int((noisy != LABELS).sum()) == round(fraction * len(LABELS))
    assert set(noisy.tolist()) <= set(range(10))


def test_label_noise_is_uniform_over_the_other_classes():
    labels = torch.zeros(90_000, dtype=torch.int64)
    counts = torch.bincount(with_noise(labels, 1.0, 10, random_stream(0, "noise")), minlength=10)
    assert counts[0] == 0
    assert (counts[1:] - 10_000).abs().max() < 500


def test_random_labels_keep_the_class_counts_and_forget_the_images():
    dealt = permuted(LABELS, random_stream(0, "labels"))
    assert torch.equal(torch.bincount(dealt), torch.bincount(LABELS))
    assert 0.05 < float((dealt == LABELS).double().mean()) < 0.15


def test_a_recipe_combines_them():
    images = networks.load(networks.DataRecipe(per_class=100, imbalance="step:0.1", label_noise=0.2), seed=4)
    clean = networks.load(networks.DataRecipe(per_class=100, imbalance="step:0.1"), seed=4)
    assert torch.bincount(clean.train_labels).tolist() == [100] * 5 + [10] * 5
    assert torch.equal(images.train_images, clean.train_images)
    assert int((images.train_labels != clean.train_labels).sum()) == 110
    assert torch.equal(images.test_labels, clean.test_labels)


def test_imbalance_alone_starts_from_the_smallest_class():
    images = networks.load(networks.DataRecipe(imbalance="exp:0.5"))
    counts = torch.bincount(images.train_labels).tolist()
    assert (counts[0], counts[9]) == (140, 70)


def test_random_labels_by_recipe():
    dealt, clean = (networks.load(networks.DataRecipe(random_labels=flag)) for flag in (True, False))
    assert torch.equal(torch.bincount(dealt.train_labels), torch.bincount(clean.train_labels))
    assert not torch.equal(dealt.train_labels, clean.train_labels)
    assert torch.equal(dealt.test_labels, clean.test_labels)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"imbalance": "cliff:0.1"}, r"imbalance must be step:R or exp:R with R in \(0, 1\].*'cliff:0.1'"),
        ({"imbalance": "step"}, "imbalance must be"),
        ({"imbalance": -1}, "imbalance must be"),
        ({"imbalance": "exp:2"}, "imbalance must be"),
        ({"imbalance": "exp:nan"}, "imbalance must be"),
        ({"per_class": 0}, "per_class must be >= 1, got 0"),
        ({"image_size": 0}, "image_size must be >= 1, got 0"),
        ({"label_noise": 1.5}, r"label_noise must lie in \[0, 1\], got 1.5"),
        ({"label_noise": 0.5, "random_labels": True}, "give one of them"),
        ({"per_class": 141}, "141 training samples of class 0 asked, there are 140; ask for fewer"),
        ({"imbalance": "exp:0.001"}, "leaves a class with none"),
    ],
)
def test_refuses(settings, message):
    with pytest.raises(InputError, match=message):
        networks.load(networks.DataRecipe(**settings))
