"""The kernels of a lineage as one dataset that reads a chunk when it is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import numpy as np
import xarray as xr
from xarray.backends import BackendArray
from xarray.core import indexing

from ntkscope.metrics.lineage import IDENTITY, Lineage


def joined(lineage: Lineage) -> xr.Dataset:
    """`ntk` and `layer_ntk` of all tasks, along `snapshot`, lazily read.

    Returns:
        (seed, snapshot, …), with the coordinates of the stores; attributes: what kernels are
        compared by, and `boundaries`.
    """
    first = lineage.stores[0]
    names = [name for name in ("ntk", "layer_ntk") if name in first]
    variables = {
        name: xr.Variable(
            first[name].dims,
            indexing.LazilyIndexedArray(
                _Joined([store[name].variable for store in lineage.stores])
            ),
            first[name].attrs,
        )
        for name in names
    }
    coords = {str(name): c.variable for name, c in first.coords.items() if "snapshot" not in c.dims}
    coords["step"] = xr.Variable("snapshot", lineage.steps, {"long_name": "training step"})
    coords["task"] = xr.Variable("snapshot", lineage.tasks, {"long_name": "task, from 1"})
    facts = {key: first.attrs[key] for key in IDENTITY if key in first.attrs}
    ends = lineage.steps[np.flatnonzero(np.diff(lineage.tasks))]
    return xr.Dataset(variables, coords, facts | {"boundaries": ends})


class _Joined(BackendArray):
    """Variables one behind the other along `snapshot`."""

    def __init__(self, parts: Sequence[xr.Variable]) -> None:
        self._parts = parts
        self._axis = parts[0].dims.index("snapshot")
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
