"""Every result as plain data, and back: what JSON can hold, read off the fields of a dataclass and their types."""

import dataclasses
import math
import types
from collections.abc import Mapping
from enum import Enum
from functools import cache, partial
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import torch

from ..errors import InputError
from .estimate import Estimate

INFINITE = {"inf": math.inf, "-inf": -math.inf}  # which JSON does not have
# What comes of reading data that are no such result.
UNFIT = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError, MemoryError)
OMITTED = {"omitted": True}  # metadata of a field that plain data leave out: it comes back as None
READ = "read"  # key of the metadata of a field whose plain data a function of its own reads


class Result:
    """A dataclass that goes to plain data and back; `derived` names properties that are written and not read.

    A sampled number becomes its value and its error, an infinity "inf" or "-inf", and NaN None; a tensor becomes nested
    lists, beside its dtype where that is neither float64 nor int64, and a mapping whose keys are neither words nor
    whole numbers a list of pairs.
    """

    derived: tuple[str, ...] = ()

    def plain(self) -> dict[str, Any]:
        """The result as plain data for JSON."""
        return plain(self) | {name: plain(getattr(self, name)) for name in self.derived}

    @classmethod
    def from_plain(cls, data: Any) -> Any:
        """The result that `plain` wrote. Raises InputError, naming the field, where `data` is no such thing."""
        return from_plain(cls, data)


def plain(value: Any) -> Any:
    """Plain data for a result, or for what its fields hold."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, Estimate):
        return {"value": plain(float(value)), "error": plain(value.error)}
    if isinstance(value, float):
        return None if math.isnan(value) else float(value) if math.isfinite(value) else repr(float(value))
    if isinstance(value, torch.Tensor):
        listed = plain(value.tolist())
        if value.dtype in (torch.float64, torch.int64):
            return listed
        return {"dtype": str(value.dtype).removeprefix("torch."), "values": listed}
    if dataclasses.is_dataclass(value):
        kind: Any = type(value)
        own = getattr(kind, "to_plain", None)
        return own(value) if own else {name: _of(getattr(value, name)) for name in _written(kind)}
    if hasattr(value, "_asdict"):
        return {name: _of(item) for name, item in value._asdict().items()}
    if isinstance(value, Mapping):
        if all(isinstance(key, str | int) for key in value):
            return {str(key): _of(item) for key, item in value.items()}
        return [[_of(key), _of(item)] for key, item in value.items()]
    return [_of(item) for item in (sorted(value) if isinstance(value, frozenset) else value)]


def _of(value: Any) -> Any:
    """A field's value; a result that is one says itself what is written of it."""
    return value.plain() if isinstance(value, Result) else plain(value)


def from_plain(kind: Any, data: Any) -> Any:
    """The value of that type (a class, or a type hint) that `plain` wrote as `data`. Raises InputError otherwise."""
    try:
        return _read(kind, data)
    except InputError:
        raise
    except UNFIT as error:
        name = getattr(kind, "__name__", str(kind))
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"this is no {name} ({type(error).__name__}: {reason}); write it again") from error


def _read(kind: Any, data: Any) -> Any:
    origin, parts = get_origin(kind), get_args(kind)
    if kind is Any:
        return data
    if origin in (Union, types.UnionType):
        return None if data is None else _read(next(part for part in parts if part is not type(None)), data)
    if origin in (tuple, list, frozenset):
        _exactly(list, data)
    if origin is tuple:
        inner = [parts[0]] * len(data) if parts[1:] == (...,) else parts
        return tuple(_read(part, item) for part, item in zip(inner, data, strict=True))
    if origin in (list, frozenset):
        return origin(_read(parts[0], item) for item in data)
    if origin in (dict, Mapping):
        pairs = data.items() if isinstance(data, Mapping) else data
        return {_read(parts[0], key): _read(parts[1], item) for key, item in pairs}
    if kind is torch.Tensor:
        return _tensor(data)
    if kind is float:
        return _number(data)
    if kind is int:
        return _whole(data)
    if origin is Literal:
        return parts[parts.index(data)]
    if kind in (bool, str):
        return _exactly(kind, data)
    return _object(kind, data)


def _object(kind: Any, data: Any) -> Any:
    if issubclass(kind, Enum):
        return kind(data)
    hints = _hints(kind)
    if hasattr(kind, "of_plain"):
        found = kind.of_plain(data)
        for name, hint in hints.items():
            if hint is bool:
                _exactly(bool, getattr(found, name))
        return found
    if issubclass(kind, tuple):  # a named one
        return kind(**{name: _read(hint, data[name]) for name, hint in hints.items()})
    unknown = set(data) - set(_written(kind)) - set(getattr(kind, "derived", ()))
    if unknown:
        raise KeyError(f"it has {', '.join(sorted(unknown))}")
    read = {field.name: field.metadata.get(READ) for field in dataclasses.fields(kind)}
    found = {name: (read[name] or partial(_read, hints[name]))(data[name]) for name in _written(kind)}
    return kind(**dict.fromkeys(_fields(kind)) | found)


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return {name: hint for name, hint in get_type_hints(kind).items() if name != "derived"}


@cache
def _fields(kind: Any) -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(kind) if field.init)


@cache
def _written(kind: Any) -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(kind) if field.init and not field.metadata.get("omitted"))


def _tensor(data: Any) -> torch.Tensor:
    """Of the dtype that stands beside it; else float64, or int64 where every entry is a whole number as JSON has it."""
    if isinstance(data, Mapping):
        dtype = getattr(torch, data["dtype"])
        _entries(data["values"], (bool,) if dtype == torch.bool else (int, float))
        return torch.tensor(data["values"], dtype=dtype, device="cpu")
    kinds = _entries(data, (int, float))
    return torch.tensor(data, dtype=torch.int64 if kinds == {int} else torch.float64, device="cpu")


def _entries(data: Any, kinds: tuple[type, ...]) -> set[type]:
    """The types of the numbers in nested lists; TypeError for one that is none of these (a bool is no int)."""
    found = set(map(type, _exactly(list, data)))
    if list in found:
        return set().union(*(_entries(item, kinds) for item in data))
    if not found <= set(kinds):
        raise TypeError(f"a tensor has no entries of the types {found - set(kinds)}")
    return found


def _number(data: Any) -> float:
    """A float; None is NaN, and what has an error an Estimate."""
    if isinstance(data, Mapping):
        return Estimate(_number(data["value"]), _number(data["error"]))
    if data is None or isinstance(data, str):
        return math.nan if data is None else INFINITE[data]
    if isinstance(data, bool):
        raise TypeError(f"{data!r} is no number")
    return float(_exactly((int, float), data))


def _whole(data: Any) -> int:
    """A whole number, or the text of one: JSON's keys are texts."""
    if isinstance(data, bool) or (isinstance(data, float) and not data.is_integer()):
        raise TypeError(f"{data!r} is no whole number")
    return int(data)


def _exactly(kind: type | tuple[type, ...], data: Any) -> Any:
    if not isinstance(data, kind):
        raise TypeError(f"{data!r} is not of the type {kind}")
    return data
