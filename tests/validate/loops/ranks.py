"""How the processes of a test's group end."""

import os

import torch


def leave() -> None:
    """Wait for the others and end at once: gloo's threads now and then abort an interpreter that ends by itself."""
    torch.distributed.barrier()
    os._exit(0)
