r"""
A ReLU network beside both theories
===================================

The features of a network end in a ReLU, those of the unconstrained feature model are free. Which model is the
network's? With :math:`H \ge 0` and no bias the minimiser is another one: its features are orthogonal
:cite:p:`dang2024neural`, and closed forms give its margin and norms (docs/theory, section 12.1). ``validate.compare``
puts a trained network beside either.

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
recipes = {bias: networks.Recipe(epochs=EPOCHS, width=WIDTH, depth=2, bias=bias) for bias in (True, False)}
trained = {bias: networks.train(recipe, runs / f"bias-{bias}") for bias, recipe in recipes.items()}

# %%
# Each network is measured against the minimiser of a model of its own: its class counts, d and decays. The decay of
# the features is what balance implies: :math:`\lambda_H |H|^2 = \lambda_W |W|^2`.

compared = {
    (bias, model): validate.compare_run(run, features=model) for bias, run in trained.items() for model in MODELS
}
compared[False, "nonnegative"]

# %%
# Network over theory: at 1 the network is at the minimiser. Without a bias the model with :math:`H \ge 0` is the
# nearer one, with a bias the free one.

rows = [
    (bias, model, row.name, row.network / row.theory)
    for (bias, model), comparison in compared.items()
    for row in comparison.rows
    if row.name in QUANTITIES
]
with figures.house_style():
    figure = figures.new_figure(6.8, 1.9)
    for axes, bias in zip(figure.subplots(1, 2, sharex=True, sharey=True), trained, strict=True):
        axes.axvline(1, color="black", linewidth=0.7, linestyle=":")
        for i, model in enumerate(MODELS):
            ratios = [ratio for of, which, _, ratio in rows if (of, which) == (bias, model)]
            axes.plot(ratios, range(len(ratios)), "os"[i], color=f"C{i}", label=MODELS[model])
        axes.set(title="with a bias" if bias else "without a bias", xlabel="network / theory")
        axes.set_yticks(range(len(QUANTITIES)), QUANTITIES.values())
        axes.set_ylim(len(QUANTITIES) - 0.5, -0.5)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper left", ncols=2)

caption = f"Margin and norms of perceptrons on digits after {EPOCHS} epochs over those of both models' minimisers."
drawing = figures.Drawing(figure, caption, ("bias", "model", "quantity", "network / theory"), rows)
drawing
