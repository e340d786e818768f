"""The axes of a sweep: their order, their values, and the place of a cell among them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

CellFiles = Mapping[str, Any]
Index = tuple[int, ...]
Axes = dict[str, list[Any]]


def axes_of(cells: Sequence[CellFiles]) -> Axes:
    """Each axis and its values, in the order of their first appearance; None where a cell lacks it.

    Args:
        cells: each with `axes`, key → value.
    """
    axes: Axes = {key: [] for cell in cells for key in cell["axes"]}
    for cell in cells:
        for key, values in axes.items():
            if cell["axes"].get(key) not in values:
                values.append(cell["axes"].get(key))
    return axes


def place_of(cell: CellFiles, axes: Axes) -> Index:
    """Index of a cell along each axis."""
    return tuple(values.index(cell["axes"].get(key)) for key, values in axes.items())


def facts_of(cells: Sequence[CellFiles], axes: Axes) -> dict[str, tuple[str, NDArray[Any]]]:
    """What cells know of the values of an axis beside their names, as coordinates along it.

    Args:
        cells: each may have `facts`: axis → name → text.
        axes: as from `axes_of`.

    Returns:
        `{axis}_{name}` → the axis and a text for each of its values, empty where none is known.
    """
    found: dict[str, tuple[str, NDArray[Any]]] = {}
    for axis, values in axes.items():
        known = {cell["axes"].get(axis): cell.get("facts", {}).get(axis, {}) for cell in cells}
        for name in dict.fromkeys(name for facts in known.values() for name in facts):
            texts = [known[value].get(name, "") for value in values]
            found[f"{axis}_{name}"] = (axis, np.asarray(texts, str))
    return found


def coordinate(values: Sequence[Any]) -> NDArray[Any]:
    """Values of an axis as integers or floats (None: NaN), else as strings written as in YAML."""
    given = [value for value in values if value is not None]
    if given and all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in given):
        return np.asarray([math.nan if value is None else value for value in values])
    return np.asarray([_as_in_yaml(value) for value in values])


def _as_in_yaml(value: Any) -> str:
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)
