"""Statistics of a whole sweep as rows: a slope, a bend, a difference of two cells, an R².

In a table of kind `fits` they lie along the dimension `result`, each variable's name beginning with
`result_`; `results_of` gives them back as a data frame.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr

from ntkscope.statistics.paired import FloatArray, Interval, t_interval

_PREFIX = "result_"
_TEXTS = ("statistic", "quantity", "against", "units", "note")


class Result(NamedTuple):
    """One statistic of a sweep.

    Attributes:
        statistic: such as `slope`; `laws` defines them.
        quantity: the y, one of `effects.QUANTITIES`.
        against: the x, or the two cells that are compared.
        units: of the estimate.
        at: the other axes and their values; an axis that is missing is swept or compared.
        boundary: its number from 1; −1 where boundaries are the x.
        interval: estimate, ends and n.
        per_seed: (seed,), the values that the interval is of; NaN where it is not of one per seed.
        note: what a reader must know.
        lacking: what it speaks of and has no data for, in words; not kept in tables.
    """

    statistic: str
    quantity: str
    against: str
    units: str
    at: Mapping[Hashable, Any]
    boundary: int
    interval: Interval
    per_seed: FloatArray
    note: str = ""
    lacking: str = ""


def of_seeds(per_seed: FloatArray, confidence: float, **what: Any) -> Result:
    """A result of one value per seed, with its t interval."""
    return Result(interval=t_interval(per_seed, confidence), per_seed=per_seed, **what)


def as_dataset(results: Sequence[Result], values: xr.Dataset) -> xr.Dataset:
    """The results along the dimension `result`; empty where there are none.

    Args:
        results: of one experiment.
        values: as from `seed_values`.
    """
    if not results:
        return xr.Dataset()
    columns: dict[str, Any] = {name: [getattr(r, name) for r in results] for name in _TEXTS}
    columns["boundary"] = [r.boundary for r in results]
    for end in ("estimate", "low", "high", "n"):
        columns[end] = [getattr(r.interval, end)[()] for r in results]
    for axis in str(values.attrs["axes"]).split():
        text = values[axis].dtype.kind not in "iuf"
        columns[axis] = [r.at.get(axis, "" if text else np.nan) for r in results]
    data = {_PREFIX + name: ("result", np.asarray(column)) for name, column in columns.items()}
    per_seed = np.stack([r.per_seed for r in results])
    return xr.Dataset(data | {f"{_PREFIX}per_seed": (("result", "seed"), per_seed)})


def results_of(fits: xr.Dataset) -> pd.DataFrame:
    """The results of a table of kind `fits`: a row each, without the prefix.

    Returns:
        Columns statistic, quantity, against, units, note, boundary, estimate, low, high, n, the
        axes (NaN or empty where one is swept or compared), and per_seed, an array (seed,) each.
    """
    if "result" not in fits.dims:
        return pd.DataFrame(columns=[*_TEXTS, "boundary", "estimate", "low", "high", "n"])
    names = [str(name) for name in fits.data_vars if str(name).startswith(_PREFIX)]
    flat = [name for name in names if fits[name].dims == ("result",)]
    frame = pd.DataFrame({name.removeprefix(_PREFIX): fits[name].values for name in flat})
    frame["per_seed"] = list(fits[f"{_PREFIX}per_seed"].values)
    return frame
