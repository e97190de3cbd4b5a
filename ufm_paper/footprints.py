"""What the paper's networks take with a learned head and with a fixed frame of d = K: parameters and memory."""

from functools import cache
from typing import Any

import torch

from networks import build_model
from networks.models.memory import measured_memory

SHAPE = (3, 32, 32)
BATCH = 128
HEADS = ({"head": "linear"}, {"head": "etf", "feature_dim": 10})


@cache
def footprints() -> list[dict[str, Any]]:
    """A row a network at its full size, whatever the scale of the runs: for 10 classes and batches of 128.

    The memory is the peak that torch's allocator gave out, on a GPU where there is one (`measured_memory`): two
    steps of each network, once in a process.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    rows = []
    for name in ("resnet18", "resnet50"):
        learned = None
        for settings in HEADS:
            model = build_model(name, 10, image_shape=SHAPE, **settings).to(device)
            row = {"model": name, "head": settings["head"], "d": model.head.in_features, "batch": BATCH}
            row |= {"parameters": sum(p.numel() for p in model.parameters() if p.requires_grad)}
            row |= {"memory_bytes": measured_memory(model, torch.zeros(BATCH, *SHAPE, device=device))}
            row |= {"memory": "measured", "on": device.type}
            learned = learned or row
            fewer = {f"fewer_{key}": 1 - row[key] / learned[key] for key in ("parameters", "memory_bytes")}
            rows.append(row | fewer)
    return rows
