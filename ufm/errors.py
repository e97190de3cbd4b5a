"""The one exception that means "what was asked cannot be done, and here is how to mend it"."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar


@dataclass(frozen=True)
class Setting:
    """An argument that a message names: lr, or with a value lr=0.1. The command says it as a flag."""

    name: str
    value: Any = ...  # none is named

    def __str__(self) -> str:
        return self.name if self.value is ... else f"{self.name}={self.value!r}"


@dataclass(frozen=True, init=False)
class Call:
    """A call that mends: networks.train, or with settings networks.train(..., resume=True). The command says it as one
    of its own."""

    function: str
    settings: tuple[Setting, ...]

    def __init__(self, function: str, *settings: Setting):
        object.__setattr__(self, "function", function)
        object.__setattr__(self, "settings", settings)

    def __str__(self) -> str:
        return f"{self.function}(..., {', '.join(map(str, self.settings))})" if self.settings else self.function


Word = str | Setting | Call
Words = Word | tuple[Word, ...]
T = TypeVar("T")


class InputError(ValueError):
    """A request that cannot be carried out: what is wrong and, where the message does not say so, what to change.

    message, mend   text, or a tuple of text, Settings and Calls; str(error) joins them to one line of Python's words.
    """

    def __init__(self, message: Words, mend: Words = ()):
        self.message, self.mend = message, mend
        super().__init__(self.said(str))

    def __reduce__(self) -> tuple[type["InputError"], tuple[Words, Words]]:
        return type(self), (self.message, self.mend)

    @property
    def settings(self) -> tuple[Setting, ...]:
        """The settings that the message and its mend name, in their order."""
        words = (*_each(self.message), *_each(self.mend))
        return tuple(
            setting
            for word in words
            if not isinstance(word, str)
            for setting in (word.settings if isinstance(word, Call) else (word,))
        )

    def said(self, name: Callable[[Setting | Call], str]) -> str:
        """The line, each setting and call in it as name(it) says."""
        return "; ".join(_joined(words, name) for words in (self.message, self.mend) if words)


class NoClosedForm(InputError):
    """No closed form of the global minimiser is known for this problem; the message names why."""


def require(condition: bool, message: Words, mend: Words = ()) -> None:
    """Raise InputError(message, mend) unless the condition holds."""
    if not condition:
        raise InputError(message, mend)


def given(value: T | None, message: Words, mend: Words = ()) -> T:
    """The value; InputError(message, mend) where there is none."""
    if value is None:
        raise InputError(message, mend)
    return value


def _each(words: Words) -> Iterator[Word]:
    yield from words if isinstance(words, tuple) else (words,)


def _joined(words: Words, name: Callable[[Setting | Call], str]) -> str:
    return "".join(word if isinstance(word, str) else name(word) for word in _each(words))
