"""What an analysis declares of its sweep: laws along its axes, and differences between its cells.

Every statistic is one value per seed, with a t interval, but for AICc, R² and correlations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from ntkscope.config.analyses import ANALYSES, TABLE, Analysis, Law
from ntkscope.errors import ConfigError
from ntkscope.fits.cells import Line, cell_table, complete, lines
from ntkscope.fits.effects import QUANTITIES
from ntkscope.fits.forgetting_prediction import forgetting_prediction
from ntkscope.fits.results import Result, as_dataset, of_seeds
from ntkscope.statistics.concavity import bend_by_seed, curvature_by_seed, first_share_by_seed
from ntkscope.statistics.minimum import lowest_by_seed
from ntkscope.statistics.paired import FloatArray, Interval, t_interval
from ntkscope.statistics.saturation import evidence_for_saturation, saturation_by_seed
from ntkscope.statistics.trend import kendall_by_seed, slope_by_seed

MIN_POINTS = 3
_NAN = np.asarray(np.nan)


def sweep_results(
    values: xr.Dataset,
    analysis: str,
    classes: int | None,
    confidence: float,
    metrics: xr.Dataset | None = None,
) -> xr.Dataset:
    """The statistics of an analysis' sweep (`results`).

    Args:
        values: as from `seed_values`.
        analysis: of the experiment; one that is not declared is treated as `table`.
        classes: of its first task; None: nothing is compared with the dissimilarity of tasks.
        confidence: such as 0.95.
        metrics: the table of kind `experiment`; None: nothing is found that is of its curves.

    Raises:
        ConfigError: the analysis declares a quantity or a statistic that there is not.
    """
    declared = ANALYSES.get(analysis, ANALYSES[TABLE])
    _check(declared, analysis)
    if not values.sizes["boundary"]:
        return xr.Dataset()
    table = cell_table(values)
    if classes and {"protocol", "new_classes"} <= set(table.columns):
        table["dissimilarity"] = _dissimilarity(table, classes)
    found = [
        result
        for law in declared.laws
        if law.along in table.columns
        for line in lines(table, law.along, law.of, law.without)
        for result in _along(line, law, confidence)
    ]
    if declared.compare:
        comparisons = import_module(f"ntkscope.fits.{declared.paper}.comparisons")
        found += comparisons.COMPARISONS[declared.compare](table, confidence)
    if declared.over_time and metrics is not None:
        comparisons = import_module(f"ntkscope.fits.{declared.paper}.comparisons")
        found += comparisons.OVER_TIME[declared.over_time](metrics, confidence)
    if declared.forgetting:
        found += forgetting_prediction([table], confidence)
    return as_dataset(found, values)


def _check(declared: Analysis, analysis: str) -> None:
    """Refuse a law of what there is not."""
    for law in declared.laws:
        for names, known in ((law.of, QUANTITIES), (law.statistics, _STATISTICS)):
            if unknown := [name for name in names if name not in known]:
                raise ConfigError(
                    f"the analysis {analysis} asks for {', '.join(unknown)}",
                    where=f"its laws along {law.along}",
                    remedy=f"use some of: {', '.join(known)}",
                )


def _dissimilarity(table: pd.DataFrame, classes: int) -> pd.Series[float]:
    """1 − |D₀ ∩ D₁| / |D₀ ∪ D₁| over classes; adding keeps all old ones, swapping does not."""
    new = table["new_classes"]
    kept = classes - new.where(table["protocol"] == "swap", 0)
    return 1 - kept / (classes + new)


def _along(line: Line, law: Law, confidence: float) -> Iterator[Result]:
    """The statistics of one line; none with fewer than 3 points."""
    used = line.x > 0 if law.log else np.isfinite(line.x)
    x, y, kept = complete(np.log(line.x[used]) if law.log else line.x[used], line.y[:, used])
    if len(x) < MIN_POINTS:
        return
    at = dict(line.at)
    what = {
        "quantity": at.pop("quantity"),
        "against": f"log {law.along}" if law.log else law.along,
        "boundary": int(at.pop("boundary", -1)),
        "at": at,
    }
    note = _lost(line.x[used], np.exp(x) if law.log else x, law.along, int((~kept).sum()))
    for name in law.statistics:
        for result in _STATISTICS[name](x, y, what, confidence):
            joined = "; ".join(filter(None, (result.note, note)))
            yield result._replace(note=joined, per_seed=_spread(result.per_seed, kept))


def _lost(wanted: FloatArray, used: FloatArray, axis: str, seeds: int) -> str:
    """What was left out of a line, in words."""
    missing = [f"{x:g}" for x in wanted if not np.isclose(x, used).any()]
    points = f"without {axis} {', '.join(missing)}, which not every seed has" if missing else ""
    few = f"seeds left out that lack most points: {seeds}" if seeds else ""
    return "; ".join(filter(None, (points, few)))


def _spread(values: FloatArray, kept: np.ndarray[Any, Any]) -> FloatArray:
    """Values of the kept seeds, NaN at the others."""
    whole = np.full(len(kept), np.nan)
    whole[kept] = values
    return whole


_What = dict[str, Any]


def _slope(x: FloatArray, y: FloatArray, what: _What, confidence: float) -> Iterator[Result]:
    units = f"{QUANTITIES[what['quantity']].units} per {what['against']}"
    yield of_seeds(slope_by_seed(x, y), confidence, statistic="slope", units=units, **what)


def _kendall(x: FloatArray, y: FloatArray, what: _What, confidence: float) -> Iterator[Result]:
    note = "a time not reached counts as the longest" if np.isinf(y).any() else ""
    tau = kendall_by_seed(y)
    yield of_seeds(tau, confidence, statistic="kendall_tau", units="1", note=note, **what)


def _bend(x: FloatArray, y: FloatArray, what: _What, confidence: float) -> Iterator[Result]:
    note = "of y / y_last in x / x_last; negative: concave"
    bend = bend_by_seed(x, y)
    yield of_seeds(bend, confidence, statistic="bend", units="1", note=note, **what)


def _curvature(x: FloatArray, y: FloatArray, what: _What, confidence: float) -> Iterator[Result]:
    units = f"{QUANTITIES[what['quantity']].units} per ({what['against']})²"
    bend = curvature_by_seed(x, y)
    yield of_seeds(bend, confidence, statistic="curvature", units=units, **what)


def _first_share(x: FloatArray, y: FloatArray, what: _What, confidence: float) -> Iterator[Result]:
    new = x > 0
    note = f"in proportion it would be {x[new][0] / x[-1]:.3g}"
    share = first_share_by_seed(y[:, new])
    yield of_seeds(share, confidence, statistic="first_share", units="1", note=note, **what)


def _saturation(x: FloatArray, y: FloatArray, what: _What, confidence: float) -> Iterator[Result]:
    """Rate of the saturating law, its half-saturation, and its evidence against the line."""
    x, y = x[x > 0], y[:, x > 0]
    if len(x) < MIN_POINTS:
        return
    per_seed = saturation_by_seed(x, y)
    known = bool(np.isfinite(per_seed).all())
    note = "" if known else "not identifiable: saturated before the first points, or no such law"
    what = what | {"note": note}
    rate = t_interval(per_seed if known else np.full_like(per_seed, np.nan), confidence)
    units = f"1/({what['against']})"
    yield Result("saturation_rate", units=units, interval=rate, per_seed=per_seed, **what)
    half = Result(
        "half_saturation",
        units=what["against"],
        interval=_half_saturation(rate),
        per_seed=np.full_like(per_seed, np.nan),
        **what,
    )
    open_end = "the law does not saturate" if rate.high <= 0 else "the rate may be 0: no upper end"
    yield half._replace(note=note or ("" if rate.low > 0 else open_end))
    evidence = np.asarray(evidence_for_saturation(x, y))
    gain = Interval(evidence, _NAN, _NAN, rate.n)
    nothing = np.full_like(per_seed, np.nan)
    yield Result("saturation_aicc", units="1", interval=gain, per_seed=nothing, **what)


def _half_saturation(rate: Interval) -> Interval:
    """The x of half the limit, ln 2 / κ, its ends from those of κ; infinite where κ may be 0."""
    if np.isnan(rate.estimate):
        return rate
    middle, low, high = (
        np.asarray(np.log(2) / end if end > 0 else np.inf)
        for end in (rate.estimate, rate.high, rate.low)
    )
    return Interval(middle, low, high, rate.n)


def _lowest_at(x: FloatArray, y: FloatArray, what: _What, confidence: float) -> Iterator[Result]:
    lowest = lowest_by_seed(x, y)
    note = "of the logarithm; refined between the points of the sweep, never beyond them"
    yield of_seeds(
        lowest, confidence, statistic="lowest_at", units=what["against"], note=note, **what
    )


_STATISTICS: dict[str, Callable[[FloatArray, FloatArray, _What, float], Iterator[Result]]] = {
    "slope": _slope,
    "kendall_tau": _kendall,
    "bend": _bend,
    "curvature": _curvature,
    "first_share": _first_share,
    "saturation": _saturation,
    "lowest_at": _lowest_at,
}
