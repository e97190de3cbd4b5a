"""Which network a run trains, and its last layer: names and settings."""

from dataclasses import dataclass
from typing import Literal, get_args

from ufm.errors import Setting, require

Frame = Literal["standard", "rotated"]
Stem = Literal["imagenet", "cifar"]
Head = Literal["linear", "etf", "normalized", "projected", "code", "class-means", "nearest-frame"]


@dataclass(frozen=True)
class ModelRecipe:
    """Which network, and its last layer."""

    model: str = "mlp"
    """mlp, or any classifier of torchvision by name: resnet18, resnet50, vgg11_bn, vit_b_16, ..."""
    width: int | None = None
    """units of each hidden layer of an mlp (256 if not given), channels of a resnet's first stage (64)"""
    depth: int | None = None
    """hidden layers of an mlp before its feature layer (4 if not given)"""
    stem: Stem | None = None
    """how a resnet begins: imagenet (7 x 7 with stride 2, pooling; if not given) or cifar (3 x 3: small images)"""
    head: Head = "linear"
    """the last layer: linear (learned), etf (a simplex frame, fixed; b learned), normalized (cosines), projected (the
    same, with the rows of W put back to unit length after each step), code (a softmax code for d < K - 1, fixed),
    class-means (set to them before each epoch), nearest-frame (to the simplex frame nearest to them after each step)"""
    frame: Frame | None = None
    """where an etf head's frame lies: standard (the paper's, for features behind a ReLU; if not given and
    feature_dim >= K) or rotated (at random, for features of either sign; if not given and feature_dim = K - 1)"""
    feature_dim: int | None = None
    """d, the width of the feature layer; the model's own if not given (an mlp 64, resnet18 512)"""
    bias: bool = True
    """whether the last layer has a bias"""
    temperature: float = 0.1
    """of the heads normalized and projected: their logits are cosines divided by it"""

    def __post_init__(self):
        for name, least in (("width", 1), ("depth", 0), ("feature_dim", 1)):
            value = getattr(self, name)
            require(value is None or value >= least, (Setting(name), f" must be >= {least}, got {value}"))
        for name, choices in (("stem", Stem), ("head", Head), ("frame", Frame)):
            value, known = getattr(self, name), get_args(choices)
            left_out = value is None and name != "head"
            require(left_out or value in known, f"unknown {name} {value!r}; choose one of: {', '.join(known)}")
        require(
            0 < self.temperature < float("inf"),
            (Setting("temperature"), f" must be > 0 and finite, got {self.temperature}"),
        )
