"""Every quantity of every cell, boundary and seed of an experiment."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ntkscope.fits.boundary_window import BoundaryWindow
from ntkscope.fits.cells import FACTS
from ntkscope.fits.effects import QUANTITIES, arm_quantities, deflection
from ntkscope.statistics.paired import FloatArray

_CURVES = ("velocity", "spectral_norm", "distance_from_boundary", "alignment")
_TASK_CURVES = ("loss", "accuracy")
_PAIRED = np.asarray([quantity.paired for quantity in QUANTITIES.values()])


def seed_values(data: xr.Dataset, window: int) -> xr.Dataset:
    """The values that intervals and tests are made of.

    Args:
        data: a table of kind `experiment` (`collect`).
        window: steps that count as just before and just after a boundary.

    Returns:
        `per_seed` (axes…, boundary, quantity, seed), with the twin's taken off where the quantity
        is paired; `per_arm` (axes…, boundary, quantity, arm, seed), by itself; `left_out`
        (axes…, boundary, seed), whether a seed or its twin diverged or died by the end of the
        task after the boundary, and so is NaN in both; `boundary_step` and `end_step` (axes…,
        boundary), where that task begins and ends, −1 if there is none; `present` (axes…, arm).
    """
    axes = str(data.attrs["axes"]).split()
    outer = tuple(data.sizes[axis] for axis in (*axes, "boundary"))
    arms, seeds = data.sizes["arm"], data.sizes["seed"]
    per_arm = np.full((*outer, len(QUANTITIES), arms, seeds), np.nan)
    bends = np.full((*outer, seeds), np.nan)
    left_out = np.zeros((*outer, seeds), bool)
    end_step = np.full(outer, -1)
    for place in np.ndindex(*outer[:-1]):
        cell = data.isel(dict(zip(axes, place, strict=True)))
        for number, around in enumerate(_windows(cell, window)):
            here = (*place, number)
            per_arm[here], bends[here] = _values(cell, around)
            left_out[here] = _failed(cell, around)
            end_step[here] = around.end
    twins = np.where(_PAIRED[:, None], per_arm[..., 1, :], 0.0)
    per_seed = per_arm[..., 0, :] - twins
    per_seed[..., list(QUANTITIES).index("deflection"), :] = bends
    dims = (*axes, "boundary")
    return xr.Dataset(
        {
            "per_seed": (
                (*dims, "quantity", "seed"),
                np.where(left_out[..., None, :], np.nan, per_seed),
            ),
            "per_arm": (
                (*dims, "quantity", "arm", "seed"),
                np.where(left_out[..., None, None, :], np.nan, per_arm),
            ),
            "left_out": ((*dims, "seed"), left_out),
            "boundary_step": data["boundary_step"].variable,
            "end_step": (dims, end_step),
            "present": data["present"].variable,
        },
        {name: data[name].variable for name in (*dims, "arm", "seed")}
        | {name: data[name].variable for name in FACTS if name in data.coords}
        | {"quantity": list(QUANTITIES)},
        {"axes": data.attrs["axes"]},
    )


def _windows(cell: xr.Dataset, window: int) -> Iterator[BoundaryWindow]:
    """The around around each boundary of one cell; none where the cell has no run."""
    steps = _steps(cell)
    edges = [int(edge) for edge in cell["boundary_step"].values if edge >= 0]
    if not cell["present"].values[0]:
        return
    ends = [*edges, int(steps[-1])][1:]
    for task, (edge, end) in enumerate(zip(edges, ends, strict=True), start=1):
        last = edge == edges[-1]
        yield BoundaryWindow(
            steps, edge, end, window, int(cell.attrs["dt"]), ends_stream=last, task=task
        )


def _steps(cell: xr.Dataset) -> NDArray[np.int64]:
    steps = np.asarray(cell["step"].values)
    return steps[steps >= 0]


def _values(cell: xr.Dataset, around: BoundaryWindow) -> tuple[FloatArray, FloatArray]:
    """(quantity, arm, seed) of each arm by itself, and the deflection, (seed,)."""
    count = len(around.steps)
    curves = {name: cell[name].values[..., :count] for name in _CURVES}
    for name in _TASK_CURVES:
        curves[name] = cell[name].transpose(..., "snapshot", "seen").values[..., :count, :]
    found = arm_quantities(curves, around)
    shift, twin = curves["alignment"]
    nothing = np.full_like(found["spike"], np.nan)
    return (
        np.stack([found.get(name, nothing) for name in QUANTITIES]),
        deflection(shift, twin, around),
    )


def _failed(cell: xr.Dataset, around: BoundaryWindow) -> NDArray[np.bool_]:
    """Seeds (seed,) that, in either arm, diverged or died by the end of the around."""
    firsts = np.stack([cell["diverged_step"].values, cell["dead_step"].values])
    return np.asarray(((firsts >= 0) & (firsts <= around.end)).any(axis=(0, 1)))
