"""`ufm` with one more model in its table, an mlp without normalisation: a program for tests of several processes.

Takes several command lines, each after a word "ufm"; ends with the first status that is not 0.
"""

import sys

from torch import nn

from cli.main import main
from networks import BACKBONES


def plain(image_shape, feature_dim, width, depth):
    size = image_shape[0] * image_shape[1] * image_shape[2]
    return nn.Sequential(nn.Flatten(), nn.Linear(size, width), nn.Tanh(), nn.Linear(width, feature_dim), nn.Tanh())


def run(words):
    commands = []
    for word in words:
        commands.append([]) if word == "ufm" else commands[-1].append(word)
    return next((status for status in map(main, commands) if status), 0)


if __name__ == "__main__":
    BACKBONES["plain"] = plain
    sys.exit(run(sys.argv[1:]))
