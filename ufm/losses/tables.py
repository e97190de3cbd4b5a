"""Numbers that belong to a loss, a row a type or one a class: checked once, equal by value, a tensor when wanted."""

from collections.abc import Sequence
from typing import Any, Union

import numpy as np
import torch

from ..errors import Setting, require

Given = Union[torch.Tensor, np.ndarray, Sequence[Any], "Table"]


class Table:
    """A float64 array that is equal by value, and hashable."""

    def __init__(self, array: np.ndarray):
        self.array = array
        self.array.setflags(write=False)
        self._made: dict[Any, torch.Tensor] = {}

    def to(self, like: torch.Tensor) -> torch.Tensor:
        """The array in the dtype and on the device of another tensor, made once for each."""
        key = like.dtype, like.device
        if key not in self._made:
            self._made[key] = torch.tensor(self.array, dtype=like.dtype, device=like.device)
        return self._made[key]

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape

    def tolist(self) -> list[Any]:
        return self.array.tolist()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Table) and np.array_equal(self.array, other.array)

    def __hash__(self) -> int:
        return hash((self.array.shape, self.array.tobytes()))

    def __repr__(self) -> str:
        return np.array2string(self.array, threshold=20, edgeitems=2, separator=", ")

    def __reduce__(self) -> tuple[type["Table"], tuple[np.ndarray]]:
        return type(self), (self.array.copy(),)


def table(name: str, given: Given | None, dimensions: int) -> Table:
    """The table of what was given for the setting `name`; InputError unless it has finite numbers and so many axes."""
    if isinstance(given, Table):
        return given
    axes = "(T, K), a row a type" if dimensions == 2 else "(K,), one a class"
    try:
        plain = given.detach().cpu().numpy() if isinstance(given, torch.Tensor) else given
        array = np.array(plain, dtype=np.float64)
    except (TypeError, ValueError):
        array = np.zeros(())
    fits = array.ndim == dimensions and array.size > 0
    require(fits, (Setting(name), f" must hold numbers in shape {axes}; got {_shape(given)}"))
    bad = np.argwhere(~np.isfinite(array))
    require(not len(bad), (Setting(name), f" must be finite; got {_entry(array, bad)}") if len(bad) else "")
    return Table(array)


def require_entries(name: str, found: Table, good: np.ndarray, condition: str) -> None:
    """Raise InputError, showing an entry, unless all entries meet the condition."""
    bad = np.argwhere(~good)
    if len(bad):
        require(False, (Setting(name), f" must be {condition}; got {_entry(found.array, bad)}"))


def _entry(array: np.ndarray, places: np.ndarray) -> str:
    place = tuple(int(i) for i in places[0])
    return f"{array[place]:g} at {list(place)}"


def _shape(given: Any) -> str:
    try:
        return f"shape {tuple(np.shape(given))}"
    except (TypeError, ValueError):
        return f"{given!r:.60}"
