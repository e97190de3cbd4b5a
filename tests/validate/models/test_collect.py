"""The last layer of any classifier, found and left as it was."""

import pytest
import torch
from torch import nn

from ufm import InputError
from validate import collect


def make(bias=True):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Dropout(0.5), nn.Linear(6, 3, bias=bias))


def batches(sizes=(5, 3)):
    generator = torch.Generator().manual_seed(1)
    return [(torch.randn(n, 4, generator=generator), torch.arange(n) % 3) for n in sizes]


@pytest.mark.parametrize("bias", [True, False])
def test_logits_of_the_point_are_the_models(bias):
    model, data = make(bias), batches()
    point, labels = collect(model, data)
    model.eval()
    torch.testing.assert_close(point.logits, model(torch.cat([x for x, _ in data])))
    assert torch.equal(labels, torch.cat([y for _, y in data]))
    assert point.H.shape == (8, 6)
    assert bool(point.b.any()) is bias


def test_model_is_left_as_it_was():
    model = make()
    model.train()
    model[1].eval()
    modes = [module.training for module in model.modules()]
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    point, _ = collect(model, batches())
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(state[name], tensor) for name, tensor in model.state_dict().items())
    assert not any(module._forward_pre_hooks for module in model.modules())
    assert not point.W.requires_grad
    assert not point.H.requires_grad
    with torch.no_grad():
        model[-1].weight.zero_()
    assert point.W.any()


def test_hooks_are_removed_on_error():
    model = make()
    with pytest.raises(RuntimeError):
        collect(model, [(torch.zeros(2, 99), torch.zeros(2))])
    assert not any(module._forward_pre_hooks for module in model.modules())
    assert model.training


def test_head_by_name_or_module():
    model = make()
    for head in ("0", model[0]):
        point, _ = collect(model, batches(), head=head)
        assert point.W.shape == (6, 4)


class Backwards(nn.Module):
    """Registers its head first: order of use decides, not order of registration."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(5, 2)
        self.body = nn.Linear(4, 5)

    def forward(self, x):
        return self.head(self.body(x))


def test_head_is_the_layer_used_last():
    point, _ = collect(Backwards(), batches())
    assert point.W.shape == (2, 5)


BAD = {
    "no data": (make, [], None, "no batch"),
    "no such head": (make, batches(), "fc", "no Linear layer named 'fc'; the model has 0, 4"),
    "no linear layer": (lambda: nn.Sequential(nn.ReLU()), batches(), None, "no torch.nn.Linear layer"),
}


@pytest.mark.parametrize(("model", "data", "head", "message"), BAD.values(), ids=BAD)
def test_refuses(model, data, head, message):
    with pytest.raises(InputError, match=message):
        collect(model(), data, head=head)
