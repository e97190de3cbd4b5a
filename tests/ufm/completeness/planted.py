"""Certificates with an error planted in them."""

import json
from pathlib import Path
from typing import Any

from ufm.completeness.check import check

SHALLOW = 4  # how deep the checker cuts a leaf: a false one is given up sooner


def refused(data: Any, folder: Path) -> None:
    """The checker refuses it, and says why."""
    (folder / "planted.json").write_text(json.dumps(data))
    found = check(folder / "planted.json")
    assert not found.holds
    assert found.statement.startswith("does not hold")
