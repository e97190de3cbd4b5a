"""Schedules beside torch's own schedulers."""

import pytest
import torch

import networks
from networks.optim.schedules import SCHEDULES, learning_rate
from ufm import InputError

EPOCHS = 12
THEIRS = {
    "step": lambda o: torch.optim.lr_scheduler.StepLR(o, step_size=5, gamma=0.1),
    "milestones": lambda o: torch.optim.lr_scheduler.MultiStepLR(o, milestones=[3, 8], gamma=0.1),
    "cosine": lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, T_max=EPOCHS),
    "constant": lambda o: torch.optim.lr_scheduler.ConstantLR(o, factor=1.0),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_rates_are_those_of_torch(name):
    recipe = networks.Recipe(schedule=name, lr=0.3, patience=5, milestones=(3, 8), epochs=EPOCHS)
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.3)
    scheduler = THEIRS[name](optimizer)
    for epoch in range(1, EPOCHS + 1):
        assert learning_rate(recipe, epoch) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9)
        optimizer.step()
        scheduler.step()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schedule": "linear"}, "unknown schedule 'linear'; choose one of: step, milestones"),
        ({"schedule": "milestones"}, r"pass milestones=\(60, 120, 160\), say"),
        ({"milestones": (0,)}, "milestones must be epochs >= 1"),
        ({"patience": 0}, "patience must be >= 1, got 0"),
        ({"gamma": 0.0}, "gamma must be a finite number > 0, got 0.0"),
    ],
)
def test_refuses(changes, message):
    with pytest.raises(InputError, match=message):
        networks.Recipe(**changes)


def test_milestones_survive_json(tmp_path):
    """JSON has lists where a recipe has tuples."""
    assert networks.Recipe(milestones=[3, 8]) == networks.Recipe(milestones=(3, 8))
