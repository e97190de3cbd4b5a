"""Collapse inside other people's loops: plain PyTorch, Lightning, and what pandas makes of it."""

import math
import warnings
from dataclasses import asdict

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import validate
from tests.validate.loops.ranks import leave
from ufm import InputError

LOOPS = 'needs pip install -e ".[loops]"'
CLASSES = torch.arange(60) % 3
INPUTS = torch.eye(3)[CLASSES] @ torch.randn(3, 8, generator=torch.Generator().manual_seed(0))


def loader(shuffle=False):
    noise = 0.3 * torch.randn(60, 8, generator=torch.Generator().manual_seed(1))
    return DataLoader(TensorDataset(INPUTS + noise, CLASSES), batch_size=16, shuffle=shuffle)


def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Dropout(0.1), nn.Linear(16, 3))


def test_the_recorder_measures_a_plain_loop():
    net = model()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, weight_decay=1e-3)
    record = validate.CollapseRecorder(net, loader())
    for epoch in range(20):
        net.train()
        for x, y in loader():
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(x), y).backward()
            optimizer.step()
        row = record(epoch=epoch)
        assert net.training
    assert row is record.rows[-1]
    assert [row["epoch"] for row in record.rows] == list(range(20))
    assert record.rows[-1]["nc1"] < record.rows[0]["nc1"]
    expected = asdict(validate.neural_collapse(*validate.collect(net, loader())))
    assert {name: row[name] for name in expected} == pytest.approx(expected, rel=1e-9)


def test_records_are_tables():
    pandas = pytest.importorskip("pandas", reason=LOOPS)
    record = validate.CollapseRecorder(model(), loader())
    record(epoch=0), record(epoch=1)
    frame = pandas.DataFrame(record.rows).set_index("epoch")
    assert frame.shape == (2, len(asdict(validate.neural_collapse(*validate.collect(model(), loader())))))
    assert all(kind.kind in "if" for kind in frame.dtypes)
    classes = pandas.DataFrame(validate.per_class(*validate.collect(model(), loader())))
    assert classes["samples"].sum() == 60


@pytest.fixture
def lightning():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what Lightning imports
        return pytest.importorskip("lightning.pytorch", reason=LOOPS)


def module_of(lightning, net):
    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.net = net

        def training_step(self, batch, _):
            return nn.functional.cross_entropy(self.net(batch[0]), batch[1])

        def validation_step(self, batch, _):
            self.log("val_loss", nn.functional.cross_entropy(self.net(batch[0]), batch[1]))

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.1, weight_decay=1e-3)

    return Module()


def trainer_of(lightning, folder, callback, **settings):
    return lightning.Trainer(
        max_epochs=3,
        accelerator="cpu",
        callbacks=[callback],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
        **settings,
    )


@pytest.mark.filterwarnings("ignore")  # Lightning's own advice on workers and intervals
def test_the_lightning_callback_takes_a_convolution_that_is_averaged(lightning, tmp_path):
    from validate.loops.lightning import CollapseCallback

    torch.manual_seed(0)
    net = nn.Sequential(nn.Unflatten(1, (2, 4)), nn.Conv1d(2, 6, 1), nn.ReLU(), nn.Conv1d(6, 3, 1))
    net = nn.Sequential(net, nn.AdaptiveAvgPool1d(1), nn.Flatten())
    module, callback = module_of(lightning, net), CollapseCallback("net.0.3", average=True)
    trainer_of(lightning, tmp_path, callback).fit(module, loader(shuffle=True), loader())
    expected = asdict(validate.neural_collapse(*validate.collect(net, loader())))
    assert {name: callback.rows[-1][name] for name in ("nc1", "nc2", "nc3", "nc4")} == pytest.approx(
        {name: expected[name] for name in ("nc1", "nc2", "nc3", "nc4")}, rel=1e-5
    )


@pytest.mark.filterwarnings("ignore")  # Lightning's own advice on workers and intervals
def test_the_lightning_callback_logs_what_collect_measures(lightning, tmp_path):
    from validate.loops.lightning import CollapseCallback

    net = model()
    module, callback = module_of(lightning, net), CollapseCallback("net.3", prefix="val_")
    trainer = trainer_of(lightning, tmp_path, callback)
    trainer.fit(module, loader(shuffle=True), loader())
    expected = asdict(validate.neural_collapse(*validate.collect(net, loader())))
    assert [row["epoch"] for row in callback.rows] == [0, 1, 2]
    assert not any(layer._forward_pre_hooks for layer in net.modules())
    for name, value in expected.items():
        if name in ("nearest_center_disagreement", "nearest_center_accuracy"):
            assert math.isnan(callback.rows[-1]["val_" + name])
            continue
        assert callback.rows[-1]["val_" + name] == pytest.approx(value, rel=1e-6), name
        assert float(trainer.callback_metrics["val_" + name]) == pytest.approx(value, rel=1e-5), name


@pytest.mark.filterwarnings("ignore")
def test_the_lightning_callback_takes_definitions(lightning, tmp_path):
    from validate.loops.lightning import CollapseCallback

    with pytest.raises(InputError, match="centre must be"):
        CollapseCallback("net.3", centre="class")
    net, callback = model(), CollapseCallback("net.3", centre_w=True)
    trainer_of(lightning, tmp_path, callback).validate(module_of(lightning, net), loader(), verbose=False)
    point, labels = validate.collect(net, loader())
    expected, paper = (validate.neural_collapse(point, labels, centre_w=w).nc2 for w in (True, False))
    assert callback.rows[-1]["nc2"] == pytest.approx(expected, rel=1e-6)
    assert abs(expected - paper) > 1e-3 * paper


@pytest.mark.filterwarnings("ignore")
def test_the_lightning_callback_measures_held_out_data_about_training_centres(lightning, tmp_path):
    from validate.loops.lightning import CollapseCallback

    inputs, classes = loader().dataset.tensors
    held_out = DataLoader(TensorDataset(inputs + 0.5, classes), batch_size=16)
    net, train = model(), loader()
    module, callback = module_of(lightning, net), CollapseCallback("net.3", reference=train)
    with pytest.raises(InputError, match=r"Module needs forward\(inputs\)"):
        trainer_of(lightning, tmp_path, callback).fit(module, loader(shuffle=True), held_out)
    type(module).forward = lambda self, x: self.net(x)
    trainer_of(lightning, tmp_path, callback).fit(module, loader(shuffle=True), held_out)
    point, labels = validate.collect(net, held_out)
    about = validate.neural_collapse(point, labels, reference=validate.collect(net, train)).nc1
    assert callback.rows[-1]["nc1"] == pytest.approx(about, rel=1e-5)
    assert abs(about - validate.neural_collapse(point, labels).nc1) > 0.01 * about


@pytest.mark.filterwarnings("ignore")
def test_labels_that_do_not_fit_are_refused(lightning, tmp_path):
    from validate.loops.lightning import CollapseCallback

    net = model()
    callback = CollapseCallback("net.3", labels=lambda batch: batch[1][:-1])
    with pytest.raises(InputError, match=r"which need labels of shape \(16,\).*got \(15,\)"):
        trainer_of(lightning, tmp_path, callback).validate(module_of(lightning, net), loader())
    assert not any(layer._forward_pre_hooks for layer in net.modules())


@pytest.mark.filterwarnings("ignore")
def test_several_loaders_are_one_data_set(lightning, tmp_path):
    from validate.loops.lightning import CollapseCallback

    net, halves = model(), [DataLoader(TensorDataset(INPUTS[i::2], CLASSES[i::2]), 8) for i in range(2)]
    module = module_of(lightning, net)
    module.validation_step = lambda batch, index, dataloader_idx=0: net(batch[0]) * 0
    expected = asdict(validate.neural_collapse(*validate.collect(net, DataLoader(TensorDataset(INPUTS, CLASSES), 8))))
    for loaders in (halves, dict(enumerate(halves))):
        callback = CollapseCallback("net.3")
        trainer_of(lightning, tmp_path, callback).validate(module, loaders, verbose=False)
        row = callback.rows[0]
        assert {name: row[name] for name in ("nc2", "nc3", "rank")} == pytest.approx(
            {name: expected[name] for name in ("nc2", "nc3", "rank")}
        )


@pytest.mark.filterwarnings("ignore")
def test_a_head_that_validation_does_not_use_is_named(lightning, tmp_path):
    from validate.loops.lightning import CollapseCallback

    net = model()
    module = module_of(lightning, net)
    module.other = nn.Linear(2, 2)
    with pytest.raises(InputError, match="did not run through 'other'"):
        trainer_of(lightning, tmp_path, CollapseCallback("other")).fit(module, loader(), loader())
    assert not module.other._forward_pre_hooks


@pytest.mark.filterwarnings("ignore")
def test_a_layer_that_is_no_head_is_refused(lightning, tmp_path):
    from validate.loops.lightning import CollapseCallback

    module = module_of(lightning, model())
    with pytest.raises(InputError, match=r"head must name a Linear layer .*; 'net.1' is ReLU\(\)"):
        trainer_of(lightning, tmp_path, CollapseCallback("net.1")).validate(module, loader())


def uneven(samples: int) -> TensorDataset:
    generator = torch.Generator().manual_seed(2)
    labels = torch.arange(samples) % 3
    return TensorDataset(INPUTS[:samples] + torch.randn(samples, 8, generator=generator), labels)


def validate_on_a_rank(rank: int, port: int, folder: str, sizes: tuple[int, ...]) -> None:
    import os

    import lightning.pytorch

    from ufm.storage.files import write_json
    from validate.loops.lightning import CollapseCallback

    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2", "GROUP_RANK": "0"}
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "LOCAL_WORLD_SIZE": "2", "TORCHELASTIC_RUN_ID": "test"}
    found = []
    for samples in sizes:
        callback = CollapseCallback("net.3")
        trainer = trainer_of(lightning.pytorch, folder, callback, devices=2, strategy="ddp")
        trainer.validate(module_of(lightning.pytorch, model()), DataLoader(uneven(samples), 4), verbose=False)
        found.append(callback.rows)
    write_json(f"{folder}/{rank}.json", found)
    leave()


def test_two_ranks_give_the_rows_of_one_process(lightning, tmp_path):
    """24 samples are dealt evenly; of 25 Lightning's sampler repeats one, and of 17 it makes a batch of a repeat."""
    import socket

    from ufm.storage.files import read_json

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    sizes = (24, 25, 17)
    torch.multiprocessing.start_processes(
        validate_on_a_rank, (port, str(tmp_path), sizes), nprocs=2, start_method="fork"
    )
    found = [read_json(tmp_path / f"{rank}.json") for rank in range(2)]
    assert found[0] == found[1]
    for samples, rows in zip(sizes, found[0], strict=True):
        expected = asdict(validate.neural_collapse(*validate.collect(model(), DataLoader(uneven(samples), 5))))
        assert len(rows) == 1
        for name in ("nearest_center_disagreement", "nearest_center_accuracy"):
            assert rows[0].pop(name) is None
        assert rows[0] == pytest.approx({name: expected.get(name, 0) for name in rows[0]}, rel=1e-5, abs=1e-7)


def test_the_callback_can_be_sent_to_another_process(lightning):
    import pickle

    from validate.loops.lightning import CollapseCallback

    assert pickle.loads(pickle.dumps(CollapseCallback("fc"))).labels((1, 2)) == 2


@pytest.mark.parametrize(("samples", "ranks", "batch"), [(25, 2, 4), (17, 2, 4), (7, 3, 2), (2, 4, 1), (5, 1, 2)])
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("positions", [1, 3])
def test_what_a_distributed_sampler_repeats_is_counted_once(samples, ranks, batch, shuffle, positions):
    from torch.utils.data import DistributedSampler

    from validate.loops.padding import unrepeated

    seen = []
    for rank in range(ranks):
        sampler = DistributedSampler(range(samples), ranks, rank, shuffle=shuffle)
        rows = DataLoader(range(samples), batch, sampler=sampler)
        for index, x in enumerate(rows):
            x = x.repeat_interleave(positions)
            seen += x[: unrepeated(rows, index, len(x))].tolist()
    assert sorted(seen) == sorted(list(range(samples)) * positions)
