"""Scripts of the gallery, run in a namespace of their own at a smaller size."""

import ast
from pathlib import Path
from typing import Any

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(name: str, **smaller: Any) -> dict[str, Any]:
    """The namespace that examples/NAME.py leaves, with some of its constants given other values.

    smaller  by name: where the script assigns the constant, the other value is assigned next. ValueError for one that
             the script does not assign.
    """
    file = EXAMPLES / f"{name}.py"
    tree = ast.parse(source(name))
    for constant, value in smaller.items():
        places = [i for i, statement in enumerate(tree.body, 1) if constant in _assigned(statement)]
        if len(places) != 1:
            raise ValueError(f"{file.name} assigns {constant} {len(places)} times, not once")
        tree.body[places[0] : places[0]] = ast.parse(f"{constant} = {value!r}").body
    namespace = {"__name__": "__main__"}  # the site's builder gives no __file__ either
    exec(compile(tree, str(file), "exec"), namespace)
    return namespace


def source(name: str) -> str:
    """The text of examples/NAME.py."""
    return (EXAMPLES / f"{name}.py").read_text(encoding="utf-8")


def _assigned(statement: ast.stmt) -> set[str]:
    """The names that a statement assigns."""
    targets = statement.targets if isinstance(statement, ast.Assign) else []
    names = [node for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)]
    return {name.id for name in names if isinstance(name.ctx, ast.Store)}
