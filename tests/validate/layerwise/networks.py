"""Small networks with labelled data, and what their modules say, by running them by hand."""

import torch
from torch import nn


def perceptron(K: int = 4, dtype: torch.dtype = torch.float64) -> nn.Sequential:
    """Modules 1 and 3 are hidden layers after their ReLU; module 4 is the head."""
    torch.manual_seed(0)
    parts = [nn.Linear(8, 16), nn.ReLU(inplace=True), nn.Linear(16, 12), nn.ReLU(inplace=True), nn.Linear(12, K)]
    return nn.Sequential(*parts).to(dtype)


def broad() -> nn.Sequential:
    """As `perceptron`, with 300 and 200 units in its hidden layers."""
    torch.manual_seed(0)
    parts = [nn.Linear(8, 300), nn.ReLU(), nn.Linear(300, 200), nn.ReLU(), nn.Linear(200, 4)]
    return nn.Sequential(*parts).double()


class Maps(nn.Module):
    """A convolution, a block with a shortcut, and a head that sees averages over positions."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Conv2d(2, 5, 3)
        self.norm = nn.BatchNorm2d(5)
        self.relu = nn.ReLU(inplace=True)
        self.mix = nn.Conv2d(5, 6, 1)
        self.head = nn.Linear(6, 3)

    def forward(self, images):
        return self.head(self.relu(self.mix(self.relu(self.norm(self.stem(images))))).mean((2, 3)))


class Tokens(nn.Module):
    """Two layers over sequences; the head sees every token, or their mean."""

    def __init__(self, mean: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.mean = mean
        self.embed = nn.Embedding(7, 6)
        self.mix = nn.Linear(6, 5)
        self.head = nn.Linear(5, 3)

    def forward(self, words):
        X = torch.tanh(self.mix(self.embed(words)))
        return self.head(X.mean(1) if self.mean else X)


def draw(counts, dim: int = 8, seed: int = 0, spread: float = 1.0, dtype: torch.dtype = torch.float64):
    """(inputs (N, dim) about a mean a class, labels (N,)) in a random order."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    labels = labels[torch.randperm(len(labels), generator=generator)]
    means = 2 * torch.randn(len(counts), dim, generator=generator, dtype=torch.float64)
    noise = torch.randn(len(labels), dim, generator=generator, dtype=torch.float64)
    return (means[labels] + spread * noise).to(dtype), labels


def cut(inputs, labels, *sizes):
    """The data in batches of these sizes, the rest in the last."""
    rest = len(labels) - sum(sizes)
    return list(zip(inputs.split([*sizes, rest]), labels.split([*sizes, rest]), strict=True))


@torch.no_grad()
def said(model: nn.Sequential, inputs, count: int) -> torch.Tensor:
    """What the first `count` modules make of the inputs."""
    return model[:count](inputs.clone())
