"""validate.collect_tokens: neural collapse of a causal language model, streamed over its vocabulary.

The class of a position is the token that comes next, and the features are what the output layer sees there. Source: Wu
and Papyan 2024, "Linguistic collapse: neural collapse in (large) language models" (arXiv 2405.17767), who stream class
means and spreads and leave out the tokens that are rare.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ufm.errors import require
from ufm.storage.files import require_writable
from ufm.storage.locks import held

from ..models.causal import TokenFeatures, next_tokens, require_again
from ..models.collect import IGNORED
from ..models.heads import Head
from ..statistics.moments import Moments
from .fingerprints import of_batch, of_classes, of_model
from .tokens import MOMENTS, Tokens, kept

FILE = "tokens.safetensors"


def collect_tokens(
    model: nn.Module,
    loader: Iterable[Any],
    folder: Path | str | None = None,
    *,
    head: str | Head | None = None,
    least_count: int = 1,
    every: int = 100,
    device: torch.device | str | None = None,
) -> Tokens:
    """The class statistics of a causal language model, in one pass that keeps no features and makes no logits.

    model, loader, head  as for `validate.TokenFeatures`
    folder       where the statistics are kept while they grow: a call that was killed, or whose loader has more
                 batches at the end, goes on from there when it is made again, and ends with the bytes of an
                 uninterrupted one (on a CPU, with as many threads). None: in memory alone
    least_count  tokens that come next less often are left out. For it the loader is passed over once more, beforehand
                 and without the model; batches that are added later would change the counts, and are refused.
                 `Tokens.neural_collapse` can leave out more
    every        batches from one writing of the file to the next: a file of 8 K d bytes and W
    device       where the statistics are, float64; None: where W is

    Memory 8 (K d + d^2) bytes beside the model, a copy of W and a batch; about twice that while a file is written.

    Raises InputError as `TokenFeatures` does, for tokens outside the vocabulary, for features that are not finite, and
    where a folder is being written by another process or has the statistics of another model, other batches or another
    least_count: the loader must give the same batches in the same order.
    """
    require(least_count >= 1 and every >= 1, f"least_count and every must be >= 1, got {least_count} and {every}")
    features = TokenFeatures(model, loader, head)
    W, b = features.W, features.b
    device = torch.device(device or W.device)
    common = None if least_count == 1 else (token_counts(loader, len(W)) >= least_count).to(device)
    begun = Tokens(Moments.zero(*W.shape, device=device), W, b, features.tied, least_count, data=of_classes(common))
    if folder is None:
        tokens = _grown(begun, begun, features, common)
    else:
        with held(folder):
            begun = replace(begun, model=of_model(model, features.head))
            file = _ready(Path(folder))
            there = _resumed(begun, file) if file.exists() else begun
            tokens = _grown(begun, there, features, common, lambda grown: grown.save(file), every)
    require(bool(tokens.counts.any()), "no position of the loader's batches has a next token; give at least one")
    return tokens


def token_counts(loader: Iterable[Any], num_classes: int) -> torch.Tensor:
    """(K,) int64: how often each token comes next in the batches of a loader, without a model.

    Raises InputError for tokens outside 0 .. K-1, and for an iterator, which has no second pass.
    """
    require_again(loader)
    counts = torch.zeros(num_classes, dtype=torch.int64)
    for batch in loader:
        following = next_tokens(batch)
        following = following[following != IGNORED].cpu()
        low, high = (int(following.min()), int(following.max())) if len(following) else (0, 0)
        require(low >= 0 and high < num_classes, f"tokens must lie in 0 .. {num_classes - 1}, got {low} .. {high}")
        counts += torch.bincount(following, minlength=num_classes)
    return counts


def _ready(folder: Path) -> Path:
    """The file of the statistics, which can be written, without what a killed process left behind as it wrote."""
    require_writable(folder / FILE)
    for leftover in folder.glob(f".{FILE}.*"):
        leftover.unlink()
    return folder / FILE


def _resumed(begun: Tokens, file: Path) -> Tokens:
    """What the file has, where the moments begun are; InputError where it is of something else."""
    there, device = Tokens.load(file), begun.moments.means.device
    away = "choose another folder, or delete that file"
    counts = f"least_count = {there.least_count}, not {begun.least_count}"
    require(there.model == begun.model, f"{file} is of a model with other parameters, or of another head", away)
    require(there.least_count == begun.least_count, f"{file} was collected with {counts}", away)
    # Copied: products round otherwise where memory begins elsewhere, as that of a file may.
    moments = Moments(*(getattr(there.moments, name).to(device, copy=True) for name in MOMENTS))
    return replace(begun, moments=moments, batches=there.batches, data=there.data)


def _grown(
    begun: Tokens,
    tokens: Tokens,
    features: TokenFeatures,
    common: torch.Tensor | None,
    save: Callable[[Tokens], None] | None = None,
    every: int = 1,
) -> Tokens:
    """`tokens` with the batches that they lack; those that they have are compared, not run. InputError if others.

    begun  the tokens of no batch        common  (K,) bool: the classes that are not left out; None: all
    save   is called after every so many batches, and at the end where there were others
    """
    data, done, collected = begun.data, 0, tokens.batches
    others = "the loader gives other batches than those that were collected, or in another order"
    mend = "give the same ones (a DataLoader without shuffling), or choose another folder"
    for batch in features.loader:
        data, done = of_batch(data, batch), done + 1
        if done <= collected:
            require(done < collected or data == tokens.data, others, mend)
            continue
        tokens.moments.update(*kept(*features.of(batch), common, tokens.moments.means.device))
        tokens = replace(tokens, batches=done, data=data)
        if save is not None and done % every == 0:
            save(tokens)
    require(done >= collected, f"the loader gives {done} batches, and {collected} were collected", mend)
    if save is not None and done > collected and done % every:
        save(tokens)
    return tokens
