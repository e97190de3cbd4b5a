"""What the tests of the models' claims share."""

from ufm.theorems import MODELS, judge

BY_NAME = {theorem.name: theorem for theorems in MODELS.values() for theorem in theorems}


def verdict(name, evidence):
    """The status of the claim of that name on the evidence's model."""
    return judge(BY_NAME[name], evidence.model, evidence).status


def planted(evidence, **attributes):
    """The evidence with these attributes in place of what it would make."""
    for name, value in attributes.items():
        setattr(evidence, name, value)
    return evidence


def elsewhere(evidence, point):
    """The evidence with a model whose spectrum is always the one at that point."""
    model = evidence.model
    wrong = type("Elsewhere", (), {"__getattr__": lambda _, name: getattr(model, name)})()
    wrong.spectrum = lambda _: model.spectrum(point)
    return planted(evidence, model=wrong)
