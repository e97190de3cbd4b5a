"""One step of training: once along the gradient, or as often as a line search asks."""

from collections.abc import Callable
from contextlib import contextmanager

import torch
from torch import nn

Evaluate = Callable[[], tuple[torch.Tensor, torch.Tensor]]  # (value of the objective, mean loss alone)
Mean = Callable[[torch.Tensor], torch.Tensor]  # over processes
Step = Callable[[torch.optim.Optimizer, nn.Module, Evaluate, Mean], torch.Tensor]


def first_order_step(optimizer, model: nn.Module, evaluate: Evaluate, mean: Mean) -> torch.Tensor:
    """One gradient, one step; returns the mean loss before it."""
    optimizer.zero_grad(set_to_none=True)
    value, loss = evaluate()
    value.backward()
    optimizer.step()
    return loss


def closure_step(optimizer, model: nn.Module, evaluate: Evaluate, mean: Mean) -> torch.Tensor:
    """One step of an optimiser that evaluates the objective as often as it likes; the mean loss before it.

    A line search compares values at several parameters, so the closure has to be a function of the parameters.
    Normalisation layers normalise by the batch, which is one, and no buffer of theirs changes (the epoch ends with
    `refresh_statistics`); random layers draw the same numbers each time, and others at the next step. torch's L-BFGS
    flattens gradients by a view, so those of weights laid out with the channels last are laid out anew.
    """
    losses: list[torch.Tensor] = []
    again = repeated_draws(next(model.parameters()).device)

    def closure() -> torch.Tensor:
        optimizer.zero_grad(set_to_none=True)
        again()
        with kept_buffers(model):
            value, loss = evaluate()
            value.backward()
        for parameter in model.parameters():
            parameter.grad = None if parameter.grad is None else parameter.grad.contiguous()
        losses.append(loss)
        return mean(value.detach())

    optimizer.step(closure)
    return losses[0]


@contextmanager
def kept_buffers(model: nn.Module):
    """Whatever a forward pass in train mode writes into the model's buffers is undone at the end."""
    kept = [(buffer, buffer.clone()) for buffer in model.buffers()]
    try:
        yield
    finally:
        for buffer, value in kept:
            buffer.copy_(value)


def repeated_draws(device: torch.device) -> Callable[[], None]:
    """A function that puts torch's generators back to where they are now."""
    state = torch.get_rng_state()
    on_device = torch.cuda.get_rng_state(device) if device.type == "cuda" else None

    def again() -> None:
        torch.set_rng_state(state)
        if on_device is not None:
            torch.cuda.set_rng_state(on_device, device)

    return again
