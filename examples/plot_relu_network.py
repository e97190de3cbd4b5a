r"""
A ReLU network beside both theories
===================================

The features of a network end in a ReLU, those of the unconstrained feature model are
free. Which model is the network's? With :math:`H \ge 0` and no bias the minimiser is
another one: its features are orthogonal :cite:p:`dang2024neural`, and closed forms give
its margin and norms (docs/theory, section 12.1). ``validate.compare`` puts a trained
network beside either.

A perceptron on scikit-learn's digits, with and without a bias in its last layer.
"""

import tempfile
from pathlib import Path

import figures
import networks
import validate

EPOCHS, WIDTH = 200, 128
QUANTITIES = {"mean_margin": "mean margin", "norm_w": "|W|", "norm_h": "|H - h_G|"}
MODELS = {"free": "H free", "nonnegative": "H >= 0"}

runs = Path(tempfile.mkdtemp())
recipes = {
    bias: networks.Recipe(epochs=EPOCHS, width=WIDTH, depth=2, bias=bias)
    for bias in (True, False)
}
trained = {
    bias: networks.train(recipe, runs / f"bias-{bias}") for bias, recipe in recipes.items()
}

# %%
# Each network is measured against the minimiser of a model of its own: its class counts,
# d and decays. The decay of the features is what balance implies: :math:`\lambda_H |H|^2
# = \lambda_W |W|^2`.

kinds = [(bias, model) for bias in trained for model in MODELS]
compared = {
    (b, model): validate.compare_run(trained[b], features=model) for b, model in kinds
}
compared[False, "nonnegative"]

# %%
# Network over theory: at 1 the network is at the minimiser. Without a bias the model with
# :math:`H \ge 0` is the nearer one, with a bias the free one.

rows = [
    (bias, model, row.name, row.network / row.theory)
    for (bias, model), comparison in compared.items()
    for row in comparison.rows
    if row.name in QUANTITIES
]
with figures.house_style():
    figure = figures.new_figure(6.8, 1.9)
    panels = dict(
        zip(trained, figure.subplots(1, 2, sharex=True, sharey=True), strict=True)
    )
    for i, (bias, model) in enumerate(kinds):
        ratios = [ratio for *kind, _, ratio in rows if kind == [bias, model]]
        look = {"color": f"C{i % 2}", "marker": "os"[i % 2], "linestyle": ""}
        panels[bias].plot(ratios, range(len(ratios)), label=MODELS[model], **look)
    for bias, axes in panels.items():
        axes.axvline(1, color="black", linewidth=0.7, linestyle=":")
        axes.set(title=f"with{'' if bias else 'out'} a bias", xlabel="network / theory")
        axes.set_yticks(range(len(QUANTITIES)), QUANTITIES.values())
        axes.set_ylim(len(QUANTITIES) - 0.5, -0.5)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper left", ncols=2)

caption = f"Perceptrons on digits, {EPOCHS} epochs, over the minimisers of both models."
header = ("bias", "model", "quantity", "network / theory")
drawing = figures.Drawing(figure, caption, header, rows)
drawing
