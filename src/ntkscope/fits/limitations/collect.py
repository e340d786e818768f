"""The errors of an experiment's networks and kernel regressions, in one tidy table (`table`)."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ntkscope.errors import StoreError, remake
from ntkscope.fits.limitations.table import KIND, LayerRow, Row, as_table
from ntkscope.statistics.paired import FloatArray
from ntkscope.statistics.sampling_error import binomial_error, squared_error_error
from ntkscope.statistics.spectrum_exponents import (
    REGULARISATION,
    effective_dimension,
    spectrum_exponents,
)
from ntkscope.stores import write_netcdf
from ntkscope.stores.zarr_store import DAMAGED, ZarrStore, read_store

_FACTS = ("criterion", "ridges", "offset", "leave_one_out_most", "precision", "ensemble")


def collect_curves(
    parts: Sequence[Mapping[str, Any]], output: Path, *, record: dict[str, Any]
) -> None:
    """Write the learning curves of all parts of an experiment as one table.

    Args:
        parts: each with part, role, label, task, title, network, parametrisation, rate, width;
            `networks` (path of a store of that kind, or None) and `regressions`: source, width and
            path of each. A part of several networks has several entries of the same `part`.
        output: the NetCDF file.
        record: provenance; its `experiment` and `analysis` are attributes of the table too.

    Raises:
        StoreError: a store is missing, damaged, incomplete or of another kind, or two have other
            seeds or, in one part, another error or test set.
    """
    began = time.monotonic()
    collected = _Collected()
    for part in parts:
        _add_part(collected, part)
    data = as_table(
        collected.rows,
        collected.layers,
        collected.seeds,
        currency=collected.currency,
        test=collected.test,
        facts=collected.facts,
    )
    known = {key: str(record[key]) for key in ("experiment", "analysis") if key in record}
    record = record | {"wall_seconds": time.monotonic() - began}
    write_netcdf(data.assign_attrs(known), output, KIND, record)


class _Collected:
    """The rows so far, and what all or the parts' stores must agree in."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.layers: list[LayerRow] = []
        self.seeds: list[int] = []
        self.currency: dict[str, str] = {}
        self.test: dict[str, int] = {}
        self.facts: dict[str, Any] = {}
        self.read: set[tuple[str, str]] = set()

    def is_new(self, part: str, path: Any) -> bool:
        """Whether a part has not had this store yet: several networks may share a kernel."""
        before = len(self.read)
        self.read.add((part, str(path)))
        return len(self.read) > before

    def agree(self, part: str, store: xr.Dataset, path: Any) -> None:
        """Take a store's seeds and test samples, or refuse it."""
        seeds = [int(seed) for seed in store["seed"].values]
        test = int(store.sizes["test"])
        self.seeds = self.seeds or seeds
        differing = [] if seeds == self.seeds else ["seeds"]
        if self.test.setdefault(part, test) != test:
            differing.append("test samples")
        currency = store.attrs.get("error_currency") or store.attrs.get("error")
        if currency and self.currency.setdefault(part, currency) != currency:
            differing.append("error")
        if differing:
            raise StoreError(
                f"curves of other {', '.join(differing)} cannot be compared",
                where=path,
                remedy="make all networks and regressions of the experiment anew, by one "
                "configuration",
            )


def _add_part(collected: _Collected, part: Mapping[str, Any]) -> None:
    names = ("part", "role", "label", "task", "title", "network", "parametrisation")
    key = {name: "" if part[name] is None else part[name] for name in names}
    stores = [(each, _read(each["path"], "regression")) for each in part["regressions"]]
    for each, store in stores:
        collected.agree(key["part"], store, each["path"])
    if part["networks"] and collected.is_new(key["part"], part["networks"]):
        store = _read(part["networks"], "networks")
        collected.agree(key["part"], store, part["networks"])
        own = key | {"rate": part["rate"], "width": part["width"]}
        collected.rows += _network_rows(store, own, collected)
    for each, store in stores:
        if collected.is_new(key["part"], each["path"]):
            own = key | {"width": each["width"], "rate": part["rate"]}
            collected.rows += _regression_rows(store, each["source"], own, collected)
            collected.layers += _layer_rows(store, each["source"], key["part"])
            facts = {name: store.attrs[name] for name in _FACTS if name in store.attrs}
            facts |= _deviations(store)
            collected.facts.setdefault(key["part"], {})[each["source"]] = facts


def _read(path: Path, kind: str) -> xr.Dataset:
    """A store whose numbers are read, all but the predictions.

    Raises:
        StoreError: it is damaged, or lacks an array, or part of one that is written whole.
    """
    store, data = ZarrStore.open(Path(path), kind), read_store(path, kind)
    if kind == "networks":
        store.check_whole(*_NETWORK)
    try:
        for name in data.variables.keys() - {"prediction"}:
            data.variables[name].load()
        data[list(_NEEDED[kind])]
    except DAMAGED as error:
        raise StoreError(
            f"the store is damaged: {error}", where=path, remedy=remake(path)
        ) from None
    for name in ("ridge", "squared_error") if kind == "regression" else ():
        if (data[name].isnull() & (data["undefined"] == 0)).any():
            raise StoreError(
                f"the store has lost part of {name!r}", where=path, remedy=remake(path)
            )
    return data


def _deviations(store: xr.Dataset) -> dict[str, float]:
    """W_std and b_std of the kernel, where its parametrisation has them: from its specification."""
    record = store.attrs.get("provenance", {})
    spec = record.get("regression", record) if isinstance(record, Mapping) else {}
    model = spec.get("model") if isinstance(spec, Mapping) else None
    names = ("weight_std", "bias_std")
    return {name: model[name] for name in names if model and model.get(name) is not None}


def _network_rows(
    store: xr.Dataset, key: Mapping[str, Any], collected: _Collected
) -> Iterator[Row]:
    """A row for each number of samples, then one for each step at which parameters are kept."""
    common = {**key, "curve": "network", "trained_on": 0, "fit": ""}
    for place, n in enumerate(store["size"].values):
        at = {name: _column(store, name, size=place) for name in _NETWORK}
        last = (at["best_step"] >= at["last_step"]) & (at["last_step"] >= at["budget"])
        values = {name: at[name] for name in ("error", "squared_error", "train_error", "diverged")}
        values["best_is_last"] = np.where(at["diverged"] > 0, np.nan, last)
        yield _row({**common, "n": int(n), "step": -1}, values, collected)
    n = _during_samples(store)
    for place, step in enumerate(store["step"].values if "during_error" in store else []):
        values = {
            name: _column(store, f"during_{name}", snapshot=place)
            for name in ("error", "squared_error", "diverged")
        }
        yield _row({**common, "n": n, "step": int(step)}, values, collected)


def _during_samples(store: xr.Dataset) -> int:
    """Training samples of the networks whose parameters are kept during training."""
    spec = store.attrs.get("provenance", {})
    spec = spec.get("networks", {}) if isinstance(spec, dict) else {}
    return int(spec.get("during_samples") or store["size"].values[-1])


_NETWORK = (
    "error",
    "squared_error",
    "train_error",
    "diverged",
    "best_step",
    "last_step",
    "budget",
)

_NEEDED = {
    "networks": ("seed", "size", "step", "prediction", *_NETWORK),
    "regression": (
        *("seed", "n", "fit", "trained_on", "step", "prediction", "undefined"),
        *("error", "squared_error", "ridge", "ridge_edge"),
        *("eigenvalue", "target_power", "alignment"),
    ),
}
"""Arrays of each kind of store."""


def _regression_rows(
    store: xr.Dataset, source: str, key: Mapping[str, Any], collected: _Collected
) -> Iterator[Row]:
    """A row for each kernel, fit and number of samples."""
    trained = source in ("after", "during")
    fits = [str(fit) for fit in store["fit"].values]
    described = str(store.attrs.get("spectrum_fit", "fresh" if "fresh" in fits else "own"))
    for kernel, (m, step) in enumerate(
        zip(store["trained_on"].values, store["step"].values, strict=True)
    ):
        spectrum = _spectrum(store, kernel)
        for fit, name in enumerate(fits):
            rows = [
                _regression_row(store, collected, kernel, fit, place)
                | {"n": int(n), "trained_on": int(m), "step": int(step), "fit": name}
                for place, n in enumerate(store["n"].values)
            ]
            last = max(
                (r for r in rows if np.isfinite(r["values"]["error"]).any()), key=_n, default=None
            )
            for found in rows:
                values = found.pop("values") | (
                    spectrum if found is last and name == described else {}
                )
                undefined = found.pop("undefined")
                here = {**key, "curve": source, **found} | ({} if trained else {"rate": 0.0})
                yield _row(here, values, collected, undefined)


def _n(row: Mapping[str, Any]) -> int:
    return int(row["n"])


def _regression_row(
    store: xr.Dataset, collected: _Collected, kernel: int, fit: int, place: int
) -> dict[str, Any]:
    at = {"source": kernel, "fit": fit, "n": place}
    names = ("error", "squared_error", "ridge", "ridge_edge", "residual")
    values = {name: _column(store, name, **at) for name in names if name in store}
    return {"values": values, "undefined": _column(store, "undefined", **at) > 0}


def _spectrum(store: xr.Dataset, kernel: int) -> dict[str, FloatArray]:
    """Alignment, effective dimension and exponents of one kernel, each (seed,)."""
    eigenvalues = store["eigenvalue"].isel(source=kernel).values
    found = spectrum_exponents(eigenvalues, store["target_power"].isel(source=kernel).values)
    dimension = effective_dimension(eigenvalues, REGULARISATION)
    return {
        "alignment": _column(store, "alignment", source=kernel),
        "effective_dimension": np.where(np.isfinite(eigenvalues).all(-1), dimension, np.nan),
        "capacity": found.capacity,
        "source": found.source,
        "predicted_exponent": found.predicted,
    }


def _layer_rows(store: xr.Dataset, source: str, part: str) -> Iterator[LayerRow]:
    if "layer_error" not in store:
        return
    for kernel, layer in np.ndindex(store.sizes["source"], store.sizes["layer"]):
        key = {
            "layer_part": part,
            "layer_curve": source,
            "layer_trained_on": int(store["trained_on"].values[kernel]),
            "layer_step": int(store["step"].values[kernel]),
            "layer": str(store["layer"].values[layer]),
            "layer_n": int(np.broadcast_to(store["layer_n"].values, store.sizes["source"])[kernel]),
        }
        yield LayerRow(key, _column(store, "layer_error", source=kernel, layer=layer))


def _column(store: xr.Dataset, name: str, **at: int) -> FloatArray:
    """A variable at a place, (seed,) in float64."""
    return np.asarray(store[name].isel(at).values, np.float64)


def _row(
    key: Mapping[str, Any],
    values: Mapping[str, FloatArray],
    collected: _Collected,
    undefined: NDArray[np.bool_] | None = None,
) -> Row:
    """A row whose errors are masked where training diverged or there is none, with the reason."""
    error = np.asarray(values["error"])
    diverged = np.nan_to_num(values.get("diverged", np.zeros(len(error)))) > 0
    nothing = np.zeros(len(error), bool) if undefined is None else undefined
    reason = np.select(
        [diverged, nothing, ~np.isfinite(error)],
        ["diverged", _why_undefined(key), "not finite"],
        default="",
    )
    masked = {
        name: np.where(reason == "", column, np.nan) if name != "diverged" else column
        for name, column in values.items()
    }
    test = collected.test[key["part"]]
    squared = collected.currency[key["part"]] == "squared"
    masked["test_se"] = (squared_error_error if squared else binomial_error)(masked["error"], test)
    return Row(key, {"diverged": diverged.astype(float)} | masked, reason)


def _why_undefined(key: Mapping[str, Any]) -> str:
    few = key["fit"] == "own" and 0 < key["trained_on"] < key["n"]
    return f"trained on {key['trained_on']} only" if few else "its network diverged"
