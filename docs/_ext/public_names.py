"""Every object by the name under which it is public: `ufm.Point` is what the code calls ufm.point.Point.

Types in signatures, and names in backticks in docstrings, lead to where the object is documented.
"""

import importlib
import inspect
from collections import Counter
from collections.abc import Iterator
from typing import Any

import prose
from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.ext.autodoc.mock import mock

ROOMS = (
    "ufm",
    "ufm.losses",
    "ufm.models",
    "ufm.results",
    "ufm.certificates",
    "ufm.proofs",
    "ufm.derivations",
    "ufm.traps",
    "ufm.phases",
    "ufm.depths",
    "ufm.flows",
    "ufm.bifurcations",
    "ufm.spectra",
    "ufm.atlas",
    "ufm.completeness",
    "ufm.sweeps",
    "ufm.theorems",
    "validate",
    "networks",
    "figures",
)


def public() -> Iterator[tuple[str, Any]]:
    """(name, object) for every name in the rooms' `__all__`, once an object: under its shortest room."""
    seen: set[int] = set()
    for room in ROOMS:
        module = importlib.import_module(room)
        for name in module.__all__:
            found = getattr(module, name)
            if not inspect.ismodule(found) and not (_is_object(found) and id(found) in seen):
                seen.add(id(found))
                yield f"{room}.{name}", found


def _is_object(found: Any) -> bool:
    return inspect.isclass(found) or inspect.isroutine(found)


def aliases() -> dict[str, str]:
    """By the name in the code, the public one; what has the same name in both is among them."""
    named = {name: name for name, _ in public()}
    inner = {f"{found.__module__}.{found.__qualname__}": name for name, found in public() if _is_object(found)}
    return named | inner


def resolve(app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.TextElement) -> Any:
    """A reference to a name of the code as one to the public name, without its modules too where it is unique.

    What is not public is named without a link. What is not there at all stays a warning.
    """
    if node.get("refdomain") != "py":
        return None
    target, known = node["reftarget"], app.known_names  # type: ignore[attr-defined]
    names = [known[target]] if target in known else []
    if not names and "." not in target:
        names = sorted({name for name in known.values() if name.rpartition(".")[2] == target})
    if len(names) != 1 or names[0] == target:
        return content if _is_inner(target) else None
    return env.domains["py"].resolve_xref(env, node["refdoc"], app.builder, "obj", names[0], node, content)


def _is_inner(target: str) -> bool:
    """Whether it is a name of ours that is not public: it is said, and leads nowhere."""
    if target.partition(".")[0] not in ROOMS:
        return False
    module, _, name = target.rpartition(".")
    try:
        return name in vars(importlib.import_module(module))
    except ImportError:
        return False


def _begin(app: Sphinx) -> None:
    with mock(app.config.autodoc_mock_imports):
        app.known_names = aliases()  # type: ignore[attr-defined]
        classes = [name for name, found in public() if inspect.isclass(found)]
    last = Counter(name.rpartition(".")[2] for name in classes)
    short = {name.rpartition(".")[2]: name for name in classes if last[name.rpartition(".")[2]] == 1}
    prose.CODES[:] = [lambda text: _linked(text, short | app.known_names)]  # type: ignore[attr-defined]


def _linked(text: str, known: dict[str, str]) -> str | None:
    name = text.partition("(")[0]
    return f":py:obj:`{text} <{known[name]}>`" if name in known and "`" not in text else None


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("builder-inited", _begin)
    app.connect("missing-reference", resolve)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
