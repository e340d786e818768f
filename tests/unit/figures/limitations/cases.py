"""Tables of learning curves as they come, whole and with what goes wrong."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import xarray as xr

from ntkscope.fits.limitations.curves import fit
from tests.unit.fits.limitations.synthetic_curves import ANALYSES, learning_curves

LONG = "two deformed digits, side by side, parity of their sum"


@cache
def tables(analysis: str, case: str = "whole") -> tuple[xr.Dataset, xr.Dataset]:
    """Curves and their fits of an analysis in one of `CASES`."""
    data = CASES[case](analysis)
    return data, fit(data, (500, 4000), 0.4, 0.95, analysis)


def _one_seed(analysis: str) -> xr.Dataset:
    return learning_curves(analysis, seeds=1)


def _no_infinite(analysis: str) -> xr.Dataset:
    data = learning_curves(analysis)
    return data.isel(row=data["curve"].values != "infinite")


def _no_networks(analysis: str) -> xr.Dataset:
    data = learning_curves(analysis)
    return data.isel(row=data["curve"].values != "network")


def _networks_alone(analysis: str) -> xr.Dataset:
    data = learning_curves(analysis)
    return data.isel(row=data["curve"].values == "network", layer_row=[])


def _at_chance(analysis: str) -> xr.Dataset:
    data = learning_curves(analysis)
    return data.assign(error=data["error"] * 0 + 0.49)


def _missing(analysis: str) -> xr.Dataset:
    data = learning_curves(analysis)
    numbers = [name for name in data.data_vars if name not in ("reason", "layer_error")]
    rows = xr.DataArray(np.arange(data.sizes["row"]) % 3 != 1, dims="row")
    found = data.assign({name: data[name].where(rows) for name in numbers})
    return found.assign(reason=data["reason"].where(rows, "not finite"))


def _nothing(analysis: str) -> xr.Dataset:
    data = learning_curves(analysis)
    numbers = [name for name in data.data_vars if name != "reason"]
    return data.assign({name: data[name] * np.nan for name in numbers})


def _diverged(analysis: str) -> xr.Dataset:
    """One of the seeds at every other n; all of them at the most."""
    data = learning_curves(analysis)
    network = xr.DataArray(data["curve"].values == "network", dims="row")
    most = xr.DataArray(data["n"].values >= 4000, dims="row")
    gone = network & (most | (data["seed"] == 1))
    return data.assign(
        error=data["error"].where(~gone),
        diverged=data["diverged"].where(~gone, 1.0),
        reason=data["reason"].where(~gone, "diverged"),
    )


def _two_widths(analysis: str) -> xr.Dataset:
    """What is trained at twice the width too."""
    data = learning_curves(analysis)
    trained = np.isin(data["curve"].values, ["network", "after", "during"])
    more = data.isel(row=trained, layer_row=[])
    wider = more.assign_coords(width=more["width"] * 2)
    both = xr.concat([data.drop_dims("layer_row"), wider.drop_dims("layer_row")], "row")
    return both.assign(layer_error=data["layer_error"]).assign_attrs(data.attrs)


def _few_and_noisy(analysis: str) -> xr.Dataset:
    """Two seeds whose intervals are wider than the errors."""
    data = learning_curves(analysis, seeds=2)
    return data.assign(error=data["error"] * (0.4 + 1.2 * data["seed"]))


def _long_names(analysis: str) -> xr.Dataset:
    data = learning_curves(analysis)
    names = np.full(data.sizes["row"], LONG)
    return data.assign_coords(label=("row", names), title=("row", names))


CASES: dict[str, Callable[[str], xr.Dataset]] = {
    "whole": learning_curves,
    "one seed": _one_seed,
    "no infinite kernel": _no_infinite,
    "no networks": _no_networks,
    "networks alone": _networks_alone,
    "at chance": _at_chance,
    "missing": _missing,
    "nothing": _nothing,
    "diverged": _diverged,
    "two widths": _two_widths,
    "few and noisy": _few_and_noisy,
    "long names": _long_names,
}

__all__ = ["ANALYSES", "CASES", "LONG", "tables"]
