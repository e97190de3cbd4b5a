r"""
Collapse through the layers of a ResNet
=======================================

Collapse is not of the last layer alone. :cite:t:`he2023law` found a law of data
separation: each layer multiplies the separation fuzziness :math:`D = \mathrm{tr}(SS_W
SS_B^+)` by about the same factor. ``validate.layers`` measures every layer of any torch
classifier, in one forward pass for all.

Here a narrow ResNet18 on scikit-learn's digits, before training and after it.
"""

import torch

import figures
import networks
import validate

EPOCHS, WIDTH, PER_CLASS = 12, 8, 100

digits = networks.load(networks.DataRecipe(per_class=PER_CLASS))
data = torch.utils.data.TensorDataset(
    digits.normalized(digits.train_images), digits.train_labels
)
torch.manual_seed(0)
model = networks.build_model(
    "resnet18", num_classes=10, width=WIDTH, stem="cifar", image_shape=(1, 8, 8)
)
found = {
    "before training": validate.layers(
        model, torch.utils.data.DataLoader(data, batch_size=250)
    )
}

# %%
# A plain loop of torch.

optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)
schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS)
for _epoch in range(EPOCHS):
    model.train()
    for images, labels in torch.utils.data.DataLoader(data, batch_size=50, shuffle=True):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()
    schedule.step()
found[f"after {EPOCHS} epochs"] = validate.layers(
    model, torch.utils.data.DataLoader(data, batch_size=250)
)
found[f"after {EPOCHS} epochs"]

# %%
# A panel a metric, a curve a moment. Before training the layers hardly change how the
# classes lie; after it each of them separates them further. Dashed is the law: a line
# through :math:`\log D`.

drawing = figures.layers_figure(found, "ResNet18, digits")
drawing
