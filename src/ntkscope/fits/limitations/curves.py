"""The fits of an experiment of learning curves: a NetCDF table for figures, a CSV for a paper.

A table of kind `curve_fits` has four dims beside `seed`: a `curve_row` for each curve (its
coordinates are `curve.ABOUT`), a `point` for each of their points, a `pair` for each difference of
two exponents, and a `change` for each change of an error at a fixed n (`changes`). Exponents are
positive where the error falls: error ~ n^-exponent.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ntkscope.fits.limitations.changes import Change, changes_of
from ntkscope.fits.limitations.curve import ABOUT, curves_of
from ntkscope.fits.limitations.curve_fit import CurveFit, fit_curve
from ntkscope.fits.limitations.pairs import Pair, pairs_of, verdict
from ntkscope.fits.limitations.rows import as_rows
from ntkscope.fits.limitations.table import KEYS
from ntkscope.fits.limitations.table import KIND as CURVES
from ntkscope.statistics.paired import FloatArray, Interval, t_interval
from ntkscope.statistics.two_samples import resolution
from ntkscope.stores import read_netcdf, write_netcdf, write_text

KIND = "curve_fits"

_MEANINGS = {
    "slope_per_seed": "exponent of each seed: error ~ n^-exponent",
    "exponent": "mean of one exponent per seed, t interval over seeds",
    "n_seeds": "seeds in the exponent",
    "n_min": "least n of the fit",
    "n_max": "most n of the fit",
    "n_points": "points of the fit; 0: no exponent",
    "reason": "why there is no exponent",
    "left_out": "points of the range that are left out, and why",
    "curvature": "c of log error = a + b log n + c (log n)^2: positive where the curve flattens",
    "offset_exponent": "alpha of error = a n^-alpha + c, c >= 0, one fit per seed",
    "offset": "c of the same",
    "offset_identified": "whether alpha is to be quoted (statistics.offset_law)",
    "offset_reason": "why not",
    "squared_exponent": "exponent of the mean squared error on the same points",
    "predicted_exponent": "of the squared error by the kernel's spectrum",
    "excess_exponent": "measured - predicted exponent of the squared error, paired by seed",
    "flags": "what a reader must know",
    "mean": "mean error over seeds, t interval over seeds",
    "used": "whether the point is in the fit",
    "point_reason": "why not",
    "difference_per_seed": "exponent of the first curve - that of the second, of each seed",
    "difference_estimate": "mean difference, t interval over seeds; Welch's where not paired",
    "resolution": "half the interval: a difference of more than this would have been seen",
    "verdict": "whether the interval leaves 0 out",
    "change_per_seed": "log ratio of errors, or slope (fits.limitations.changes)",
    "change_estimate": "mean change, t interval over seeds",
}


def fit_curves(
    curves_nc: Path,
    output_nc: Path,
    table_csv: Path,
    *,
    range: tuple[int, int],
    error_at_most: float,
    confidence: float,
    analysis: str,
    record: dict[str, Any],
) -> None:
    """Fit the curves of an experiment and write both tables.

    Args:
        curves_nc: table of kind `learning_curves`.
        output_nc: the NetCDF file.
        table_csv: the CSV file: a row for each exponent, each difference and each change.
        range: least and most n of every fit.
        error_at_most: points whose mean error is above are left out and named; of 0-1 errors,
            whose chance is .5 (of squared errors, twice of it).
        confidence: of the intervals, such as 0.95.
        analysis: of the experiment.
        record: provenance.

    Raises:
        StoreError: the table of curves is missing, damaged or of another kind.
    """
    began = time.monotonic()
    data = read_netcdf(curves_nc, CURVES)
    fits = fit(data, range, error_at_most, confidence, analysis)
    rows = as_rows(fits)
    record = record | {"wall_seconds": time.monotonic() - began}
    write_netcdf(fits, output_nc, KIND, record)
    write_text(rows.to_csv(index=False, float_format="%.6g"), table_csv)


def fit(
    data: xr.Dataset,
    range: tuple[int, int],
    error_at_most: float,
    confidence: float,
    analysis: str,
) -> xr.Dataset:
    """All fits of an experiment's learning curves.

    Args:
        data: table of kind `learning_curves`.
        range, error_at_most, confidence, analysis: as in `fit_curves`.
    """
    curves = curves_of(data)
    kept = [each for each in curves if each.is_kernel or each.about["step"] < 0]
    fits = [fit_curve(each, *range, error_at_most, confidence) for each in kept]
    seeds = data["seed"].values
    columns = {
        **_of_curves(fits),
        **_of_points(fits, confidence),
        **_of_pairs(pairs_of(fits, confidence), len(seeds)),
        **_of_changes(changes_of(curves, data), len(seeds), confidence),
    }
    about: dict[str, Any] = {
        name: ("curve_row", np.asarray([each.curve.about[name] for each in fits], KEYS[name][0]))
        for name in ABOUT
    }
    found = xr.Dataset(columns, about | {"seed": seeds})
    for name, meaning in _MEANINGS.items():
        found[name].attrs["long_name"] = meaning
    return found.assign_attrs(
        kind=KIND,
        experiment=str(data.attrs.get("experiment", "")),
        analysis=analysis,
        confidence=confidence,
        range=np.asarray(range, np.int64),
        error_at_most=error_at_most,
        currency=data.attrs["currency"],
        test=data.attrs["test"],
    )


Columns = dict[str, Any]


def _of_curves(fits: Sequence[CurveFit]) -> Columns:
    """Along `curve_row`."""
    intervals = {
        "exponent": [each.exponent for each in fits],
        "curvature": [each.curvature for each in fits],
        "offset_exponent": [each.offset.exponent for each in fits],
        "offset": [each.offset.offset for each in fits],
        "squared_exponent": [each.squared for each in fits],
        "predicted_exponent": [each.predicted for each in fits],
        "excess_exponent": [each.excess for each in fits],
    }
    found = [each.curve.n[each.used] for each in fits]
    made = [not each.reason for each in fits]
    texts = {
        "left_out": [each.left_out for each in fits],
        "reason": [each.reason for each in fits],
        "flags": ["; ".join(each.flags) for each in fits],
        "offset_reason": [each.offset.reason for each in fits],
    }
    numbers = {
        "n_seeds": [int(each.exponent.n) for each in fits],
        "n_points": [len(n) if ok else 0 for n, ok in zip(found, made, strict=True)],
        "n_min": [int(n.min()) if len(n) else 0 for n in found],
        "n_max": [int(n.max()) if len(n) else 0 for n in found],
        "offset_identified": [each.offset.identified for each in fits],
    }
    columns: Columns = {
        name: ("curve_row", values)
        for key, some in intervals.items()
        for name, values in _ends(key, key, some).items()
    }
    columns |= {name: ("curve_row", np.asarray(each, str)) for name, each in texts.items()}
    columns |= {name: ("curve_row", np.asarray(each)) for name, each in numbers.items()}
    columns["slope_per_seed"] = (("curve_row", "seed"), np.stack([each.slopes for each in fits]))
    columns["offset_per_seed"] = (
        ("curve_row", "seed"),
        np.stack([each.offset.per_seed for each in fits]),
    )
    columns["excess_per_seed"] = (
        ("curve_row", "seed"),
        np.stack([each.excesses for each in fits]),
    )
    return columns


def _of_points(fits: Sequence[CurveFit], confidence: float) -> Columns:
    """Along `point`, those of a curve together."""
    errors = np.concatenate([each.curve.error for each in fits], axis=1)
    lengths = [len(each.curve.n) for each in fits]
    mean = t_interval(errors.T, confidence)
    return {
        "point_curve": ("point", np.repeat(np.arange(len(fits)), lengths)),
        "point_n": ("point", np.concatenate([each.curve.n for each in fits])),
        **{name: ("point", each) for name, each in _ends("mean", "mean", [mean]).items()},
        "used": ("point", np.concatenate([each.used for each in fits])),
        "point_reason": ("point", np.asarray([why for each in fits for why in each.why], str)),
    }


def _of_pairs(pairs: Sequence[Pair], seeds: int) -> Columns:
    """Along `pair`."""
    found = [each.difference for each in pairs]
    numbers = {
        "pair_first": [each.first for each in pairs],
        "pair_second": [each.second for each in pairs],
        "pair_n_min": [min(each.n, default=0) for each in pairs],
        "pair_n_max": [max(each.n, default=0) for each in pairs],
        "pair_n_points": [len(each.n) for each in pairs],
        "difference_n": [int(each.n) for each in found],
    }
    per_seed = np.asarray([each.per_seed for each in pairs], float).reshape(len(pairs), seeds)
    ends = _ends("difference_estimate", "difference", found)
    return {
        **{name: ("pair", np.asarray(each, np.int64)) for name, each in numbers.items()},
        **{name: ("pair", each) for name, each in ends.items()},
        "paired": ("pair", np.asarray([each.paired for each in pairs], bool)),
        "difference_per_seed": (("pair", "seed"), per_seed),
        "resolution": ("pair", _resolutions(found)),
        "verdict": ("pair", np.asarray([verdict(each) for each in found], str)),
    }


def _of_changes(changes: Sequence[Change], seeds: int, confidence: float) -> Columns:
    """Along `change`."""
    per_seed = np.asarray([each.per_seed for each in changes], float).reshape(len(changes), seeds)
    found = [t_interval(each, confidence) for each in per_seed]
    ends = _ends("change_estimate", "change", found)
    texts = ("kind", "part", "curve", "fit", "layer")
    return {
        **{
            f"change_{name}": ("change", np.asarray([getattr(c, name) for c in changes], str))
            for name in texts
        },
        "change_width": ("change", np.asarray([c.width for c in changes], np.int64)),
        "change_samples": ("change", np.asarray([c.n for c in changes], np.int64)),
        "change_from": ("change", np.asarray([c.first for c in changes], float)),
        "change_to": ("change", np.asarray([c.last for c in changes], float)),
        "change_n": ("change", np.asarray([int(each.n) for each in found], np.int64)),
        **{name: ("change", each) for name, each in ends.items()},
        "change_per_seed": (("change", "seed"), per_seed),
        "change_resolution": ("change", _resolutions(found)),
        "change_verdict": ("change", np.asarray([verdict(each) for each in found], str)),
    }


def _resolutions(found: Sequence[Interval]) -> FloatArray:
    return np.asarray([float(resolution(each)) for each in found], float)


def _ends(middle: str, stem: str, found: Sequence[Interval]) -> Mapping[str, FloatArray]:
    """Estimates under the name `middle`, ends under `stem`_low and `stem`_high."""
    names = (middle, f"{stem}_low", f"{stem}_high")
    return {
        name: np.concatenate([np.atleast_1d(each[place]) for each in found] or [np.zeros(0)])
        for place, name in enumerate(names)
    }
