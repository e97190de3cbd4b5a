"""Which training samples are kept and how they are labelled: subsets, imbalance profiles, label noise."""

import zlib

import torch

from ufm import InputError
from ufm.errors import Setting, require


def random_stream(seed: int, purpose: str) -> torch.Generator:
    """A generator given by the seed and what its numbers are for, so that one choice does not move another.

    torch's CPU generator takes 32 bits of a seed, so both are hashed into that many.
    """
    return torch.Generator().manual_seed(zlib.crc32(f"{seed} {purpose}".encode()))


def _step(ratio: float, largest: int, num_classes: int) -> list[float]:
    """The first half of the classes (the larger half, K odd) has `largest` samples, the rest ratio times as many."""
    large = (num_classes + 1) // 2
    return [float(largest)] * large + [ratio * largest] * (num_classes - large)


def _exp(ratio: float, largest: int, num_classes: int) -> list[float]:
    """Class k of 0..K-1 has largest * ratio^(k / (K-1)) samples."""
    return [largest * ratio ** (k / max(1, num_classes - 1)) for k in range(num_classes)]


PROFILES = {"step": _step, "exp": _exp}


def parse_profile(text: str) -> tuple[str, float]:
    """("step", 0.1) of "step:0.1"; InputError says which profiles there are."""
    name, _, number = str(text).partition(":")
    try:
        ratio = float(number)
    except ValueError:
        ratio = 0.0
    if name not in PROFILES or not 0 < ratio <= 1:
        forms = " or ".join(f"{profile}:R" for profile in PROFILES)
        raise InputError((Setting("imbalance"), f" must be {forms} with R in (0, 1], such as step:0.1; got {text!r}"))
    return name, ratio


def class_sizes(profile: str | None, largest: int, num_classes: int) -> list[int]:
    """How many samples each class gets (rounded): `largest` each, or as the profile has it; none may get 0."""
    if profile is None:
        return [largest] * num_classes
    name, ratio = parse_profile(profile)
    sizes = [round(size) for size in PROFILES[name](ratio, largest, num_classes)]
    none = f"imbalance {profile} of {largest} samples leaves a class with none"
    require(min(sizes) >= 1, none, ("raise R or ", Setting("per_class")))
    return sizes


def subset(labels: torch.Tensor, sizes: list[int], generator: torch.Generator, part: str = "training") -> torch.Tensor:
    """Indices (sum of sizes,), in order, of sizes[k] samples of class k drawn without replacement."""
    available = torch.bincount(labels, minlength=len(sizes)).tolist()
    for k, (wanted, there) in enumerate(zip(sizes, available, strict=True)):
        require(wanted <= there, f"{wanted} {part} samples of class {k} asked, there are {there}; ask for fewer")
    order = torch.randperm(len(labels), generator=generator)
    kept = [order[labels[order] == k][:size] for k, size in enumerate(sizes)]
    return torch.cat(kept).sort().values


def permuted(labels: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """The same labels dealt out at random: class counts stay, what images say of them goes."""
    return labels[torch.randperm(len(labels), generator=generator)]


def with_noise(labels: torch.Tensor, fraction: float, num_classes: int, generator: torch.Generator) -> torch.Tensor:
    """Labels with round(fraction * N) of them, chosen at random, each moved to another class, uniformly."""
    moved = torch.randperm(len(labels), generator=generator)[: round(fraction * len(labels))]
    steps = torch.randint(1, num_classes, moved.shape, generator=generator)
    noisy = labels.clone()
    noisy[moved] = (labels[moved] + steps) % num_classes
    return noisy
