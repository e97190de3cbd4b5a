"""An epoch of training against the plain loop of most research code (that of arXiv 2105.02375 too).

That loop has images on the host, transformed one by one in workers, float32, and for every batch a copy to the device
and a loss read back. The images are random bytes of CIFAR-10's shape: nothing has to be downloaded, and no speed
depends on what they show.
"""

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

import networks
from benchmarks.timing import Row, interleaved
from networks.allocation import kept_memory
from networks.arrangement import arranged
from networks.data.images import Images, channel_statistics
from networks.distributed import ALONE
from networks.models.build import model_of
from networks.objective import FeaturesAndLogits, Objective
from networks.optim.optimizers import build_optimizer
from networks.train import measure, train_epoch

WORKERS = 2


def rows() -> Iterator[Row]:
    gpu = torch.cuda.is_available()
    device = torch.device("cuda" if gpu else "cpu")
    images = random_images(50_000 if gpu else 1000).to(device)
    fast = {"amp": True, "channels_last": True} if gpu else {}
    recipe = networks.preset("sota", networks.Recipe(model="resnet18", **fast))
    recipe = recipe if gpu else networks.preset("paper-sgd", networks.Recipe(model="resnet18", augment="crop-flip"))
    task = (
        f"an epoch of ResNet18 ({recipe.stem or 'imagenet'} stem), {len(images.train_labels):,} images, {device.type}"
    )
    ours, peer = Ours(recipe, images), Plain(recipe, images)
    peers = f"plain loop, {WORKERS} workers", peer.epoch
    comparisons = [("training", ours.epoch, *peers), ("training and every metric", ours.epoch_and_metrics, *peers)]
    if not gpu:
        comparisons += _rearranged(recipe, images)
    for name, work, other, peer_work in comparisons:
        spent, longer = interleaved(work, peer_work, repeats=2)
        note = f"{len(images.train_labels) / spent:,.0f} and {len(images.train_labels) / longer:,.0f} images a second"
        yield Row(task, name, spent, other, longer, note)


def _rearranged(recipe: networks.Recipe, images: Images) -> Iterator[tuple[str, Callable, str, Callable]]:
    """(ours, its work, the peer, its work) with every metric: on a CPU, beside the order of sums that torch has."""
    runs = {
        (amp, rearrange): Ours(dataclasses.replace(recipe, amp=amp, rearrange=rearrange), images).epoch_and_metrics
        for amp in (False, True)
        for rearrange in (False, True)
    }
    yield "rearranged, float32", runs[False, True], "as torch has it, float32", runs[False, False]
    yield "rearranged, bfloat16", runs[True, True], "as torch has it, bfloat16", runs[True, False]
    yield "rearranged, bfloat16", runs[True, True], "as torch has it, float32", runs[False, False]


def random_images(count: int, seed: int = 0) -> Images:
    """`count` training images and a fifth as many test images, uint8 3 x 32 x 32, of ten classes."""
    generator = torch.Generator().manual_seed(seed)
    parts: list[torch.Tensor] = []
    for size in (count, count // 5):
        parts += [
            torch.randint(256, (size, 3, 32, 32), dtype=torch.uint8, generator=generator),
            torch.arange(size) % 10,
        ]
    return Images(*parts, 10, *channel_statistics(parts[0]))


class Ours:
    """The package's own epoch: what `networks.train` does between two rows of its record."""

    def __init__(self, recipe: networks.Recipe, images: Images):
        torch.manual_seed(0)
        self.images = images
        self.device = images.train_labels.device
        self.model = arranged(model_of(recipe, 10, images.image_shape).to(self.device), recipe, self.device)
        self.optimizer = build_optimizer(recipe, self.model)
        self.objective = Objective(recipe, self.model, FeaturesAndLogits(self.model), images.class_counts)

    def steps(self) -> torch.Tensor:
        return train_epoch(self.objective, self.optimizer, self.images, ALONE, 1)

    def epoch(self) -> float:
        with kept_memory(self.device):
            return float(self.steps()) / len(self.images.train_labels)

    def epoch_and_metrics(self) -> dict[str, float]:
        with kept_memory(self.device):
            self.steps()
            return measure(self.model, self.images)[1]


@dataclass(frozen=True, eq=False)
class OnHost(Dataset):
    """Bytes on the host, transformed one image at a time."""

    images: torch.Tensor
    labels: torch.Tensor
    transform: Callable[[torch.Tensor], torch.Tensor]

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, int]:
        return self.transform(self.images[i]), int(self.labels[i])


class Plain:
    """The plain loop over the same images, model, batch size and optimiser."""

    def __init__(self, recipe: networks.Recipe, images: Images, augmented: bool = True):
        from torchvision.transforms import v2

        torch.manual_seed(0)
        self.device = images.train_labels.device
        self.model = model_of(recipe, 10, images.image_shape).to(self.device)
        self.optimizer = build_optimizer(recipe, self.model)
        steps = [v2.RandomCrop(32, padding=4), v2.RandomHorizontalFlip()] if augmented else []
        steps += [v2.ToDtype(torch.float32, scale=True)]
        steps += [v2.Normalize(*((s.flatten() / 255).tolist() for s in (images.mean, images.std)))]
        data = OnHost(images.train_images.cpu(), images.train_labels.cpu(), v2.Compose(steps))
        self.loader = DataLoader(
            data, recipe.batch_size, shuffle=True, num_workers=WORKERS, pin_memory=self.device.type == "cuda"
        )

    def epoch(self) -> float:
        self.model.train()
        loss_of, total = nn.CrossEntropyLoss(), 0.0
        for images, labels in self.loader:
            images, labels = images.to(self.device), labels.to(self.device)
            self.optimizer.zero_grad()
            loss = loss_of(self.model(images), labels)
            loss.backward()
            self.optimizer.step()
            total += loss.item() * len(labels)
        return total / len(self.loader.dataset)
