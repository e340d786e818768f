"""Kernels of several stores as one dataset that reads a chunk when it is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import numpy as np
import xarray as xr
from xarray.backends import BackendArray
from xarray.core import indexing

from ntkscope.errors import StoreError
from ntkscope.metrics.lineage import IDENTITY, Lineage, of_one_run


def joined(lineages: Sequence[Lineage]) -> xr.Dataset:
    """`ntk` and `layer_ntk` of all tasks along `snapshot`, and of all lineages along `seed`.

    Args:
        lineages: of runs that differ in their seeds only.

    Returns:
        (seed, snapshot, …), with the coordinates of the stores; attributes: what kernels are
        compared by, and `boundaries`.

    Raises:
        StoreError: lineages of other kernels, another probe or other steps, or of one seed.
    """
    wholes = [_joined_tasks(lineage) for lineage in lineages]
    first = wholes[0]
    if len(wholes) == 1:
        return first
    for whole, lineage in zip(wholes[1:], lineages[1:], strict=True):
        _check_same(first, whole, lineage)
    seeds = np.concatenate([lineage.seeds for lineage in lineages])
    if len(np.unique(seeds)) < len(seeds):
        what = "two runs of one point have kernels of the same seed"
        raise StoreError(
            what, where=lineages[-1].paths[-1], remedy=of_one_run(lineages[-1].paths[-1])
        )
    variables = {
        name: _along("seed", [whole[name].variable for whole in wholes])
        for name in map(str, first.data_vars)
    }
    coords = {name: c.variable for name, c in first.coords.items() if name != "seed"}
    return xr.Dataset(variables, {**coords, "seed": seeds}, first.attrs)


def _joined_tasks(lineage: Lineage) -> xr.Dataset:
    first = lineage.stores[0]
    variables = {
        name: _along("snapshot", [store[name].variable for store in lineage.stores])
        for name in ("ntk", "layer_ntk")
        if name in first
    }
    coords = {str(name): c.variable for name, c in first.coords.items() if "snapshot" not in c.dims}
    coords["step"] = xr.Variable("snapshot", lineage.steps, {"long_name": "training step"})
    coords["task"] = xr.Variable("snapshot", lineage.tasks, {"long_name": "task, from 1"})
    facts = {key: first.attrs[key] for key in IDENTITY if key in first.attrs}
    ends = lineage.steps[np.flatnonzero(np.diff(lineage.tasks))]
    return xr.Dataset(variables, coords, facts | {"boundaries": ends})


def _check_same(first: xr.Dataset, other: xr.Dataset, lineage: Lineage) -> None:
    """Refuse kernels that differ in more than their seeds."""
    differing = [key for key in IDENTITY if first.attrs.get(key) != other.attrs.get(key)]
    names = sorted({*first.coords, *other.coords} - {"seed"}, key=str)
    differing += [
        str(name)
        for name in names
        if not (
            name in first and name in other and first[name].variable.equals(other[name].variable)
        )
    ]
    if differing:
        raise StoreError(
            f"the kernels of two runs of one point differ in: {', '.join(differing)}",
            where=lineage.paths[-1],
            remedy=of_one_run(lineage.paths[-1]),
        )


def _along(dim: str, parts: Sequence[xr.Variable]) -> xr.Variable:
    """Variables one behind the other along a dimension, lazily read."""
    array = indexing.LazilyIndexedArray(_Joined(dim, parts))
    return xr.Variable(parts[0].dims, array, parts[0].attrs)


class _Joined(BackendArray):
    """Variables one behind the other along a dimension."""

    def __init__(self, dim: str, parts: Sequence[xr.Variable]) -> None:
        self._parts = parts
        self._axis = parts[0].dims.index(dim)
        lengths = [part.shape[self._axis] for part in parts]
        self._owner = np.repeat(np.arange(len(parts)), lengths)
        self._place = np.concatenate([np.arange(length) for length in lengths])
        shape = list(parts[0].shape)
        shape[self._axis] = sum(lengths)
        self.shape, self.dtype = tuple(shape), parts[0].dtype

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(
            key, self.shape, indexing.IndexingSupport.OUTER, self._read
        )

    def _read(self, key: tuple[Any, ...]) -> Any:
        """Elements of an outer index: each axis an integer, a slice or an array."""
        wanted = np.arange(len(self._owner))[key[self._axis]]
        if wanted.ndim == 0:
            return self._of(int(self._owner[wanted]), key, int(self._place[wanted]))
        before = key[: self._axis]
        axis = self._axis - sum(isinstance(each, int | np.integer) for each in before)
        groups = [list(group) for _, group in groupby(wanted, key=lambda i: self._owner[i])]
        if not groups:
            return self._of(0, key, slice(0, 0))
        found = [self._of(int(self._owner[g[0]]), key, self._place[g]) for g in groups]
        return np.concatenate(found, axis=axis)

    def _of(self, owner: int, key: tuple[Any, ...], place: Any) -> Any:
        own = (*key[: self._axis], place, *key[self._axis + 1 :])
        return self._parts[owner][own].values
