"""Metrics tables of made-up runs, as the stage before this one writes them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from ntkscope.stores import write_netcdf

SEEDS, STEPS, BOUNDARY = 5, np.arange(0, 41), 20


def metrics_table(
    path: Path | None = None,
    *,
    steps: np.ndarray = STEPS,
    boundaries: tuple[int, ...] = (BOUNDARY,),
    seeds: int = SEEDS,
    first_seed: int = 0,
    dt: int = 1,
    layers: tuple[str, ...] = (),
    diverged: dict[int, int] | None = None,
    dead: dict[int, int] | None = None,
    ranks: int = 0,
    loss: Any = 0.0,
    accuracy: Any = 1.0,
    **curves: Any,
) -> xr.Dataset:
    """A table whose curves are 1 unless given, each broadcast to (seed, snapshot)."""
    shape = (seeds, len(steps))
    defaults = dict.fromkeys(
        ("velocity", "spectral_norm", "alignment", "distance_from_boundary", "trace"), 1.0
    )
    variables: dict[str, Any] = {
        name: (("seed", "snapshot"), np.array(np.broadcast_to(curve, shape), float))
        for name, curve in (defaults | curves).items()
    }
    seen = (*shape, 1 + len(boundaries))
    for name, curve in (("loss", loss), ("accuracy", accuracy)):
        whole = np.array(np.broadcast_to(curve, seen), float)
        variables[name] = (("seed", "snapshot", "seen"), whole)
    coords: dict[str, Any] = {
        "seed": first_seed + np.arange(seeds),
        "step": ("snapshot", np.asarray(steps, np.int64)),
        "task": ("snapshot", 1 + np.searchsorted(boundaries, steps)),
        "seen": np.arange(1, 2 + len(boundaries)),
    }
    if layers:
        variables["layer_trace"] = (("seed", "snapshot", "layer"), np.ones((*shape, len(layers))))
        coords["layer"] = list(layers)
    if ranks:
        variables["eigenvalues"] = (("seed", "snapshot", "rank"), np.ones((*shape, ranks)))
        coords["rank"] = np.arange(1, ranks + 1)
    for name, failures in (("diverged_step", diverged or {}), ("dead_step", dead or {})):
        variables[name] = ("seed", np.asarray([failures.get(s, -1) for s in range(seeds)]))
    attrs = {"boundaries": np.asarray(boundaries, np.int64), "dt": dt, "kernel": "trace"}
    data = xr.Dataset(variables, coords, attrs)
    if path is not None:
        write_netcdf(data, path, "metrics", {})
    return data


@pytest.fixture(scope="session")
def table() -> Callable[..., xr.Dataset]:
    return metrics_table
