"""Does the kernel tell of a shift that nobody declared, sooner or surer than loss and gradient?

`ShiftDetector`s of one stated rate of false alarms listen to each of `SIGNALS` at every step around
the first boundary, with what came before it as their only knowledge; none is tuned to a shift.
A signal is placed at the step at which it is known: the velocity of t → t + dt at t + dt.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ntkscope.fits.results import Result, of_seeds
from ntkscope.statistics.paired import FloatArray, Interval
from ntkscope.statistics.shift_detector import ShiftDetector

RATE, WITHIN = 0.005, 20
"""Stated false alarms a step; steps after the boundary in which an alarm is a hit."""
KERNEL = "velocity"
SIGNALS = {
    KERNEL: "NTK velocity",
    "batch_loss": "loss of the batch",
    "gradient_norm": "gradient norm of the batch",
    "loss": "loss on test samples of task 1",
}
Alarms = NDArray[np.bool_]


def signals_of(arm: xr.Dataset, boundary: int, dt: int) -> tuple[NDArray[np.int64], dict[str, Any]]:
    """The steps around a boundary of which each has a snapshot, and the signals known there.

    Args:
        arm: one arm of a cell, with `step`.
        boundary: its step.
        dt: of the velocity.

    Returns:
        Steps (step,), and name → (seed, step) of those of `SIGNALS` that there are.
    """
    every = np.asarray(arm["step"].values, np.int64)
    block = np.cumsum(np.diff(every, prepend=every[0]) != 1)
    mine = (block == block[every == boundary][0]) & (every >= 0)
    known = {name: arm[name] for name in SIGNALS if name in arm}
    if "seen" in arm["loss"].dims:
        known["loss"] = arm["loss"].isel(seen=0)
    found = {name: each.transpose("seed", "snapshot").values for name, each in known.items()}
    order = np.argsort(every, kind="stable")
    before = order[np.searchsorted(every, every - dt, sorter=order)]
    is_there = (every >= dt) & (every[before] == every - dt)
    found[KERNEL] = np.where(is_there, found[KERNEL][:, before], np.nan)
    return every[mine], {name: values[:, mine] for name, values in found.items()}


def alarms(values: FloatArray, rate: float = RATE) -> tuple[Alarms, Alarms]:
    """Alarms of a detector for each seed, and where one was possible: (seed, step) each."""
    raised, possible = np.zeros(values.shape, bool), np.zeros(values.shape, bool)
    for seed, series in enumerate(values):
        detector = ShiftDetector(rate)
        raised[seed] = [detector.update(value) for value in series]
        known = ~np.isnan(series)
        possible[seed] = known & (np.cumsum(known) > detector.window)
    return raised, possible


def detection(metrics: xr.Dataset, confidence: float) -> list[Result]:
    """Hits, delays and false alarms of every cell and signal, and the kernel's hits less others'.

    * `hit_rate`: share of seeds with an alarm within `WITHIN` steps of the boundary, with the exact
      interval of Clopper & Pearson 1934; against `twin`: the same of the twins, which is chance.
    * `delay`: steps from the boundary to the first alarm, over seeds that were hit.
    * `false_alarms`: a step, of the twins, over seeds.
    * `hit_difference`: share of the shifts of a seed that the kernel hit, less what another did.
    * `delay_difference`: mean over the shifts of a seed of the steps to the first alarm, `WITHIN`
      where there is none by then (restricted mean: Royston & Parmar 2013), less that of another.
      Later alarms are of false ones more than of the shift, and count for nothing.

    Args:
        metrics: table of kind `experiment`.
        confidence: of the intervals.
    """
    found: list[Result] = []
    firsts: dict[str, list[FloatArray]] = {name: [] for name in SIGNALS}
    for at, cell in _cells(metrics):
        raised = {arm: _alarms_of(cell, arm) for arm in ("shift", "twin")}
        for name, (steps, *when) in raised["shift"].items():
            found += _of_cell(raised, name, at, confidence)
            firsts[name].append(_first(steps, *when))
    return found + list(_differences(firsts, confidence))


def _cells(metrics: xr.Dataset) -> Iterator[tuple[dict[Hashable, Any], xr.Dataset]]:
    """The axes of each point that has a run, and its cell."""
    axes = str(metrics.attrs["axes"]).split()
    there = metrics["present"].sel(arm="shift").transpose(*axes).values
    for place in np.argwhere(there):
        cell = metrics.isel(dict(zip(axes, map(int, place), strict=True)))
        yield {axis: cell[axis].values[()] for axis in axes}, cell


def _alarms_of(cell: xr.Dataset, arm: str) -> dict[str, tuple[NDArray[np.int64], Alarms, Alarms]]:
    """Signal → steps from the boundary, alarms, and where they were possible.

    A seed that diverged or died, in either arm, has neither.
    """
    failed = ((cell["diverged_step"] >= 0) | (cell["dead_step"] >= 0)).any("arm")
    boundary = int(np.atleast_1d(cell["boundary_step"].values)[0])
    steps, signals = signals_of(cell.sel(arm=arm), boundary, int(cell.attrs["dt"]))
    found = {}
    for name, values in signals.items():
        raised, possible = alarms(np.where(failed.values[:, None], np.nan, values))
        if possible[:, steps > boundary].any():
            found[name] = (steps - boundary, raised, possible)
    return found


def first_alarms(cell: xr.Dataset, arm: str) -> dict[str, FloatArray]:
    """Signal → steps from the boundary to each seed's first alarm after it; ∞ where there is none.

    Args:
        cell: of a table of kind `experiment`, without the sweep's axes.
        arm: shift or twin.
    """
    return {name: _first(*each) for name, each in _alarms_of(cell, arm).items()}


def _first(steps: NDArray[np.int64], raised: Alarms, possible: Alarms) -> FloatArray:
    """Steps from the boundary to the first alarm after it, (seed,); ∞: none; NaN: none possible."""
    after = steps > 0
    first = np.where(raised[:, after], steps[after].astype(float), np.inf).min(axis=1)
    return np.where(possible[:, after].any(axis=1), first, np.nan)


def _of_cell(
    raised: dict[str, Any], name: str, at: dict[Hashable, Any], confidence: float
) -> Iterator[Result]:
    what: dict[str, Any] = {"quantity": name, "at": at, "boundary": 1}
    for arm, against in (("shift", ""), ("twin", "twin")):
        if name in raised[arm]:
            first = _first(*raised[arm][name])
            yield _share(first, confidence, statistic="hit_rate", against=against, **what)
    first = _first(*raised["shift"][name])
    delay = np.where(first <= WITHIN, first, np.nan)
    yield of_seeds(delay, confidence, statistic="delay", against="", units="step", **what)
    if name in raised["twin"]:
        _, false, possible = raised["twin"][name]
        count = possible.sum(axis=1)
        rate = np.where(count, (false & possible).sum(axis=1) / np.maximum(count, 1), np.nan)
        note = f"{int((false & possible).sum())} in {int(count.sum())} steps; stated: {RATE:g}"
        yield of_seeds(
            rate,
            confidence,
            statistic="false_alarms",
            against="twin",
            units="1/step",
            note=note,
            **what,
        )


def _share(first: FloatArray, confidence: float, **what: Any) -> Result:
    """The share of seeds that were hit, with its exact interval."""
    from scipy.stats import binomtest

    used = first[~np.isnan(first)]
    nothing = np.full_like(first, np.nan)
    if not used.size:
        nan = np.asarray(np.nan)
        unknown = Interval(nan, nan, nan, np.asarray(0))
        return Result(units="1", interval=unknown, per_seed=nothing, **what)
    test = binomtest(int((used <= WITHIN).sum()), used.size)
    ends = test.proportion_ci(confidence, method="exact")
    numbers = map(np.asarray, (test.statistic, ends.low, ends.high, used.size))
    return Result(units="1", interval=Interval(*numbers), per_seed=nothing, **what)


def _differences(firsts: dict[str, list[FloatArray]], confidence: float) -> Iterator[Result]:
    """Of the kernel, over a seed's shifts, less of another signal that has them all."""
    ours = np.asarray(firsts[KERNEL])
    for name, each in firsts.items():
        if name == KERNEL or not each or len(each) != len(ours):
            continue
        theirs = np.asarray(each)
        known = np.where(np.isnan(ours) | np.isnan(theirs), np.nan, 1.0)
        compared = {
            "hit_difference": ("1", (ours <= WITHIN).astype(float) - (theirs <= WITHIN)),
            "delay_difference": ("step", np.minimum(ours, WITHIN) - np.minimum(theirs, WITHIN)),
        }
        for statistic, (units, less) in compared.items():
            yield of_seeds(
                (less * known).mean(axis=0),
                confidence,
                statistic=statistic,
                quantity=KERNEL,
                against=name,
                units=units,
                at={},
                boundary=1,
                note=f"of {len(each)} kinds of shift",
            )
