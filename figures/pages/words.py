"""Settings in words."""

from collections.abc import Mapping
from typing import Any


def in_words(value: Any) -> str:
    """A setting's value as people read it."""
    if value is None:
        return "default"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return " ".join(in_words(item) for item in value) or "none"
    if isinstance(value, Mapping):
        return ", ".join(
            in_words(item) if name == "name" else f"{name} {in_words(item)}" for name, item in value.items()
        )
    return f"{value:g}" if isinstance(value, float) else str(value)
