"""The names that this project takes at top level, and the check that each is its own.

Other packages take such names too (configobj has a `validate`), and so does any folder `figures` where Python is
started. All packages of the project lie in one folder; what is found anywhere else is another's.
"""

import os
from importlib.util import find_spec
from pathlib import Path

NAMES = ("ufm", "validate", "networks", "figures", "ufm_paper", "ufm_cli")
HOME = Path(__file__).parents[1]


def require_own(*names: str) -> None:
    """Raise ImportError, in one line, unless Python finds each of these packages beside this one."""
    for name in names:
        found = _found(name)
        if found is None:
            raise ImportError(f"there is no package {name} beside {HOME / 'ufm_names'}; install ufm again", name=name)
        if os.path.realpath(found.parent) != os.path.realpath(HOME):
            raise ImportError(
                f"Python finds {found} before ufm's own package {name} in {HOME}; rename or remove it, or start from "
                "another folder or environment",
                name=name,
                path=str(found),
            )


def _found(name: str) -> Path | None:
    """The folder or file that Python takes for the package."""
    spec = find_spec(name)
    if spec is None:
        return None
    places = list(spec.submodule_search_locations or ())
    return Path(places[0] if places else spec.origin or "")
