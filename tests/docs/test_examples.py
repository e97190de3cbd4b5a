"""The examples in the docstrings of public names run, and print what stands there."""

import doctest

import pytest

from tests.docs.sites import EXTENSIONS  # noqa: F401 (its folder is on the path)

SHOWN = {  # what a newcomer meets first has an example
    *("ufm.minimize", "ufm.certify", "ufm.spectrum", "ufm.lower_bound", "ufm.global_minimizer", "ufm.sweep"),
    *("ufm.explore", "ufm.prove", "ufm.prove_complete", "ufm.derive", "ufm.verify", "ufm.check_loss", "ufm.Problem"),
    *("validate.neural_collapse", "validate.layers", "validate.compare", "validate.collect"),
    *("networks.train", "networks.build_model", "ufm.models.Spheres"),
}


def examples() -> dict[str, doctest.DocTest]:
    """By public name: the examples of its docstring."""
    from public_names import public

    finder = doctest.DocTestFinder(recurse=False)
    named = ((name, found) for name, found in public() if callable(found))
    tests = {name: finder.find(found, name, module=False, globs={}) for name, found in named}
    return {name: found[0] for name, found in tests.items() if found and found[0].examples}


def run(test: doctest.DocTest) -> tuple[int, str]:
    """(how many examples fail, what is said of them)."""
    said: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    return runner.run(test, out=said.append).failed, "".join(said)


@pytest.mark.parametrize("name", sorted(SHOWN))
def test_an_example_prints_what_stands_there(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    failed, said = run(examples()[name])
    assert not failed, said


def test_all_examples_are_listed():
    skipped = {name for name, test in examples().items() if all(e.options.get(doctest.SKIP) for e in test.examples)}
    assert set(examples()) - skipped - {"validate.NeuralCollapseMetric"} == SHOWN  # that one's own tests run it


def test_a_wrong_example_is_caught():
    test = doctest.DocTestParser().get_doctest(">>> 1 + 1\n3\n", {}, "wrong", None, 0)
    assert run(test)[0] == 1
