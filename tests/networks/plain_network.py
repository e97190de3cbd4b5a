"""`ufm` with one more model, an mlp without normalisation, and one more data set: for tests of several processes.

Takes several command lines, each after a word "ufm"; ends with the first status that is not 0.
"""

import sys
import time

from torch import nn

from networks.data import datasets
from networks.models import build as models
from networks.models.backbones import Family
from ufm_cli.main import main


def plain(recipe, image_shape):
    size, width, dim = image_shape[0] * image_shape[1] * image_shape[2], recipe.width, recipe.feature_dim
    return nn.Sequential(nn.Flatten(), nn.Linear(size, width), nn.Tanh(), nn.Linear(width, dim), nn.Tanh()), dim


PLAIN = Family(lambda: ("plain",), ("width", "depth"), False, (1, 8, 8), plain)


def shelf(place):
    """The digits; who finds them missing puts them into a folder, slowly, and notes it, others note that they came."""
    there = (place.folder / "there").exists()
    with (place.folder / "notes").open("a") as notes:
        notes.write("found\n" if there else "put\n")
    if not there:
        time.sleep(1.0)
        (place.folder / "there").touch()
    return datasets.digits(place)


def run(words):
    commands = []
    for word in words:
        commands.append([]) if word == "ufm" else commands[-1].append(word)
    return next((status for status in map(main, commands) if status), 0)


if __name__ == "__main__":
    datasets.DATASETS["shelf"] = shelf
    models.BACKBONES = (PLAIN, *models.BACKBONES)
    sys.exit(run(sys.argv[1:]))
