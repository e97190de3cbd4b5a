"""Two processes, each with its share of the data, find what one finds with all of it; and fail together."""

import socket

import pytest
import torch

from tests.validate.layerwise.networks import cut, draw, perceptron
from tests.validate.loops.ranks import leave
from ufm import InputError
from ufm.storage.files import read_json, write_json
from validate import Layers, layers

NAMES = ["1", "3"]
COUNTS = (13, 4, 9, 20)


def two_ranks(rank: int, port: int, folder: str) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    model, (inputs, labels) = perceptron(), draw(COUNTS)
    order = labels.argsort(stable=True)  # the first process has neither of the last classes
    mine = order[:20] if rank == 0 else order[20:]
    found = layers(model, cut(inputs[mine], labels[mine], 7), names=NAMES)
    inputs[mine[0]] = torch.nan if rank else 0.0
    with pytest.raises(InputError) as error:
        layers(model, cut(inputs[mine], labels[mine], 7), names=NAMES)
    write_json(f"{folder}/{rank}.json", {"found": found.plain(), "error": str(error.value)})
    leave()


def test_two_processes_find_the_numbers_of_one(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torch.multiprocessing.spawn(two_ranks, (port, str(tmp_path)), nprocs=2)
    expected = layers(perceptron(), [draw(COUNTS)], names=NAMES)
    said = []
    for rank in range(2):
        read = read_json(tmp_path / f"{rank}.json")
        said.append(read["error"])
        for row, one in zip(Layers.from_plain(read["found"]), expected, strict=True):
            assert row.name == one.name
            assert row.principal_angles == pytest.approx(one.principal_angles, abs=1e-7)
            for name, value in vars(one).items():
                if isinstance(value, int | float):
                    assert getattr(row, name) == pytest.approx(value, rel=1e-9, nan_ok=True), name
    assert said[0] == "another process could not measure its share of the data; its own error says why"
    assert "features have entries that are not finite" in said[1]
