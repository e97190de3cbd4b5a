"""Augmentation: the tensor lines against a loop over images, on any dtype; draws that depend on the seed alone."""

import pytest
import torch
from torch.nn import functional

import networks
from networks.data.augmentation import AUGMENTATIONS, PADDING, crop_flip, crop_flip_draws, flip, flip_draws
from ufm import InputError


@pytest.mark.parametrize("dtype", [torch.float32, torch.uint8])
def test_flips_are_of_the_drawn_images_alone(dtype):
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (20, 3, 4, 5), generator=generator).to(dtype)
    draws = flip_draws(20, generator)
    assert set(draws.flatten().tolist()) == {0, 1}
    for image, drawn, found in zip(images, draws, flip(images, draws), strict=True):
        assert torch.equal(found, image[:, :, [4, 3, 2, 1, 0]] if drawn else image)


@pytest.mark.parametrize("dtype", [torch.float32, torch.uint8])
def test_crop_and_flip_image_by_image(dtype):
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (20, 3, 7, 9), generator=generator).to(dtype)
    draws = crop_flip_draws(20, generator)
    found = crop_flip(images, draws)
    assert found.dtype == dtype
    for image, (row, column, flipped), result in zip(images, draws.tolist(), found, strict=True):
        expected = functional.pad(image, (PADDING,) * 4)[:, row : row + 7, column : column + 9]
        assert torch.equal(result, expected.flip(2) if flipped else expected)


def test_every_corner_and_both_sides_are_drawn():
    draws = crop_flip_draws(4000, torch.Generator().manual_seed(1))
    assert set(draws[:, 0].tolist()) == set(draws[:, 1].tolist()) == set(range(2 * PADDING + 1))
    assert draws[:, 2].float().mean() == pytest.approx(0.5, abs=0.05)


def test_the_middle_without_a_flip_is_the_image():
    images = torch.rand(3, 1, 8, 8)
    assert torch.equal(crop_flip(images, torch.tensor([[PADDING, PADDING, 0]] * 3)), images)


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_a_share_of_the_batch_is_augmented_as_in_the_batch(name):
    images, augmentation = torch.rand(10, 1, 8, 8), AUGMENTATIONS[name]
    draws = augmentation.draw(10, torch.Generator().manual_seed(2))
    assert torch.equal(augmentation.apply(images, draws)[6:], augmentation.apply(images[6:], draws[6:]))


def test_unknown_is_refused():
    with pytest.raises(InputError, match="unknown augmentation 'cutout'; choose one of: none, flip, crop-flip"):
        networks.Recipe(augment="cutout")
