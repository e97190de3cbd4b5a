"""Schedules of the learning rate by name. A rate depends on the epoch alone, so a resumed run needs no state."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from ufm.errors import Setting, require


@dataclass(frozen=True)
class ScheduleRecipe:
    """How the learning rate falls from its first value."""

    schedule: str = "step"
    """step, milestones, cosine (to zero over all epochs) or constant"""
    patience: int = 300
    """of step: epochs between two reductions of the learning rate"""
    gamma: float = 0.1
    """of step and milestones: the factor of each reduction"""
    milestones: tuple[int, ...] = ()
    """of milestones: the epochs after which the learning rate is reduced"""

    def __post_init__(self):
        object.__setattr__(self, "milestones", tuple(self.milestones))  # JSON has lists only
        known = ", ".join(SCHEDULES)
        require(self.schedule in SCHEDULES, f"unknown schedule {self.schedule!r}; choose one of: {known}")
        require(self.patience >= 1, (Setting("patience"), f" must be >= 1, got {self.patience}"))
        require(
            math.isfinite(self.gamma) and self.gamma > 0,
            (Setting("gamma"), f" must be a finite number > 0, got {self.gamma}"),
        )
        require(
            all(m >= 1 for m in self.milestones),
            (Setting("milestones"), f" must be epochs >= 1, got {self.milestones}"),
        )
        require(
            list(self.milestones) == sorted(set(self.milestones)),
            (Setting("milestones"), f" must be epochs in ascending order, each once, got {self.milestones}"),
        )
        require(
            bool(self.milestones) or self.schedule != "milestones",
            ("the schedule milestones needs epochs: pass ", Setting("milestones", (60, 120, 160)), ", say"),
        )


def step(recipe: ScheduleRecipe, epoch: int, epochs: int) -> float:
    """gamma^floor((epoch - 1) / patience)."""
    return recipe.gamma ** ((epoch - 1) // recipe.patience)


def milestones(recipe: ScheduleRecipe, epoch: int, epochs: int) -> float:
    """gamma^(milestones that have passed)."""
    return recipe.gamma ** sum(epoch > milestone for milestone in recipe.milestones)


def cosine(recipe: ScheduleRecipe, epoch: int, epochs: int) -> float:
    """(1 + cos(pi (epoch - 1) / epochs)) / 2 (Loshchilov and Hutter 2017, arXiv 1608.03983, without restarts)."""
    return (1 + math.cos(math.pi * (epoch - 1) / epochs)) / 2


def constant(recipe: ScheduleRecipe, epoch: int, epochs: int) -> float:
    """1."""
    return 1.0


SCHEDULES: dict[str, Callable[[ScheduleRecipe, int, int], float]] = {
    "step": step,
    "milestones": milestones,
    "cosine": cosine,
    "constant": constant,
}


def learning_rate(recipe, epoch: int) -> float:
    """The learning rate of a networks.Recipe in an epoch (the first is 1)."""
    return recipe.lr * SCHEDULES[recipe.schedule](recipe, epoch, recipe.epochs)
