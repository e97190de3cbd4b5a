r"""
A language model's vocabulary
=============================

A language model is a classifier too: the class of a position is the token that comes
next, so that :math:`K` is the size of the vocabulary, far above :math:`d`, and classes
are as unequal as words are. :cite:t:`wu2024linguistic` measure how far collapse gets
there. ``validate.collect_tokens`` streams over any causal language model and keeps no
features.

The text is what every Python has at hand: the help topics of ``pydoc``. The model sees
two words and predicts the third.
"""

import re
from collections import Counter
from pydoc_data.topics import topics

import torch

import figures
import validate

VOCABULARY, WORDS, EPOCHS, DIM = 400, 60_000, 6, 32

words = re.findall(r"[a-z]+|[.,:]", " ".join(topics.values()).lower())[:WORDS]
common = {
    word: i for i, (word, _) in enumerate(Counter(words).most_common(VOCABULARY - 1), 1)
}
text = torch.tensor([common.get(word, 0) for word in words])  # 0: any word that is rarer
batches = text[: len(text) // 640 * 640].reshape(-1, 20, 32)


class Trigram(torch.nn.Module):
    """The next word from the last two: embeddings, a hidden layer, an output layer."""

    def __init__(self):
        super().__init__()
        self.embedding = torch.nn.Embedding(VOCABULARY, DIM)
        self.hidden = torch.nn.Linear(2 * DIM, DIM)
        self.out = torch.nn.Linear(DIM, VOCABULARY)

    def forward(self, input_ids):
        now = self.embedding(input_ids)
        before = torch.nn.functional.pad(now, (0, 0, 1, 0))[:, :-1]
        return self.out(torch.tanh(self.hidden(torch.cat([now, before], 2))))


torch.manual_seed(0)
model = Trigram()
seen = {"before training": validate.collect_tokens(model, list(batches), head="out")}

# %%
# A plain loop of torch, and one pass over the text again. Words that come less than 20
# times are left out of the numbers.

optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=1e-2)
for _epoch in range(EPOCHS):
    for batch in batches:
        optimizer.zero_grad()
        logits, following = model(batch)[:, :-1].flatten(0, 1), batch[:, 1:].flatten()
        torch.nn.functional.cross_entropy(logits, following).backward()
        optimizer.step()
seen[f"after {EPOCHS} epochs"] = validate.collect_tokens(model, list(batches), head="out")
seen[f"after {EPOCHS} epochs"].neural_collapse(least_count=20)

# %%
# A point is a word: how far its features spread about their mean, and the angle between
# its row of :math:`W` and that mean, against how often it comes. Training turns rows and
# means towards each other, those of frequent words a little more, and the spread of
# frequent words falls. Yet features of one word are still further from each other than
# its mean is from that of all: two words before do not tell the third.

rows = []
with figures.house_style():
    figure = figures.new_figure(6.8, 2.4)
    left, right = figure.subplots(1, 2)
    for moment, tokens in seen.items():
        often = tokens.classes(least_count=20)[1:]  # 0 are all rarer words
        statistics = tokens.statistics(least_count=20)
        means, W = statistics.centred[often], tokens.W[often].double()
        spreads = statistics.variances[often] / means.square().sum(1)
        cosines = torch.nn.functional.cosine_similarity(W, means)
        counts = tokens.counts[often]
        left.plot(counts, spreads, "o", markersize=2, alpha=0.6, label=moment)
        right.plot(counts, cosines, "o", markersize=2, alpha=0.6)
        rows += [
            (moment, *row) for row in torch.stack([counts, spreads, cosines], 1).tolist()
        ]
    left.set(title="variance of the features over |h_k - h_G|^2", yscale="log")
    right.set(title="cosine of w_k and h_k - h_G")
    for axes in (left, right):
        axes.set(xscale="log", xlabel="how often the word comes")
    figure.legend(loc="outside upper left", ncols=2)

caption = f"Words that come 20 times or more, K = {VOCABULARY}, d = {DIM}."
drawing = figures.Drawing(figure, caption, ("moment", "count", "spread", "cosine"), rows)
drawing
