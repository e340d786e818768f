"""The fits of an experiment: one NetCDF table for figures, one CSV table for a paper.

A table of kind `fits` has, over the sweep's axes, `boundary` and `quantity`: `estimate`, `low`,
`high` (t interval over seeds), `n`, `left_out` (seeds that diverged or died, or whose twin did),
`undefined` (seeds whose value does not exist), `censored` (seeds that do not get there within the
task: then there is no mean), `median` (with those as longer than any other), `p_wilcoxon`,
`p_sign`, `effect_dz`, `effect_rank_biserial`; `per_seed` with the axis `seed`, `per_arm` with `arm`
and `seed`; the exponents of width (`exponents`); and the results of the sweep (`results`), which
`laws` defines. `effects.QUANTITIES` defines the quantities.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ntkscope.fits.boundary_window import BEFORE
from ntkscope.fits.effects import QUANTITIES
from ntkscope.fits.exponents import width_exponents
from ntkscope.fits.laws import sweep_results
from ntkscope.fits.rows import as_rows
from ntkscope.fits.schema import check_experiment
from ntkscope.fits.seed_values import seed_values
from ntkscope.statistics.paired import ZeroTests, against_zero, median, t_interval
from ntkscope.stores import read_netcdf, write_netcdf, write_text

_MEANINGS = {
    "estimate": "mean over seeds",
    "low": "lower end of the t interval over seeds",
    "high": "upper end of the t interval over seeds",
    "n": "seeds used",
    "left_out": "seeds left out: they or their twin diverged or died",
    "undefined": "seeds that have no such value",
    "censored": "seeds that do not get there within the task; where there are any, no mean",
    "median": "median over seeds, the censored as longer than any other; NaN where it is one",
    "p_wilcoxon": "Wilcoxon signed-rank test against 0, two-sided, not corrected for many tests; "
    "exact, so never below 2^(1-n): 0.0625 at n = 5, whatever the effect",
    "p_sign": "sign test against 0, two-sided, not corrected for many tests; never below 2^(1-n)",
    "effect_dz": "Cohen's d_z: mean / standard deviation of the paired differences",
    "effect_rank_biserial": "matched-pairs rank-biserial correlation (Kerby 2014)",
    "end_step": "last step of the task after the boundary",
    "per_seed": "value of each seed, with its twin's taken off where the quantity is paired",
    "per_arm": "value of each arm by itself; of spike, the log of the velocity",
    "exponent": "b of y ~ width^b: mean of one slope per seed",
    "exponent_cluster": "b of one pooled fit, errors clustered by seed (statsmodels)",
    "exponent_n": "seeds used",
    "exponent_nonpositive": "seeds left out: a y is not positive",
    "exponent_incomplete": "seeds left out: a y is missing",
    "exponent_reason": "why there is no exponent",
    "exponent_without": "widths that have runs and are in no fit",
    "exponent_per_seed": "slope of log y on log width of each seed",
    "curvature": "c of log y = a + b log width + c (log width)^2; where its interval leaves out 0, "
    "this is not a pure power law",
    "curved": "whether the interval of the curvature leaves out 0",
    "exponent_difference": "difference of the exponents of two regimes, paired by seed",
    "exponent_difference_without": "widths of one regime that are in neither fit",
    "exponent_difference_curved": "whether either law is curved",
    "exponent_difference_p_t": "paired t test of the difference, two-sided",
    "exponent_difference_effect_dz": "Cohen's d_z of the difference",
}


def fit_experiment(
    metrics: Path,
    output_nc: Path,
    table_csv: Path,
    *,
    window: int,
    confidence: float,
    analysis: str = "table",
    classes: int | None = None,
    record: dict[str, Any],
) -> None:
    """Compare an experiment's runs with their twins and write both tables.

    Args:
        metrics: table of kind `experiment`.
        output_nc: the NetCDF file.
        table_csv: the CSV file: a row for each point of the sweep, boundary and quantity, then one
            for each exponent of width, each difference of two, and each result of the sweep.
        window: steps that count as just before and just after a boundary.
        confidence: of the intervals, such as 0.95.
        analysis: of the experiment; decides which results of the sweep there are.
        classes: of the first task; None: none of them is against the dissimilarity of tasks.
        record: provenance.

    Raises:
        StoreError: the table of metrics is missing, damaged or of another kind.
    """
    began = time.monotonic()
    data = read_netcdf(metrics, "experiment")
    check_experiment(data, metrics)
    fits = fit(data, window, confidence, analysis, classes)
    rows = as_rows(fits)
    record = record | {"wall_seconds": time.monotonic() - began}
    write_netcdf(fits, output_nc, "fits", record)
    write_text(rows.to_csv(index=False, float_format="%.6g"), table_csv)


def fit(
    data: xr.Dataset, window: int, confidence: float, analysis: str, classes: int | None
) -> xr.Dataset:
    """All fits of an experiment's metrics.

    Args:
        data: table of kind `experiment`.
        window, confidence, analysis, classes: as in `fit_experiment`.
    """
    values = seed_values(data, window)
    per_seed = values["per_seed"].values
    interval = t_interval(per_seed, confidence)
    censored = np.isinf(per_seed).sum(axis=-1)
    dims = values["per_seed"].dims[:-1]
    columns = {
        "estimate": np.where(censored > 0, np.nan, interval.estimate),
        "low": np.where(censored > 0, np.nan, interval.low),
        "high": np.where(censored > 0, np.nan, interval.high),
        "n": interval.n,
        "undefined": _undefined(values, interval.n + censored),
        "censored": censored,
        "median": median(per_seed),
        **_evidence(per_seed),
    }
    found = values.assign({name: (dims, column) for name, column in columns.items()})
    found["seed_left_out"] = found["left_out"]
    found["left_out"] = values["left_out"].sum("seed")
    found = found.merge(width_exponents(values, confidence)).assign_coords(
        quantity_meaning=("quantity", [each.meaning for each in QUANTITIES.values()]),
        quantity_units=("quantity", [each.units for each in QUANTITIES.values()]),
        quantity_paired=("quantity", [each.paired for each in QUANTITIES.values()]),
    )
    found = found.merge(sweep_results(found, analysis, classes, confidence, data))
    for name, meaning in _MEANINGS.items():
        if name in found:
            found[name].attrs["long_name"] = meaning
    facts = {
        "window": window,
        "norm_before": f"mean over {BEFORE.format(window=window)}; minima: of those after",
        "confidence": confidence,
        "analysis": analysis,
    }
    return found.assign_attrs(facts | ({} if classes is None else {"classes": classes}))


def _undefined(values: xr.Dataset, used: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Seeds of a boundary that there is, neither used nor left out."""
    there = (values["boundary_step"] >= 0) & values["present"].isel(arm=0)
    possible = (there * (~values["left_out"]).sum("seed")).transpose(*values["boundary_step"].dims)
    return np.asarray(possible.values[..., None] - used)


def _evidence(per_seed: np.ndarray[Any, Any]) -> dict[str, np.ndarray[Any, Any]]:
    """Tests and effect sizes, (…, quantity), NaN where 0 is no hypothesis."""
    found = np.full((*per_seed.shape[:-1], len(ZeroTests._fields)), np.nan)
    tested = [quantity.tested for quantity in QUANTITIES.values()]
    for place in np.ndindex(per_seed.shape[:-1]):
        if tested[place[-1]]:
            found[place] = against_zero(per_seed[place])
    return {name: found[..., number] for number, name in enumerate(ZeroTests._fields)}
