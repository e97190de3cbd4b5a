"""Collapse inside other people's loops: plain PyTorch, Lightning, and what pandas makes of it."""

import math
import warnings
from dataclasses import asdict

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import validate
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


def trainer_of(lightning, folder, callback):
    return lightning.Trainer(
        max_epochs=3,
        accelerator="cpu",
        callbacks=[callback],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
    )


@pytest.mark.filterwarnings("ignore")  # Lightning's own advice on workers and intervals
def test_the_lightning_callback_logs_what_collect_measures(lightning, tmp_path):
    from validate.lightning import CollapseCallback

    net = model()
    module, callback = module_of(lightning, net), CollapseCallback("net.3", prefix="val_")
    trainer = trainer_of(lightning, tmp_path, callback)
    trainer.fit(module, loader(shuffle=True), loader())
    expected = asdict(validate.neural_collapse(*validate.collect(net, loader())))
    assert [row["epoch"] for row in callback.rows] == [0, 1, 2]
    assert not any(layer._forward_pre_hooks for layer in net.modules())
    for name, value in expected.items():
        if name == "nearest_center_disagreement":
            assert math.isnan(callback.rows[-1]["val_" + name])
            continue
        assert callback.rows[-1]["val_" + name] == pytest.approx(value, rel=1e-6), name
        assert float(trainer.callback_metrics["val_" + name]) == pytest.approx(value, rel=1e-5), name


@pytest.mark.filterwarnings("ignore")
def test_a_head_that_validation_does_not_use_is_named(lightning, tmp_path):
    from validate.lightning import CollapseCallback

    net = model()
    module = module_of(lightning, net)
    module.other = nn.Linear(2, 2)
    with pytest.raises(InputError, match="did not run through 'other'"):
        trainer_of(lightning, tmp_path, CollapseCallback("other")).fit(module, loader(), loader())
    assert not module.other._forward_pre_hooks
