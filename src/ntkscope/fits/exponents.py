"""How the effects of a boundary scale with width, regime by regime."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ntkscope.statistics.paired import FloatArray, Interval
from ntkscope.statistics.power_law import PowerLaw, compare, fit_power_law

LAWS = ("spike", "spike_over_baseline", "log_velocity", "norm_drop", "checkmark", "distance")
"""Quantities with a size, for which a power law of the width is fitted."""

_LOGARITHMS = ("spike", "spike_over_baseline", "log_velocity")


def width_exponents(values: xr.Dataset, confidence: float) -> xr.Dataset:
    """Exponents of width, over all axes but `width`; empty where there is no such axis.

    The y of `spike`, `spike_over_baseline` and `log_velocity` is the ratio or velocity itself, not
    its log.

    Args:
        values: as from `seed_values`.
        confidence: such as 0.95.

    Returns:
        `exponent`, `exponent_low`, `exponent_high`, the same of `curvature` and of
        `exponent_cluster` (pooled, errors clustered by seed), `curved`, `exponent_n`,
        `exponent_nonpositive`, `exponent_incomplete`, `exponent_reason`: (axes…, boundary, law);
        `exponent_per_seed` with a last axis seed; and of the difference between any two regimes,
        `exponent_difference`, `…_low`, `…_high`, `…_n`, `…_p_t`, `…_effect_dz`, `…_curved`:
        (contrast, other axes…, boundary, law), at the widths that both regimes have. The texts
        `exponent_without` and `exponent_difference_without` name those that are left out.
    """
    if "width" not in values.dims:
        return xr.Dataset()
    sizes = values["per_seed"].sel(quantity=list(LAWS)).rename(quantity="law")
    logs = np.isin(sizes["law"], _LOGARITHMS)
    sizes = sizes.transpose(..., "law", "seed", "width")
    y = sizes.values.copy()
    y[..., logs, :, :] = np.exp(y[..., logs, :, :])
    outer = sizes.shape[:-2]
    width = np.asarray(values["width"].values, np.float64)
    laws = [fit_power_law(width, y[place], confidence) for place in np.ndindex(outer)]
    dims = tuple(str(dim) for dim in sizes.dims[:-2])
    found = xr.Dataset(
        {name: (dims, each.reshape(outer)) for name, each in _columns(laws).items()},
        {"law": list(LAWS)} | {name: values[name].variable for name in (*dims[:-1], "seed")},
    )
    slopes = np.asarray([law.per_seed for law in laws]).reshape(sizes.shape[:-1])
    found["exponent_per_seed"] = ((*dims, "seed"), slopes)
    found["curved"] = (found["curvature_low"] > 0) | (found["curvature_high"] < 0)
    found["exponent_without"] = _without(values, sizes)
    return found.merge(_contrasts(found, sizes.copy(data=y), confidence))


def _without(values: xr.Dataset, sizes: xr.DataArray) -> xr.DataArray:
    """The widths of which there are runs, but no seed has a value, in words; (axes…, law)."""
    there = values["present"].sel(arm="shift", drop=True) & (values["boundary_step"] >= 0)
    lost = (there & sizes.isnull().all("seed")).transpose(*sizes.dims[:-2], "width")
    width = values["width"].values
    rows = lost.values.reshape(-1, len(width))
    texts = np.asarray([widths_in_words(width[row], "which no seed has") for row in rows], str)
    return xr.DataArray(texts.reshape(lost.shape[:-1]), dims=lost.dims[:-1])


def shared_slopes(
    width: FloatArray, first: FloatArray, second: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Slopes of two power laws, (seed,) each, at the widths that both have.

    Args:
        width: (width,).
        first, second: y's, (seed, width); NaN where missing.
    """
    both = ~_in_one(first, second)
    one, other = (fit_power_law(width[both], y[:, both], 0.95) for y in (first, second))
    return one.per_seed, other.per_seed


def _in_one(first: FloatArray, second: FloatArray) -> NDArray[np.bool_]:
    """The widths of which only one of two y's has a value."""
    one, other = (np.isfinite(y).any(axis=0) for y in (first, second))
    return np.asarray(one ^ other)


def widths_in_words(widths: FloatArray, why: str) -> str:
    """Widths that an exponent is without; empty where there are none."""
    listed = ", ".join(f"{width:g}" for width in sorted(widths))
    return f"without width {listed}, {why}" if listed else ""


def _columns(laws: list[PowerLaw]) -> dict[str, np.ndarray[Any, Any]]:
    intervals = {
        "exponent": [law.exponent for law in laws],
        "curvature": [law.curvature for law in laws],
        "exponent_cluster": [law.cluster for law in laws],
    }
    columns = {name: each for key, found in intervals.items() for name, each in _ends(key, found)}
    return columns | {
        "exponent_n": np.asarray([int(law.exponent.n) for law in laws]),
        "exponent_nonpositive": np.asarray([law.nonpositive for law in laws]),
        "exponent_incomplete": np.asarray([law.incomplete for law in laws]),
        "exponent_reason": np.asarray([law.reason for law in laws]),
    }


def _ends(name: str, intervals: list[Interval]) -> list[tuple[str, FloatArray]]:
    return [
        (name, np.asarray([float(each.estimate) for each in intervals])),
        (f"{name}_low", np.asarray([float(each.low) for each in intervals])),
        (f"{name}_high", np.asarray([float(each.high) for each in intervals])),
    ]


def _contrasts(laws: xr.Dataset, sizes: xr.DataArray, confidence: float) -> xr.Dataset:
    """Differences between the exponents of every two regimes, at the widths that both have."""
    if laws.sizes.get("regime", 0) < 2:
        return xr.Dataset()
    slopes = laws["exponent_per_seed"].transpose("regime", ..., "seed")
    y = sizes.transpose("regime", ..., "seed", "width").values
    width = np.asarray(sizes["width"].values, np.float64)
    curved = laws["curved"].transpose("regime", ...).values
    pairs = list(itertools.combinations(range(len(curved)), 2))
    places = list(np.ndindex(curved.shape[1:]))
    found, without = [], []
    for ends in ([(end, *place) for end in pair] for pair in pairs for place in places):
        lost = _in_one(*(y[end] for end in ends))
        both = [slopes.values[end] for end in ends]
        one, other = shared_slopes(width, *(y[end] for end in ends)) if lost.any() else both
        found.append(compare(one, other, confidence))
        without.append(widths_in_words(width[lost], "which one of the two lacks"))
    columns = dict(_ends("exponent_difference", [each.difference for each in found])) | {
        "exponent_difference_n": np.asarray([int(each.difference.n) for each in found]),
        "exponent_difference_p_t": np.asarray([each.p_t for each in found]),
        "exponent_difference_effect_dz": np.asarray([each.effect_dz for each in found]),
        "exponent_difference_curved": np.stack([curved[a] | curved[b] for a, b in pairs]),
        "exponent_difference_without": np.asarray(without, str),
    }
    shape = (len(pairs), *curved.shape[1:])
    dims = ("contrast", *(str(dim) for dim in slopes.dims[1:-1]))
    names = [str(name) for name in laws["regime"].values]
    return xr.Dataset(
        {name: (dims, each.reshape(shape)) for name, each in columns.items()},
        {"contrast": [f"{names[first]} - {names[second]}" for first, second in pairs]},
    )
