"""Learning curves as arrays: one object for each curve of a collected table."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ntkscope.fits.limitations.table import KEYS
from ntkscope.statistics.paired import FloatArray

ABOUT = tuple(name for name in KEYS if name not in ("n", "label"))
"""What tells a curve from the others: all of its rows' coordinates but n."""

CHANCE = {"zero_one": 0.5, "squared": 1.0}
"""Error of the best constant prediction on balanced labels, or on targets of variance 1."""

FEWEST_ERRORS = 20
"""Of 0-1 errors on a seed's test samples, on the mean: below, log error is biased by over 2%."""


@dataclass(frozen=True)
class Curve:
    """Test errors over the number of samples.

    Attributes:
        about: `ABOUT` → value.
        n: (point,), ascending.
        error: (seed, point); NaN where there is none.
        squared: (seed, point), mean squared test errors.
        values: others of the table's variables → (seed, point).
        reasons: (point,), why an error is missing, empty where none is.
        currency: of `error`: zero_one or squared.
        test: test samples of each seed.
    """

    about: Mapping[str, Any]
    n: NDArray[np.int64]
    error: FloatArray
    squared: FloatArray
    values: Mapping[str, FloatArray]
    reasons: tuple[str, ...]
    currency: str
    test: int

    @property
    def kind(self) -> str:
        """Which curve it is, of network, infinite, initial, after and during."""
        return str(self.about["curve"])

    @property
    def part(self) -> str:
        """The part that it is of."""
        return str(self.about["part"])

    @property
    def is_kernel(self) -> bool:
        """Whether it is of a kernel."""
        return self.kind != "network"

    def at(self, n: int) -> FloatArray | None:
        """Errors (seed,) with so many samples; None where there is no such point."""
        place = np.flatnonzero(self.n == n)
        return self.error[:, place[0]] if len(place) else None

    def once(self, name: str) -> FloatArray:
        """The one finite value of each seed of a variable that few points have: (seed,)."""
        values = self.values[name]
        there = np.isfinite(values)
        total = np.where(there, values, 0.0).sum(axis=1)
        return np.where(there.any(axis=1), total, np.nan)


def curves_of(data: xr.Dataset) -> list[Curve]:
    """All curves of a table of kind `learning_curves`, in its order."""
    columns = [data[name].values.tolist() for name in ABOUT]
    places: dict[tuple[Any, ...], list[int]] = {}
    for row, about in enumerate(zip(*columns, strict=True)):
        places.setdefault(about, []).append(row)
    currency = json.loads(str(data.attrs["currency"]))
    test = json.loads(str(data.attrs["test"]))
    n = data["n"].values
    return [
        _curve(
            dict(zip(ABOUT, about, strict=True)),
            data.isel(row=sorted(rows, key=lambda row: int(n[row]))),
            str(currency[about[0]]),
            int(test[about[0]]),
        )
        for about, rows in places.items()
    ]


_OTHERS = (
    "ridge_edge",
    "best_is_last",
    "train_error",
    "alignment",
    "effective_dimension",
    "predicted_exponent",
)


def _curve(about: Mapping[str, Any], rows: xr.Dataset, currency: str, test: int) -> Curve:
    values = {
        name: np.asarray(rows[name].transpose("seed", "row").values, np.float64)
        for name in ("error", "squared_error", *_OTHERS)
    }
    written = rows["reason"].transpose("row", "seed").values
    reasons = tuple(", ".join(dict.fromkeys(str(r) for r in each if r)) for each in written)
    return Curve(
        about,
        np.asarray(rows["n"].values, np.int64),
        values.pop("error"),
        values.pop("squared_error"),
        values,
        reasons,
        currency,
        test,
    )


def why_left_out(curve: Curve, least: int, most: int, error_at_most: float) -> list[str]:
    """Why each point is in no fit: (point,) texts, empty for one that is.

    Args:
        curve: the curve.
        least, most: the range of n.
        error_at_most: of 0-1 errors, whose chance is .5; of squared errors, twice of it.
    """
    ceiling = error_at_most * CHANCE[curve.currency] / CHANCE["zero_one"]
    return [_why(curve, place, least, most, ceiling) for place in range(len(curve.n))]


def _why(curve: Curve, place: int, least: int, most: int, ceiling: float) -> str:
    column = curve.error[:, place]
    there = column[np.isfinite(column)]
    if not least <= curve.n[place] <= most:
        return "outside the range"
    if not len(there):
        return curve.reasons[place] or "no error"
    mean = float(there.mean())
    if mean > ceiling:
        return f"{mean:.4g} is above {ceiling:g}"
    if curve.currency == "zero_one" and mean * curve.test < FEWEST_ERRORS:
        return f"at the floor: fewer than {FEWEST_ERRORS} errors in {curve.test} test samples"
    return "at the floor: no error" if (there <= 0).any() else ""
