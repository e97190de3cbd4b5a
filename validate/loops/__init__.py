"""The metrics in other people's training loops: plain PyTorch, torchmetrics, Lightning."""
