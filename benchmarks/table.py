"""Measurements as rows: one for each case and peer."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.cases import Case
from benchmarks.measure import Measured
from benchmarks.peers import OURS, SGEMM

Numbers = NDArray[np.float64]

COLUMNS = (
    *("case", "group", "network", "width", "samples", "peer", "version", "status", "difference"),
    *("prepare_seconds", "first_seconds", "peak_mb", "rounds", "median_seconds", "least_seconds"),
    *("cpu_share", "ratio", "ratio_low", "ratio_high", "ratio_of_least"),
    *("gflop", "gflop_per_second", "sgemm_gflop_per_second", "share_of_sgemm"),
)


def rows_of(case: Case, found: list[Measured]) -> list[dict[str, Any]]:
    """A row of COLUMNS a peer, NaN where not measured.

    `ratio` is the peer's time over ours, of the same round.
    """
    by_name = {each.peer.name: each for each in found}
    ours, sgemm = by_name[OURS], by_name[SGEMM]
    return [_row(case, each, ours, sgemm) for each in found if each is not sgemm]


def _row(case: Case, each: Measured, ours: Measured, sgemm: Measured) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(COLUMNS, math.nan) | {
        "case": case.name,
        "group": case.group,
        "network": case.network,
        "width": case.width,
        "samples": case.samples,
        "peer": each.peer.name,
        "version": each.version,
        "status": each.status,
        "difference": each.error,
        "prepare_seconds": each.prepare,
        "first_seconds": each.first,
        "peak_mb": each.peak / 1e6,
    }
    if each.status != "ok":
        return row
    seconds = np.array(each.seconds)
    row |= _times(seconds, np.array(each.cpu_share))
    if ours.status == "ok":
        row |= _ratios(seconds, np.array(ours.seconds)) | _rates(seconds, ours.flops, sgemm)
    return row


def _times(seconds: Numbers, cpu_share: Numbers) -> dict[str, float]:
    """`cpu_share` below 1 tells of other processes on the core."""
    return {
        "rounds": int(np.isfinite(seconds).sum()),
        "median_seconds": float(np.nanmedian(seconds)),
        "least_seconds": float(np.nanmin(seconds)),
        "cpu_share": float(np.nanmedian(cpu_share)),
    }


def _ratios(seconds: Numbers, ours: Numbers) -> dict[str, float]:
    """Of the rounds in which both took part: median, quartiles, and the ratio of the least."""
    count = min(len(seconds), len(ours))
    low, median, high = np.nanquantile(seconds[:count] / ours[:count], (0.25, 0.5, 0.75))
    return {
        "ratio": float(median),
        "ratio_low": float(low),
        "ratio_high": float(high),
        "ratio_of_least": float(np.nanmin(seconds) / np.nanmin(ours)),
    }


def _rates(seconds: Numbers, flops: float | None, sgemm: Measured) -> dict[str, float]:
    """GFLOP/s of the case's operations, and their share of sgemm's, both at their least time."""
    if flops is None or sgemm.flops is None or sgemm.status != "ok":
        return {}
    rate = flops / np.nanmin(seconds) / 1e9
    peak = sgemm.flops / np.nanmin(sgemm.seconds) / 1e9
    return {
        "gflop": flops / 1e9,
        "gflop_per_second": float(rate),
        "sgemm_gflop_per_second": float(peak),
        "share_of_sgemm": float(rate / peak),
    }
