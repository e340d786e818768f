"""Fits as rows for a reader: each point of the sweep and quantity; exponents; results."""

from __future__ import annotations

import pandas as pd
import xarray as xr

from ntkscope.fits.results import results_of

COLUMNS = [
    "boundary",
    "boundary_step",
    "quantity",
    "units",
    "estimate",
    "low",
    "high",
    "confidence",
    "n",
    "left_out",
    "undefined",
    "censored",
    "median",
    "p_wilcoxon",
    "p_sign",
    "p_t",
    "effect_dz",
    "effect_rank_biserial",
    "note",
]
"""After a column for each axis of the sweep."""

_EFFECTS = [
    "estimate",
    "low",
    "high",
    "n",
    "left_out",
    "undefined",
    "censored",
    "median",
    "p_wilcoxon",
    "p_sign",
    "effect_dz",
    "effect_rank_biserial",
    "boundary_step",
]


_CURVED = "not a pure power law: it is curved"


def as_rows(fits: xr.Dataset) -> pd.DataFrame:
    """The table of a paper: columns are the sweep's axes, then `COLUMNS`.

    Exponent rows have the width empty and a quantity such as `exponent of norm_drop`; rows of
    differences have both regimes in `regime`.

    Args:
        fits: as from `tables.fit`.
    """
    axes = str(fits.attrs["axes"]).split()
    parts = [_effects(fits, axes)]
    if "exponent" in fits:
        parts.append(_exponents(fits, axes))
    if "exponent_difference" in fits:
        parts.append(_differences(fits, axes))
    if "result" in fits.dims:
        parts.append(_results(fits))
    rows = pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)
    rows["confidence"] = float(fits.attrs["confidence"])
    whole = ["boundary", "boundary_step", *(a for a in axes if fits[a].dtype.kind in "iu")]
    return rows.reindex(columns=[*axes, *COLUMNS]).astype(dict.fromkeys(whole, "Int64"))


def _effects(fits: xr.Dataset, axes: list[str]) -> pd.DataFrame:
    """Rows of quantities, at points and boundaries that there are."""
    flags = {
        "has_run": fits["present"].sel(arm="shift", drop=True),
        "has_twin": fits["present"].sel(arm="twin", drop=True),
    }
    rows = _frame(fits[_EFFECTS].assign(flags), [*axes, "boundary", "quantity"])
    rows["note"] = ""
    rows.loc[rows["quantity_paired"] & ~rows["has_twin"], "note"] = "no twin"
    late = rows["censored"] > 0
    counted = (rows["n"] + rows["censored"]).astype(str)
    text = "not reached within the task by " + rows["censored"].astype(str) + " of " + counted
    rows.loc[late, "note"] = text[late] + " seeds: no mean"
    rows = rows[rows["has_run"] & (rows["boundary_step"] >= 0)]
    return rows.rename(columns={"quantity_units": "units"})


def _exponents(fits: xr.Dataset, axes: list[str]) -> pd.DataFrame:
    """Rows of exponents, at points of the other axes that have several widths."""
    others = [axis for axis in axes if axis != "width"]
    ends = ["", "_low", "_high"]
    names = ["curved", *(f"exponent{end}" for end in ends)]
    counts = ("n", "nonpositive", "incomplete", "reason", "without")
    names += [f"exponent_{count}" for count in counts]
    there = fits["present"].sel(arm="shift", drop=True).sum("width") >= 2
    rows = _frame(fits[names].assign(has_run=there), [*others, "boundary", "law"])
    notes = rows["exponent_reason"].where(~rows["curved"], _CURVED)
    rows["note"] = _joined(notes, rows["exponent_without"])
    rows["quantity"] = "exponent of " + rows["law"]
    rows["units"] = "1"
    return rows[rows["has_run"]].rename(
        columns={
            "exponent": "estimate",
            "exponent_low": "low",
            "exponent_high": "high",
            "exponent_n": "n",
            "exponent_incomplete": "left_out",
            "exponent_nonpositive": "undefined",
        }
    )


def _differences(fits: xr.Dataset, axes: list[str]) -> pd.DataFrame:
    """Rows of differences between the exponents of two regimes that both have one."""
    stem = "exponent_difference"
    names = {stem: "estimate", f"{stem}_low": "low", f"{stem}_high": "high", f"{stem}_n": "n"}
    names |= {f"{stem}_p_t": "p_t", f"{stem}_effect_dz": "effect_dz"}
    more = [f"{stem}_curved", f"{stem}_without"]
    others = [axis for axis in axes if axis not in ("width", "regime")]
    rows = _frame(fits[[*names, *more]], ["contrast", *others, "boundary", "law"])
    rows["quantity"] = "difference of exponents of " + rows["law"]
    rows["units"] = "1"
    curved = rows[f"{stem}_curved"].map({True: _CURVED, False: ""})
    rows["note"] = _joined(curved, rows[f"{stem}_without"])
    return rows[rows[f"{stem}_n"] > 0].rename(columns=names | {"contrast": "regime"})


def _joined(notes: pd.Series[str], more: pd.Series[str]) -> pd.Series[str]:
    both = zip(notes.astype(str), more.astype(str), strict=True)
    return pd.Series(["; ".join(filter(None, each)) for each in both], notes.index, str)


def _results(fits: xr.Dataset) -> pd.DataFrame:
    """Rows of the sweep's results; an axis that is swept or compared is empty."""
    rows = results_of(fits)
    rows["quantity"] = rows["statistic"] + " of " + rows["quantity"] + ": " + rows["against"]
    rows["boundary"] = rows["boundary"].where(rows["boundary"] > 0)
    return rows.drop(columns=["statistic", "against", "per_seed"])


def _frame(data: xr.Dataset, dims: list[str]) -> pd.DataFrame:
    return data.to_dataframe(dim_order=dims).reset_index()
