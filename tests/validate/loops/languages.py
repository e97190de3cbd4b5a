"""Small languages and a plain language model; as a program it collects tokens and kills itself in the middle."""

import os
import signal
import sys
from pathlib import Path

import torch
from torch import nn

import validate

K = 23


def text(rows, positions, seed=0, tokens=K):
    """(rows, positions) int64 of a Markov chain in which each token has three successors, a frequent one first."""
    random = torch.Generator().manual_seed(seed)
    successors = torch.randint(0, tokens, (tokens, 3), generator=torch.Generator().manual_seed(7))
    found = [torch.randint(0, tokens, (rows,), generator=random)]
    for _ in range(positions - 1):
        choice = torch.tensor([0.6, 0.3, 0.1]).multinomial(rows, replacement=True, generator=random)
        found.append(successors[found[-1], choice])
    return torch.stack(found, 1)


class Plain(nn.Module):
    """A model with the call convention and no more: it does not say which layer is its head."""

    def __init__(self, tokens=K, dim=6, tied=False):
        super().__init__()
        self.embedding = nn.Embedding(tokens, dim)
        self.hidden = nn.Linear(dim, dim)
        self.out = nn.Linear(dim, tokens)
        if tied:
            self.out.weight = self.embedding.weight

    def forward(self, input_ids, attention_mask=None, labels=None):
        h = self.embedding(input_ids).cumsum(1) / torch.arange(1, input_ids.shape[1] + 1)[:, None]
        return {"logits": self.out(torch.tanh(self.hidden(h)))}


def plain(seed=0, **settings):
    torch.manual_seed(seed)
    return Plain(**settings)


def batches():
    return list(text(24, 9).split(3))


def kill_at(writing):
    """Have the process killed as it is about to rename so many a file into its place."""
    replace, done = Path.replace, []

    def replace_or_die(file, target):
        done.append(target)
        if len(done) == writing:
            os.kill(os.getpid(), signal.SIGKILL)
        return replace(file, target)

    Path.replace = replace_or_die


if __name__ == "__main__":
    torch.set_num_threads(int(sys.argv[2]))
    kill_at(3)
    validate.collect_tokens(plain(), batches(), sys.argv[1], every=2)
