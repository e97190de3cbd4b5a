"""Random numbers that depend on seed, epoch and process alone, so that a resumed run needs no generator's state."""

import random
from contextlib import contextmanager

import numpy as np
import torch


def epoch_seed(seed: int, epoch: int) -> int:
    """The seed of an epoch's order and augmentation."""
    return seed * 1_000_003 + epoch


@contextmanager
def seeded(number: int, device: torch.device):
    """Seed torch (the CPU's and the device's generator), numpy and random; put their states back at the end."""
    states = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(number)
        np.random.seed(number % 2**32)
        random.seed(number)
        try:
            yield
        finally:
            random.setstate(states[0])
            np.random.set_state(states[1])
