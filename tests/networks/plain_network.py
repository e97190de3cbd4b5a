"""`ufm` with one more model in its table, an mlp without normalisation: a program for tests of several processes.

Takes several command lines, each after a word "ufm"; ends with the first status that is not 0.
"""

import sys

from torch import nn

from cli.main import main
from networks import models
from networks.backbones import Family


def plain(recipe, image_shape):
    size, width, dim = image_shape[0] * image_shape[1] * image_shape[2], recipe.width, recipe.feature_dim
    return nn.Sequential(nn.Flatten(), nn.Linear(size, width), nn.Tanh(), nn.Linear(width, dim), nn.Tanh()), dim


PLAIN = Family(lambda: ("plain",), ("width", "depth"), False, (1, 8, 8), plain)


def run(words):
    commands = []
    for word in words:
        commands.append([]) if word == "ufm" else commands[-1].append(word)
    return next((status for status in map(main, commands) if status), 0)


if __name__ == "__main__":
    models.BACKBONES = (PLAIN, *models.BACKBONES)
    sys.exit(run(sys.argv[1:]))
