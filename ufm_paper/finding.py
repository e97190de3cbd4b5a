"""What a claim's judge is given, and what it gives."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .trained import Trained

Runs = Mapping[str, Trained]


@dataclass(frozen=True)
class Finding:
    """Whether a claim held in the runs, what was seen, and by name tables of rows that go into the record.

    number   the one number to remember, in words
    The table "summary", where there is one, is shown on the page.
    """

    holds: bool
    said: str
    tables: Mapping[str, list[dict[str, Any]]] = field(default_factory=dict)
    number: str = ""
