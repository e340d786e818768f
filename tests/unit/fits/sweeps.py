"""Seed values of made-up sweeps, as `seed_values` gives them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import xarray as xr

from ntkscope.fits import QUANTITIES
from ntkscope.fits.exponents import width_exponents
from ntkscope.fits.laws import sweep_results

SEEDS = 5
OFFSETS = 0.01 * np.asarray([-2.0, -1.0, 0.0, 1.0, 2.0])
Value = Callable[..., Any]


def sweep(cells: Sequence[dict[str, Any]], boundaries: int = 1, **quantities: Value) -> xr.Dataset:
    """Seed values of a sweep of cells; a quantity is a function of (boundary, the cell's axes).

    Regimes and variants play the roles that they are called by.
    """
    axes = {key: list(dict.fromkeys(c.get(key) for c in cells)) for c in cells for key in c}
    shape = tuple(len(values) for values in axes.values())
    per_seed = np.full((*shape, boundaries, len(QUANTITIES), SEEDS), np.nan)
    present = np.zeros((*shape, 2), bool)
    for cell in cells:
        place = tuple(values.index(cell.get(key)) for key, values in axes.items())
        present[place] = True
        for (number, name), b in itertools.product(enumerate(QUANTITIES), range(boundaries)):
            if name in quantities:
                per_seed[(*place, b, number)] = quantities[name](b + 1, **cell)
    twins = np.broadcast_to(OFFSETS, per_seed.shape)
    coords = {
        key: [np.nan if v is None else v for v in values]
        if any(isinstance(v, (int, float)) for v in values)
        else ["null" if v is None else v for v in values]
        for key, values in axes.items()
    }
    roles = {
        f"{axis}_role": (axis, [str(name) for name in axes[axis]])
        for axis in ("regime", "variant")
        if axis in axes
    }
    dims = (*axes, "boundary")
    return xr.Dataset(
        {
            "per_seed": ((*dims, "quantity", "seed"), per_seed),
            "present": ((*axes, "arm"), present),
            "per_arm": ((*dims, "quantity", "arm", "seed"), np.stack([per_seed, twins], axis=-2)),
            "boundary_step": (dims, np.full((*shape, boundaries), 20)),
            "end_step": (dims, np.full((*shape, boundaries), 60)),
        },
        coords
        | roles
        | {"boundary": np.arange(1, boundaries + 1), "quantity": list(QUANTITIES)}
        | {"seed": np.arange(SEEDS), "arm": ["shift", "twin"]},
        {"axes": " ".join(axes)},
    )


def fitted(values: xr.Dataset, analysis: str) -> xr.Dataset:
    """What claims are judged by, of a table of kind `fits`."""
    found = values.merge(sweep_results(values, analysis, 5, 0.95))
    if "width" in values.dims:
        found = found.merge(width_exponents(values, 0.95))
    return found.assign_attrs(analysis=analysis, confidence=0.95)
