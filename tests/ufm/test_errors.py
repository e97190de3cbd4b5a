"""An error says the same in Python's words and, of the settings that it carries, in any other's."""

import copy
import pickle

import pytest
import torch

import ufm
from ufm.errors import Call, Setting, given, require

DEVICE = Setting("device", "cpu")
RESUME = Call("networks.train", Setting("resume", True))
ERRORS = {
    "text alone": (ufm.InputError("no CUDA device"), "no CUDA device", ()),
    "a mend": (ufm.InputError("no CUDA device", ("use ", DEVICE)), "no CUDA device; use device='cpu'", (DEVICE,)),
    "a setting": (
        ufm.InputError((Setting("lr"), " must be > 0")),
        "lr must be > 0",
        (Setting("lr"),),
    ),
    "a call": (
        ufm.NoClosedForm("no point yet", ("go on with ", RESUME)),
        "no point yet; go on with networks.train(..., resume=True)",
        (Setting("resume", True),),
    ),
    "a call of nothing": (ufm.InputError("no run", ("make one with ", Call("networks.train"))), None, ()),
}


@pytest.mark.parametrize(("error", "said", "settings"), ERRORS.values(), ids=ERRORS)
def test_what_it_says_and_carries(error, said, settings):
    assert str(error) == (said or "no run; make one with networks.train")
    assert error.settings == settings
    assert error.args == (str(error),)


@pytest.mark.parametrize("copied", [lambda e: pickle.loads(pickle.dumps(e)), copy.copy, copy.deepcopy])
@pytest.mark.parametrize("error", [error for error, *_ in ERRORS.values()], ids=ERRORS)
def test_it_passes_between_processes_whole(error, copied):
    again = copied(error)
    assert type(again) is type(error)
    assert (again.message, again.mend, str(again)) == (error.message, error.mend, str(error))


def test_words_are_said_in_any_way():
    error = ufm.InputError((Setting("lr"), " is high"), ("lower ", Setting("lr", 0.1), " or ", RESUME))
    assert error.said(lambda word: f"<{type(word).__name__}>") == "<Setting> is high; lower <Setting> or <Call>"


def test_require_raises_what_it_is_told():
    require(True, "nothing")
    with pytest.raises(ufm.InputError, match=r"^no; pass bias=False$") as caught:
        require(False, "no", ("pass ", Setting("bias", False)))
    assert caught.value.settings == (Setting("bias", False),)


def test_given_is_the_value_or_raises():
    assert given(0, "nothing") == 0
    with pytest.raises(ufm.InputError, match=r"^no; pass bias=False$") as caught:
        given(None, "no", ("pass ", Setting("bias", False)))
    assert caught.value.settings == (Setting("bias", False),)


def test_an_error_of_the_theory_carries_its_setting():
    with pytest.raises(ufm.InputError, match=r"^lambda_w must be a finite number > 0, got -1$") as caught:
        ufm.Problem((2, 2), 3, -1, 1.0, 1.0)
    assert caught.value.settings == (Setting("lambda_w"),)
    point = ufm.Point(torch.ones(2, 2), torch.ones(2, 2), torch.ones(2))
    import validate

    with pytest.raises(ufm.InputError, match=r"not zero; leave bias=False out$") as caught:
        validate.compare(point, torch.tensor([0, 1]), lambda_w=1e-3, bias=False)
    assert caught.value.settings == (Setting("bias", False),)
