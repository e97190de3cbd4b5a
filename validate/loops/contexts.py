"""validate.collect_contexts: next-token prediction as soft labels, one row a distinct context.

With n_j of N tokens after context j, and among them the share p_jk of token k, the mean cross-entropy of a language
model whose features depend on the context alone is

    (1/N) sum_i loss(W h_i, y_i) = sum_j n_j/N sum_k -p_jk log softmax(W h_j + b)_k,

as in Thrampoulidis 2024, "Implicit optimization bias of next-token prediction in linear models" (arXiv 2402.18551).
With free h_j and a decay of W and of each h_j it is the model of Zhao et al. 2024, "Implicit geometry of next-token
prediction" (arXiv 2408.15417).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from ufm import Point, Problem
from ufm.errors import require
from ufm.losses import SoftCrossEntropy
from ufm.results import Shown

from ..models.causal import TokenFeatures, arguments, next_tokens, visible
from ..models.collect import IGNORED
from ..models.heads import Head
from ..statistics.moments import Moments


@dataclass(frozen=True, eq=False)
class Contexts(Shown):
    """The T distinct contexts of a text, the features that a model gives them, and what comes after them.

    tokens   T tuples of token numbers, in the order in which they came first
    point    W (K, d), b (K,) of the output layer, H (T, d) the mean feature of each context, labels 0 .. T-1; float64
    spreads  (T,) sum of |h - h_j|^2 over the context: rounding where the model sees no more than the context
    following  (T, K) int64, sparse: how often each token came after each context
    tied     whether W is also the embedding of the tokens that come in
    """

    tokens: tuple[tuple[int, ...], ...]
    point: Point
    spreads: torch.Tensor
    following: torch.Tensor
    tied: bool

    @property
    def counts(self) -> torch.Tensor:
        """(T,) int64: n_j."""
        return self.following.sum(1).to_dense()

    @property
    def targets(self) -> torch.Tensor:
        """(T, K) float64, dense: p_jk, the soft label of each context."""
        return self.following.to_dense() / self.counts.double()[:, None]

    @property
    def loss(self) -> SoftCrossEntropy:
        """The loss whose mean over the T rows of H is the mean cross-entropy: targets (T/N) n_j p_jk, (T, K) dense."""
        T, N = self.following.shape[0], int(self.counts.sum())
        return SoftCrossEntropy(self.following.to_dense().double() * (T / N))

    def problem(self, lambda_w: float, lambda_h: float, lambda_b: float = 0.0, *, bias: bool = True) -> Problem:
        """The unconstrained feature model with one feature a context, of which `point` is a point.

        `ufm.certify(contexts.problem(...), contexts.point)` bounds how far the network is above its minimum. Decays as
        for `ufm.Problem`, whose errors it raises: a bias without decay needs that every token comes next somewhere.
        """
        return Problem((1,) * len(self.tokens), self.point.dim, lambda_w, lambda_h, lambda_b, bias, self.loss)


def collect_contexts(
    model: nn.Module,
    loader: Iterable[Any],
    last: int | None = None,
    *,
    head: str | Head | None = None,
    least_count: int = 1,
) -> Contexts:
    """The features of a causal language model by context, and what comes after each context, in one pass.

    model, loader, head  as for `validate.TokenFeatures`
    last         the context is so many tokens, or all where there are fewer before; None: the row from its beginning.
                 Padding ("attention_mask" of 0) is no part of it
    least_count  contexts that came less often are left out

    Memory O(T (d + length of a context) + N), on the CPU in float64. Raises InputError as `TokenFeatures` does, and
    where no context is left.
    """
    require(last is None or last >= 1, f"last must be >= 1 token, or None for all; got {last}")
    features = TokenFeatures(model, loader, head)
    W, b = (part.double().cpu() for part in (features.W, features.b))
    K, d = W.shape
    places: dict[bytes, int] = {}
    moments, pairs = Moments.zero(0, d, scatter=False), [torch.zeros(2, 0, dtype=torch.int64)]
    for batch in loader:
        seen, following = (part.cpu() for part in features.of(batch))
        contexts = torch.tensor([places.setdefault(key, len(places)) for key in _keys(batch, last)], dtype=torch.int64)
        moments = _with_room(moments, len(places))
        moments.update(seen, contexts)
        pairs.append(torch.stack([contexts, following]))
    kept = (moments.counts[: len(places)] >= least_count).nonzero().flatten()
    require(len(kept) > 0, f"no context came {max(1, least_count)} times; lower least_count, or give more batches")
    table = _counted(torch.cat(pairs, 1), len(places), K).index_select(0, kept).coalesce()
    tokens = [tuple(np.frombuffer(key, dtype=np.int64).tolist()) for key in places]
    point = Point(W, moments.means[kept], b, torch.arange(len(kept)))
    return Contexts(tuple(tokens[place] for place in kept), point, moments.spreads[kept], table, features.tied)


def _keys(batch: Any, last: int | None) -> list[bytes]:
    """The context of each position that counts, row after row: its tokens as int64."""
    inputs, keys = arguments(batch), []
    rows = (inputs["input_ids"].long(), visible(inputs), next_tokens(batch) != IGNORED)
    for ids, real, counts in zip(*(part.cpu().numpy() for part in rows), strict=True):
        tokens = ids[real]
        for end in real.cumsum()[counts]:
            keys.append(tokens[0 if last is None else max(0, end - last) : end].tobytes())
    return keys


def _with_room(moments: Moments, contexts: int) -> Moments:
    """The moments, with at least twice the room where there are more contexts than rows."""
    more = 0 if contexts <= len(moments.counts) else max(contexts, 2 * len(moments.counts)) - len(moments.counts)
    counts, means, spreads = (
        torch.cat([part, part.new_zeros(more, *part.shape[1:])])
        for part in (moments.counts, moments.means, moments.spreads)
    )
    return Moments(counts, means, spreads, None)


def _counted(pairs: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
    """(rows, columns) int64, sparse: how often each pair of (2, m) comes."""
    return torch.sparse_coo_tensor(pairs, torch.ones_like(pairs[0]), (rows, columns), check_invariants=True).coalesce()
