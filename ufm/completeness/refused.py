"""Why a proof did not go through, or a certificate does not hold."""

from typing import Any


class NotProved(Exception):
    """A step that did not go through; missing: the list lacks a point."""

    def __init__(self, reason: str, missing: bool = False):
        super().__init__(reason)
        self.missing = missing


class Fails(Exception):
    """What does not hold."""


def need(condition: Any, what: str) -> None:
    if not bool(condition):
        raise Fails(what)
