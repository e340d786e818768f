"""Fits of learning curves as rows for a reader: exponents, their differences, changes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from ntkscope.fits.limitations.changes import SPECTRAL, in_words
from ntkscope.fits.limitations.curve import ABOUT

COLUMNS = [
    "statistic",
    *ABOUT,
    "against",
    "estimate",
    "low",
    "high",
    "resolution",
    "confidence",
    "seeds",
    "n_min",
    "n_max",
    "n_points",
    "verdict",
    "note",
]


def as_rows(fits: xr.Dataset) -> pd.DataFrame:
    """The table of a paper: columns are `COLUMNS`.

    A row of an exponent is followed by one of its curvature, one of the exponent with offset, and,
    of a kernel, one of the difference between measured and predicted exponent of squared error.

    Args:
        fits: table of kind `curve_fits`.
    """
    parts = [_exponents(fits), _pairs(fits), _changes(fits)]
    rows = pd.concat([part for part in parts if len(part)], ignore_index=True)
    rows["confidence"] = float(fits.attrs["confidence"])
    whole = ["seeds", "n_min", "n_max", "n_points", "width", "trained_on", "step"]
    return rows.reindex(columns=COLUMNS).astype(dict.fromkeys(whole, "Int64"))


def curve_name(about: pd.Series[str] | dict[str, object]) -> str:
    """A curve in words: `network, width 64`, `K_∞`, `K^F_500`, `K^200, own samples`."""
    width = f", width {about['width']}" if about["width"] else ""
    fresh = about["fit"] == "fresh"
    return {
        "network": f"network{width}",
        "infinite": "K_∞",
        "initial": f"K_0{width}",
        "after": f"K{'^F' if fresh else ''}_{about['trained_on']}",
        "during": f"K^t, t = {about['step']}" + ("" if fresh else ", own samples"),
    }[str(about["curve"])]


def _curves(fits: xr.Dataset) -> pd.DataFrame:
    return pd.DataFrame({name: fits[name].values for name in ABOUT})


def _exponents(fits: xr.Dataset) -> pd.DataFrame:
    about = _curves(fits)
    counts = {"n_min": fits["n_min"], "n_max": fits["n_max"], "n_points": fits["n_points"]}
    common = about.assign(**{name: column.values for name, column in counts.items()})
    common["seeds"] = fits["n_seeds"].values
    why = fits["reason"].to_series().to_numpy()
    remarks = [fits[name].to_series().to_numpy() for name in ("left_out", "flags")]
    notes = ["; ".join(filter(None, each)) for each in zip(why, *remarks, strict=True)]
    exponents = _with(common, fits, "exponent", "exponent", notes)
    curvature = _with(common, fits, "curvature", "curvature", [""] * len(common))
    offset = _with(common, fits, "offset_exponent", "exponent with offset", _of_offset(fits))
    excess = _with(
        common,
        fits,
        "excess_exponent",
        "exponent of squared error, measured - predicted",
        [f"predicted {p:.3g}" for p in fits["predicted_exponent"].values],
    )
    beside = [part[np.isfinite(part["estimate"])] for part in (curvature, offset, excess)]
    whole: pd.DataFrame = pd.concat([exponents, *beside])
    return whole.sort_index(kind="stable").reset_index(drop=True)


def _with(
    common: pd.DataFrame, fits: xr.Dataset, name: str, statistic: str, notes: list[str]
) -> pd.DataFrame:
    low, high = fits[f"{name}_low"].values, fits[f"{name}_high"].values
    return common.assign(
        statistic=statistic,
        estimate=fits[name].values,
        low=low,
        high=high,
        resolution=(high - low) / 2,
        note=notes,
    )


def _of_offset(fits: xr.Dataset) -> list[str]:
    return [
        f"c = {offset:.3g}" if identified else f"not identified: {reason}"
        for offset, identified, reason in zip(
            fits["offset"].values,
            fits["offset_identified"].values,
            fits["offset_reason"].values,
            strict=True,
        )
    ]


def _pairs(fits: xr.Dataset) -> pd.DataFrame:
    about = _curves(fits)
    first = about.iloc[fits["pair_first"].values].reset_index(drop=True)
    second = about.iloc[fits["pair_second"].values].reset_index(drop=True)
    same = first["part"] == second["part"]
    names = [curve_name(row) for _, row in second.iterrows()]
    where = [
        name if here else f"{name} of {part}"
        for name, here, part in zip(names, same, second["part"], strict=True)
    ]
    return first.assign(
        statistic="difference of exponents",
        against=where,
        estimate=fits["difference_estimate"].values,
        low=fits["difference_low"].values,
        high=fits["difference_high"].values,
        resolution=fits["resolution"].values,
        seeds=fits["difference_n"].values,
        n_min=fits["pair_n_min"].values,
        n_max=fits["pair_n_max"].values,
        n_points=fits["pair_n_points"].values,
        verdict=fits["verdict"].values,
        note=np.where(fits["paired"].values, "", "not paired: Welch"),
    )


def _changes(fits: xr.Dataset) -> pd.DataFrame:
    kinds = [str(kind) for kind in fits["change_kind"].values]
    ends = zip(kinds, fits["change_from"].values, fits["change_to"].values, strict=True)
    return pd.DataFrame(
        {
            "statistic": [_statistic(kind) for kind in kinds],
            "part": fits["change_part"].values,
            "curve": fits["change_curve"].values,
            "fit": fits["change_fit"].values,
            "width": fits["change_width"].where(fits["change_width"] > 0).to_series().to_numpy(),
            "against": [f"{kind}: {in_words(kind, *along)}" for kind, *along in ends],
            "estimate": fits["change_estimate"].values,
            "low": fits["change_low"].values,
            "high": fits["change_high"].values,
            "resolution": fits["change_resolution"].values,
            "seeds": fits["change_n"].values,
            "n_min": fits["change_samples"].values,
            "n_max": fits["change_samples"].values,
            "verdict": fits["change_verdict"].values,
            "note": fits["change_layer"].values,
        }
    )


def _statistic(kind: str) -> str:
    if kind in SPECTRAL:
        return "correlation with log error"
    return "slope" if "slope" in kind else "log ratio"
