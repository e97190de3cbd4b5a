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
    for head in ("4", model[4]):
        point, _ = collect(model, batches(), head=head)
        assert point.W.shape == (3, 6)


class Several(nn.Module):
    """A hidden layer as wide as there are classes, logits of two layers, and embeddings beside them."""

    def __init__(self, returns):
        super().__init__()
        torch.manual_seed(0)
        self.body, self.narrow = nn.Linear(4, 6), nn.Linear(6, 3)
        self.head, self.aside, self.returns = nn.Linear(3, 3), nn.Linear(3, 3), returns

    def forward(self, x):
        hidden = torch.relu(self.narrow(torch.relu(self.body(x))))
        return self.returns(hidden, self.aside(hidden), self.head(hidden))


def twice(hidden, aside, logits):
    """Logits that a further product makes: no layer's."""
    return logits @ torch.tensor([[1.0, 2, 0], [0, 1, 2], [2, 0, 1]])


HIDDEN = {  # a layer that is named, what the model returns, and whether it can be told from that
    "wider than the classes": ("body", lambda hidden, aside, logits: logits, True),
    "as wide as the classes": ("narrow", lambda hidden, aside, logits: logits, True),
    "wider, and products after it": ("body", twice, True),
    "as wide, and products after it": ("narrow", twice, False),
    "the head": ("head", lambda hidden, aside, logits: logits, False),
    "the head, and a softmax after it": ("head", lambda hidden, aside, logits: logits.softmax(1), False),
    "another head, returned first": ("aside", lambda hidden, aside, logits: (aside, logits), False),
    "another head, in a sum": ("aside", lambda hidden, aside, logits: aside.detach() + 2 * logits, False),
    "another head, not returned": ("aside", lambda hidden, aside, logits: logits, False),
    "a head whose answers alone are returned": ("head", lambda hidden, aside, logits: logits.argmax(1), False),
    "a head beside embeddings": ("aside", lambda hidden, aside, logits: hidden, False),
}


@pytest.mark.parametrize(("name", "returns", "told"), HIDDEN.values(), ids=HIDDEN)
def test_a_hidden_layer_that_is_named_is_told(name, returns, told):
    """Where the outputs decide it; what a layer is said to be is believed where they do not."""
    model = Several(returns)
    for head in (name, model.get_submodule(name)):
        if told:
            with pytest.raises(InputError, match=f"head='{name}' is a hidden layer: .* are not the classes"):
                collect(model, batches(), head=head)
        else:
            assert torch.equal(collect(model, batches(), head=head)[0].W, model.get_submodule(name).weight)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_where_the_model_returns_what_the_head_says_nothing_more_is_asked_of_it():
    model, ran = make(), []
    model.register_forward_hook(lambda *_: ran.append(1))
    collect(model, batches(), head="4")
    assert len(ran) == 2  # once a batch


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
