"""Language models: every number against numpy on the model's own hidden states, and what a killed call leaves."""

import math
import signal
import subprocess
import sys
import warnings
from dataclasses import asdict

import numpy as np
import pytest
import torch
from torch.nn import functional

import ufm
import validate
from tests.validate.loops.languages import K, batches, plain, text
from ufm import InputError
from ufm.storage.locks import held

D = 8


@pytest.fixture(scope="module")
def transformers():
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        patch.setenv("HF_HUB_OFFLINE", "1")
        warnings.simplefilter("ignore")  # of what it imports
        library = pytest.importorskip("transformers", reason='needs pip install -e ".[loops]"')
        library.logging.set_verbosity_error()
        yield library


def gpt2(library):
    torch.manual_seed(0)
    settings = {"n_layer": 1, "n_embd": D, "n_head": 2, "n_positions": 16, "bos_token_id": 0, "eos_token_id": 0}
    return library.GPT2LMHeadModel(library.GPT2Config(vocab_size=K, **settings))


def llama(library):
    torch.manual_seed(0)
    sizes = {"hidden_size": D, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    return library.LlamaForCausalLM(library.LlamaConfig(vocab_size=K, max_position_embeddings=16, **sizes))


MODELS = {"gpt2": (gpt2, True), "llama": (llama, False)}


@pytest.fixture(scope="module", params=MODELS)
def trained(request, transformers):
    """(a model that was trained for three dozen steps, whether its embeddings are tied)."""
    make, tied = MODELS[request.param]
    model = make(transformers)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.03)
    for step in range(36):
        ids = text(16, 10, seed=step)
        optimizer.zero_grad()
        model(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
    return model, tied


def collated():
    """Batches as collators make them: padding on the right, on the left, ignored labels, and an odd size."""
    ids, right, left = text(10, 9, seed=99), torch.ones(10, 9, dtype=torch.int64), torch.ones(10, 9, dtype=torch.int64)
    right[1, 5:] = right[2, 1:] = left[0, :4] = 0
    labels = ids.clone()
    labels[0, :3] = labels[2, 6] = -100
    return [
        {"input_ids": ids[:4], "attention_mask": right[:4]},
        {"input_ids": ids[4:7], "attention_mask": left[:3]},
        {"input_ids": ids[7:], "labels": labels[:3]},
    ]


def pairs(model, loader):
    """(features (N, d), next tokens (N,)) of the positions that count, one by one, by the model's own hidden states."""
    features, following = [], []
    model.eval()
    for batch in loader:
        ids, mask = batch["input_ids"], batch.get("attention_mask", torch.ones_like(batch["input_ids"]))
        with torch.no_grad():
            hidden = model(input_ids=ids, attention_mask=mask, output_hidden_states=True).hidden_states[-1]
        for row in range(len(ids)):
            for t in range(ids.shape[1] - 1):
                target = int(batch.get("labels", ids)[row, t + 1])
                if mask[row, t] == 1 and mask[row, t + 1] == 1 and target != -100:
                    features.append(hidden[row, t].double().numpy())
                    following.append(target)
    return np.array(features), np.array(following)


def by_hand(W, H, y, least_count):
    """Some metrics of the classes with so many samples, by their formulas and dense matrices."""
    classes = [k for k in range(len(W)) if (y == k).sum() >= least_count]
    H, y = H[np.isin(y, classes)], y[np.isin(y, classes)]
    means = np.array([H[y == k].mean(0) for k in classes])
    spreads = np.array([((H[y == k] - means[i]) ** 2).sum() for i, k in enumerate(classes)])
    counts = np.array([(y == k).sum() for k in classes])
    M, W = means - H.mean(0), W[classes]
    place = np.searchsorted(classes, y)
    E = H - means[place]
    n, size = len(classes), len(y)
    distances = ((means[:, None] - means[None]) ** 2).sum(2)
    variances = spreads / counts
    off = ~np.eye(n, dtype=bool)
    ratios = (variances[:, None] + variances[None])[off] / (2 * distances[off])
    nearest = ((H[:, None] - means[None]) ** 2).sum(2).argmin(1)
    return {
        "nc1": np.trace(E.T @ E / size @ np.linalg.pinv(M.T @ M / n)) / n,
        "nc1_quotient": (spreads.sum() / size) / ((M**2).sum() / n),
        "nc1_worst_class": variances.max() / ((M**2).sum() / n),
        "cdnv": ratios.mean(),
        "self_duality": np.linalg.norm(W / np.linalg.norm(W) - M / np.linalg.norm(M)),
        "nc4": np.linalg.norm(W @ H.mean(0)),
        "nearest_center_disagreement": ((H @ W.T).argmax(1) != nearest).mean(),
    }


ONE_PASS = ("nc1_quotient", "nc1_worst_class", "cdnv", "self_duality", "nc4")


def test_numbers_are_those_of_the_models_own_hidden_states(trained):
    model, tied = trained
    loader, W = collated(), model.get_output_embeddings().weight.detach().double().numpy()
    H, y = pairs(model, loader)
    tokens = validate.collect_tokens(model, loader)
    assert tokens.tied is tied
    assert tokens.counts.tolist() == np.bincount(y, minlength=K).tolist()
    np.testing.assert_allclose(tokens.moments.means[y[0]], H[y == y[0]].mean(0), rtol=1e-5, atol=1e-6)
    again = validate.TokenFeatures(model, loader)
    for least in (1, 4):
        expected = by_hand(W, H, y, least)
        assert tokens.classes(least).tolist() == [k for k in range(K) if (y == k).sum() >= least]
        twice = asdict(tokens.neural_collapse(least, again))
        assert {name: twice[name] for name in expected} == pytest.approx(expected, rel=1e-4)
        once = asdict(tokens.neural_collapse(least))
        assert {name: once[name] for name in ONE_PASS} == pytest.approx({k: expected[k] for k in ONE_PASS}, rel=1e-4)
        assert math.isnan(once["nearest_center_disagreement"])
        assert math.isnan(once["nc1"]) == (least > 1)
        chosen = validate.collect_tokens(model, loader, least_count=least)
        assert asdict(chosen.neural_collapse())["nc1"] == pytest.approx(expected["nc1"], rel=1e-4)


def test_positions_and_classes_are_those_of_the_models_own_loss(trained):
    """Hugging Face's loss is the mean cross-entropy of these features and classes, and of no shift of them."""
    model, _ = trained
    ids = text(6, 9, seed=5)
    labels = ids.clone()
    labels[2, 5:] = labels[4, :7] = -100
    batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": labels}
    features, following = validate.TokenFeatures(model, [batch]).of(batch)
    logits = features @ model.get_output_embeddings().weight.detach().T
    with torch.no_grad():
        expected = float(model.eval()(**batch).loss)
    assert float(functional.cross_entropy(logits, following)) == pytest.approx(expected, rel=1e-5)
    assert float(functional.cross_entropy(logits, following.roll(1))) != pytest.approx(expected, rel=1e-2)


def test_no_logits_are_made_and_the_model_is_left_as_it_was(trained):
    model, _ = trained
    model.train()
    ran = []
    hook = model.get_output_embeddings().register_forward_hook(lambda *_: ran.append(1))
    validate.collect_tokens(model, [text(2, 6)])
    assert not ran
    model(input_ids=text(2, 6))
    assert ran
    hook.remove()
    assert all(module.training for module in model.modules())
    assert not model.get_output_embeddings()._forward_pre_hooks


@pytest.mark.parametrize("tied", [False, True])
def test_a_model_that_does_not_name_its_head(tied):
    model = plain(tied=tied)
    features = validate.TokenFeatures(model, batches())
    assert features.head is model.out
    tokens = validate.collect_tokens(model, torch.utils.data.DataLoader(torch.utils.data.TensorDataset(text(24, 9)), 5))
    assert tokens.tied is tied
    assert tokens.b.equal(model.out.bias)
    assert tokens.counts.tolist() == torch.bincount(text(24, 9)[:, 1:].flatten(), minlength=K).tolist()


def test_a_large_vocabulary_of_rare_tokens():
    size, ids = 128_000, text(40, 30, tokens=40)
    model = plain(tokens=size, dim=4)
    tokens = validate.collect_tokens(model, list((ids * 3000).split(8)), head="out")
    seen = torch.bincount(ids[:, 1:].flatten(), minlength=40)
    common = (seen >= 20).nonzero().flatten()
    assert 2 < len(common) < int((seen > 0).sum())
    assert tokens.classes(20).tolist() == (common * 3000).tolist()
    h = torch.tanh(model.hidden(model.embedding(ids * 3000).cumsum(1) / torch.arange(1, 31)[:, None]))[:, :-1]
    H, y = h.detach().double().flatten(0, 1).numpy(), ids[:, 1:].flatten().numpy()
    expected = by_hand(model.out.weight.detach()[::3000][:40].double().numpy(), H, y, 20)
    found = asdict(tokens.neural_collapse(20))
    assert {name: found[name] for name in ONE_PASS[:-1]} == pytest.approx(
        {name: expected[name] for name in ONE_PASS[:-1]}, rel=1e-4
    )


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """A folder that a process left which was killed as it wrote for the third time, every second batch."""
    folder = tmp_path_factory.mktemp("tokens") / "killed"
    command = [sys.executable, "-m", "tests.validate.loops.languages", str(folder), str(torch.get_num_threads())]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    return folder


def test_a_killed_call_goes_on_to_the_same_bytes(killed, tmp_path):
    file = killed / "tokens.safetensors"
    assert validate.Tokens.load(file).batches == 4
    assert len(list(killed.iterdir())) == 2  # and what it was writing
    model, ran = plain(), []
    model.hidden.register_forward_hook(lambda *_: ran.append(1))
    found = validate.collect_tokens(model, batches(), killed, every=2, head="out")
    assert len(ran) == 4
    whole = validate.collect_tokens(plain(), batches(), tmp_path / "whole", every=3)
    assert file.read_bytes() == (tmp_path / "whole" / "tokens.safetensors").read_bytes()
    assert [path.name for path in killed.iterdir()] == ["tokens.safetensors"]
    again = validate.collect_tokens(model, batches(), killed, head="out")
    assert len(ran) == 4
    for name, parts in {name: [vars(t.moments)[name] for t in (found, again)] for name in vars(whole.moments)}.items():
        assert all(part.equal(vars(whole.moments)[name]) for part in parts), name


def test_more_batches_are_added_to_those_that_were_collected(tmp_path):
    model, whole = plain(), validate.collect_tokens(plain(), batches(), tmp_path / "whole")
    for number in (3, 8):
        tokens = validate.collect_tokens(model, batches()[:number], tmp_path / "grown")
        assert tokens.batches == number
    assert tokens.counts.equal(whole.counts)
    first, second = (tmp_path / name / "tokens.safetensors" for name in ("grown", "whole"))
    assert first.read_bytes() == second.read_bytes()
    validate.collect_tokens(model, batches()[:3], tmp_path / "frequent", least_count=2)
    with pytest.raises(InputError, match="other batches than those"):
        validate.collect_tokens(model, batches(), tmp_path / "frequent", least_count=2)


def trained_further():
    model = plain()
    model.hidden.bias.data[0] += 1e-6
    return model


OTHERS = {
    "another model": (trained_further, batches, {}, "other parameters, or of another head"),
    "another head": (plain, batches, {"head": "hidden"}, "other parameters, or of another head"),
    "another order": (plain, lambda: batches()[::-1], {}, "other batches than those that were collected"),
    "one other token": (plain, lambda: [(batches()[0] + 1) % K, *batches()[1:]], {}, "other batches than those"),
    "other padding": (
        plain,
        lambda: [{"input_ids": ids, "attention_mask": (ids > 0).long()} for ids in batches()],
        {},
        "other batches than those",
    ),
    "other labels": (
        plain,
        lambda: [{"input_ids": ids, "labels": ids.where(ids > 0, -100)} for ids in batches()],
        {},
        "other batches than those",
    ),
    "fewer batches": (plain, lambda: batches()[:4], {}, "gives 4 batches, and 6 were collected"),
    "rare tokens": (plain, batches, {"least_count": 2}, "collected with least_count = 1, not 2"),
}


@pytest.fixture(scope="module")
def collected(tmp_path_factory):
    """A folder with six of the batches."""
    folder = tmp_path_factory.mktemp("tokens") / "six"
    validate.collect_tokens(plain(), batches()[:6], folder)
    return folder


@pytest.mark.parametrize("other", OTHERS)
def test_a_folder_of_something_else_is_refused_and_kept(other, collected):
    model, loader, settings, complaint = OTHERS[other]
    before = (collected / "tokens.safetensors").read_bytes()
    with pytest.raises(InputError, match=complaint):
        validate.collect_tokens(model(), loader(), collected, **settings)
    assert (collected / "tokens.safetensors").read_bytes() == before


def test_a_folder_that_is_being_written_or_cannot_be(collected, tmp_path):
    with held(collected), pytest.raises(InputError, match="is being written by process"):
        validate.collect_tokens(plain(), batches(), collected)
    (tmp_path / "tokens.safetensors").mkdir()
    with pytest.raises(InputError, match="it is a folder"):
        validate.collect_tokens(plain(), batches(), tmp_path)


REFUSED = {
    "no mapping": ([(text(2, 5), text(2, 5))], {}, "must yield mappings"),
    "features": ([torch.randn(2, 5)], {}, "input_ids must be whole numbers"),
    "a mask of another shape": ([{"input_ids": text(2, 5), "attention_mask": torch.ones(2, 4)}], {}, "attention_mask"),
    "labels of another shape": ([{"input_ids": text(2, 5), "labels": text(2, 4)}], {}, "labels must have the shape"),
    "one token a row": ([text(4, 1)], {}, "no position"),
    "labels beyond the vocabulary": ([{"input_ids": text(2, 5), "labels": text(2, 5) + K}], {}, "labels must lie"),
    "counts beyond the vocabulary": ([text(2, 5) + K], {"least_count": 2, "head": "out"}, "tokens must lie"),
    "an iterator": (iter([text(2, 5)]), {}, "gives its batches once"),
    "an iterator to count": (iter([text(2, 5)]), {"least_count": 2, "head": "out"}, "gives its batches once"),
    "least_count": ([text(2, 5)], {"least_count": 0}, "must be >= 1"),
}


@pytest.mark.parametrize("wrong", REFUSED)
def test_what_cannot_be_collected(wrong):
    loader, settings, complaint = REFUSED[wrong]
    with pytest.raises(InputError, match=complaint):
        validate.collect_tokens(plain(), loader, **settings)


def test_no_class_is_so_frequent(tmp_path):
    tokens = validate.collect_tokens(plain(), batches())
    with pytest.raises(InputError, match="no token came next 1000 times; the most frequent one came"):
        tokens.neural_collapse(1000)
    ufm.Point(tokens.W, 2 * tokens.W, tokens.b).save(tmp_path / "point")
    with pytest.raises(InputError, match=r"no record of tokens: it lacks batches, counts"):
        validate.Tokens.load(tmp_path / "point")


def test_contexts_have_the_models_own_loss(trained):
    """The mean over contexts of the soft cross-entropy is Hugging Face's mean over all tokens."""
    model, _ = trained
    ids = text(30, 5, seed=3, tokens=6)
    contexts = validate.collect_contexts(model, list(ids.split(7)))
    T = len(contexts.tokens)
    assert {tuple(row[: t + 1].tolist()) for row in ids for t in range(4)} == set(contexts.tokens)
    assert T < 120
    assert float(contexts.spreads.max()) < 1e-9
    with torch.no_grad():
        expected = float(model.eval()(input_ids=ids, labels=ids).loss)
    point = contexts.point
    assert float(contexts.loss.values(point.logits, torch.arange(T)).mean()) == pytest.approx(expected, rel=1e-5)
    problem = contexts.problem(1e-3, 1e-3 / T, bias=False)
    penalty = 1e-3 / 2 * float(point.W.square().sum()) + 1e-3 / T / 2 * float(point.H.square().sum())
    certificate = ufm.certify(problem, point)
    assert certificate.value == pytest.approx(expected + penalty, rel=1e-5)
    assert certificate.lower_bound < certificate.value


def test_contexts_of_the_last_tokens():
    model, loader = plain(), collated()
    contexts = validate.collect_contexts(model, loader, last=2, least_count=2)
    features = iter(torch.cat([part for part, _ in validate.TokenFeatures(model, loader)]).double().numpy())
    rows: dict[tuple[int, ...], list] = {}
    for batch in loader:
        mask, labels = batch.get("attention_mask"), batch.get("labels", batch["input_ids"])
        for row, tokens in enumerate(batch["input_ids"].tolist()):
            real = [t for t in range(9) if mask is None or mask[row, t]]
            for t in real[:-1]:
                if labels[row, t + 1] != -100:
                    place = real.index(t)
                    context = tuple(tokens[s] for s in real[max(0, place - 1) : place + 1])
                    rows.setdefault(context, []).append((next(features), int(labels[row, t + 1])))
    assert next(features, None) is None
    assert list(contexts.tokens) == [context for context, found in rows.items() if len(found) >= 2]
    assert {len(context) for context in contexts.tokens} == {1, 2}
    for j, context in enumerate(contexts.tokens):
        H, y = np.array([h for h, _ in rows[context]]), np.array([y for _, y in rows[context]])
        np.testing.assert_allclose(contexts.point.H[j], H.mean(0), atol=1e-12)
        assert float(contexts.spreads[j]) == pytest.approx(((H - H.mean(0)) ** 2).sum(), abs=1e-12)
        np.testing.assert_allclose(contexts.targets[j], np.bincount(y, minlength=K) / len(y), atol=1e-15)
        assert contexts.counts[j] == len(y)
    with pytest.raises(InputError, match="no context came 1000 times"):
        validate.collect_contexts(model, loader, least_count=1000)


def trainer_of(transformers, folder, callbacks, **settings):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        arguments = transformers.TrainingArguments(
            str(folder), num_train_epochs=2, per_device_train_batch_size=8, use_cpu=True, report_to=[], seed=3,
            save_strategy="no", disable_tqdm=True, logging_strategy="no", learning_rate=0.01, **settings,
        )  # fmt: skip
        rows = [{"input_ids": row, "labels": row} for row in text(24, 9)]
        return transformers.Trainer(
            gpt2(transformers), arguments, train_dataset=rows, eval_dataset=rows[:8], callbacks=callbacks
        )


def test_the_trainers_callback(transformers, tmp_path):
    loader = torch.utils.data.DataLoader(text(12, 9, seed=8), batch_size=5)
    watch = validate.CollapseTrainerCallback(loader, twice=True, least_count=3)
    trainer = trainer_of(transformers, tmp_path, [watch], eval_strategy="epoch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer.train()
    assert [(row["step"], row["epoch"]) for row in watch.rows] == [(3, 1.0), (6, 2.0)]
    assert [row["eval_nc1"] for row in trainer.state.log_history if "eval_nc1" in row] == [
        row["nc1"] for row in watch.rows
    ]
    again = validate.TokenFeatures(trainer.model, loader)
    expected = asdict(validate.collect_tokens(trainer.model, loader).neural_collapse(3, again))
    assert {name: watch.rows[-1][name] for name in expected} == pytest.approx(expected, rel=1e-9)
    logged = []
    watch.log = logged.append
    assert trainer.evaluate()["eval_nc1"] == logged[0]["eval_nc1"] == watch.rows[2]["nc1"]


def test_where_the_trainer_does_not_evaluate_epochs_are_measured_and_change_nothing(transformers, tmp_path):
    watch, ends = validate.CollapseTrainerCallback(torch.utils.data.DataLoader(text(12, 9, seed=8), 5)), []
    for callbacks in ([], [watch]):
        trainer = trainer_of(transformers, tmp_path, callbacks)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            trainer.train()
        ends.append(list(trainer.model.parameters()))
    assert all(alone.equal(watched) for alone, watched in zip(*ends, strict=True))
    assert [row["step"] for row in watch.rows] == [3, 6]
    assert math.isnan(watch.rows[0]["nearest_center_disagreement"])
    names = {name for row in trainer.state.log_history for name in row}
    assert "eval_nc1" in names
    assert "eval_nearest_center_disagreement" not in names


def test_what_was_collected_is_shown_and_not_printed_whole():
    for found in (validate.collect_tokens(plain(), batches()), validate.collect_contexts(plain(), batches())):
        lines = repr(found).splitlines()
        assert len(lines) <= 32
        assert max(map(len, lines)) <= 100
        assert "<table>" in found._repr_html_()
        assert f"of W ({K}, 6)" in repr(found) or f"means ({K}, 6)" in repr(found)
