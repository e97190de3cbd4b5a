"""validate.CollapseTrainerCallback: neural collapse of a language model while transformers' Trainer trains it.

Needs transformers and accelerate (`pip install -e ".[loops]"`); nothing else of this package imports them.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import Any

import torch
from torch import nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from ..models.causal import TokenFeatures
from ..models.heads import Head
from .collect_tokens import collect_tokens


class CollapseTrainerCallback(TrainerCallback):
    """Trainer(callbacks=[CollapseTrainerCallback(loader)]) measures the next tokens of the loader's batches.

    loader, head, least_count  as for `validate.collect_tokens`; the loader is not shuffled
    twice    whether a second pass sees single tokens: the nearest-centre disagreement is else NaN
    prefix   of the names in the Trainer's records
    log      what else takes the numbers: `trainer.log` shows them to TensorBoard and the like. It can be set later, as
             `callback.log`, once there is a Trainer. None: they join the state's log_history alone

    It measures after every evaluation, and where the Trainer does not evaluate, after every epoch. `rows` holds one
    record a time (step, epoch, the metrics), for pandas.DataFrame. The metrics that are numbers, under the prefix, go
    into the Trainer's log_history and into what `trainer.evaluate` returns, so that metric_for_best_model="eval_nc1"
    is possible. The model's own dtype is used, without autocast; the random numbers of the training stay as they were.
    Where several processes train each measures the whole loader; the parameters have to be whole in each (no FSDP).
    """

    def __init__(
        self,
        loader: Iterable[Any],
        head: str | Head | None = None,
        *,
        least_count: int = 1,
        twice: bool = False,
        prefix: str = "eval_",
        log: Callable[[dict[str, float]], None] | None = None,
    ):
        self.loader, self.head, self.least_count, self.twice = loader, head, least_count, twice
        self.prefix, self.log = prefix, log
        self.rows: list[dict[str, float]] = []

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: dict[str, float] | None = None,
        **of_trainer: Any,
    ) -> None:
        found = self._measure(of_trainer["model"], state)
        if metrics is not None:
            metrics.update(found)

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **of_trainer: Any
    ) -> None:
        if args.eval_strategy == "no":
            self._measure(of_trainer["model"], state)

    def _measure(self, model: nn.Module, state: TrainerState) -> dict[str, float]:
        """The metrics that are numbers, under the prefix, once they are written down."""
        with torch.random.fork_rng(devices=[]):  # a DataLoader draws a seed whenever it is iterated over
            tokens = collect_tokens(model, self.loader, head=self.head, least_count=self.least_count)
            again = TokenFeatures(model, self.loader, self.head) if self.twice else None
            found = asdict(tokens.neural_collapse(batches=again))
        self.rows.append({"step": state.global_step, "epoch": state.epoch or 0.0} | found)
        numbers = {self.prefix + name: float(value) for name, value in found.items() if math.isfinite(value)}
        if self.log is not None:
            self.log(dict(numbers))
        else:
            state.log_history.append(numbers | {"epoch": state.epoch, "step": state.global_step})
        return numbers
