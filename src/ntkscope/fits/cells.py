"""The cells of a sweep as rows of a data frame, and lines along one of its axes."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr

from ntkscope.statistics.paired import FloatArray

KEYS = ("boundary", "quantity")

FACTS = ("regime_role", "variant_role", "variant_dataset", "variant_title", "variant_model")
"""What is known of a regime or a variant beside its name: coordinates along its axis."""


class Line(NamedTuple):
    """A quantity along one axis, all else being equal.

    Attributes:
        at: the other axes, `boundary` and `quantity`, with their values.
        x: (point,), increasing.
        y: (seed, point).
    """

    at: dict[Hashable, Any]
    x: FloatArray
    y: FloatArray


def cell_table(values: xr.Dataset, arm: str | None = None) -> pd.DataFrame:
    """A row for each cell that there is, boundary and quantity; a column for each seed.

    Args:
        values: as from `seed_values`.
        arm: of the arm `shift` or `twin` by itself, where it is; None: paired as quantities are.

    Returns:
        Columns: the sweep's axes, boundary, quantity, the seeds (as in `seeds_of`), then `FACTS`.
    """
    axes = str(values.attrs["axes"]).split()
    there = values["present"].sel(arm=arm or "shift", drop=True) & (values["boundary_step"] >= 0)
    wanted = values["per_arm"].sel(arm=arm) if arm else values["per_seed"]
    long = wanted.reset_coords(drop=True).to_dataset("seed").assign(there=there)
    rows = long.to_dataframe(dim_order=[*axes, *KEYS]).reset_index()
    return with_facts(rows[rows["there"]].drop(columns="there").reset_index(drop=True), values)


def with_facts(rows: pd.DataFrame, values: xr.Dataset) -> pd.DataFrame:
    """Rows with a column for each of `FACTS`; empty where `values` does not know it.

    Args:
        rows: with a column for each axis of the sweep.
        values: the table that they are of.
    """
    known = {}
    for fact in FACTS:
        axis = fact.partition("_")[0]
        if axis in rows and fact in values.coords:
            facts_of = dict(zip(values[axis].values, values[fact].values, strict=True))
            known[fact] = rows[axis].map(facts_of)
        else:
            known[fact] = pd.Series("", index=rows.index)
    return rows.assign(**known)


def named(values: xr.Dataset, axis: str, role: str) -> str | None:
    """The regime or variant (`axis`) that plays a role; None where none does."""
    if f"{axis}_role" not in values.coords:
        return None
    names = values[axis].values[values[f"{axis}_role"].values == role]
    return str(names[0]) if len(names) else None


def seeds_of(table: pd.DataFrame) -> list[Hashable]:
    """The columns of a `cell_table` that are seeds: those named by a number."""
    return [name for name in table.columns if not isinstance(name, str)]


def axes_of_table(table: pd.DataFrame) -> list[str]:
    """The columns of a `cell_table` that are axes."""
    other = (*KEYS, *FACTS)
    return [name for name in table.columns if isinstance(name, str) and name not in other]


def lines(
    table: pd.DataFrame, axis: str, quantities: Sequence[str], without: str = ""
) -> Iterator[Line]:
    """Each quantity along a numeric axis, at every value of the other axes.

    Args:
        table: as from `cell_table`.
        axis: the x: a column of the table, `boundary` included; rows that lack it are left out.
        quantities: of `effects.QUANTITIES`.
        without: an axis that says the same as `axis` in other words.
    """
    chosen = table[table["quantity"].isin(list(quantities)) & table[axis].notna()]
    others = [name for name in (*axes_of_table(table), *KEYS) if name not in (axis, without)]
    for place, group in chosen.groupby(others, dropna=False, sort=False):
        rows = group.sort_values(axis)
        at: dict[Hashable, Any] = dict(zip(others, place, strict=True))
        x = rows[axis].to_numpy(float)
        yield Line(at, x, rows[seeds_of(table)].to_numpy(float).T)


def complete(x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray, np.ndarray[Any, Any]]:
    """The points that all seeds have, once seeds that lack most points are left out.

    Every seed is then fitted at the same x: else the seed that diverged at the highest learning
    rate would have a slope of its own.

    Args:
        x: (point,).
        y: (seed, point); NaN where missing.

    Returns:
        x (kept point), y (kept seed, kept point) and which seeds are kept, (seed,).
    """
    there = ~np.isnan(y)
    kept = there.mean(axis=1) > 0.5
    points = there[kept].all(axis=0) & kept.any()
    return x[points], y[np.ix_(kept, points)], kept
