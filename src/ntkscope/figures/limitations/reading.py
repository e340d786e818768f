"""Learning curves as they are drawn: one object a curve, one a part, out of the two tables."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr

from ntkscope.figures.curves import FEW
from ntkscope.figures.style import printable
from ntkscope.fits.limitations.curve import ABOUT
from ntkscope.statistics.paired import FloatArray, Interval, t_interval


@dataclass(frozen=True)
class Curve:
    """Test errors of a network or a kernel over the number of samples.

    Attributes:
        at: its values of `ABOUT`.
        rows: of the table of kind `learning_curves`, (row, seed), ascending in n.
        error: (row,), as from `shown_interval`; used: (row,), whether it is in the fit.
        fit: of the table of kind `curve_fits`, without curve_row; None where nothing was fitted.
    """

    at: Mapping[str, Any]
    rows: xr.Dataset
    error: Interval
    used: np.ndarray[Any, np.dtype[np.bool_]]
    fit: xr.Dataset | None

    @property
    def lost(self) -> FloatArray:
        """How many seeds have no error because their network diverged: (row,)."""
        return np.asarray(_lost(self.rows).sum(axis=1), np.float64)

    @property
    def n(self) -> FloatArray:
        """Training samples, or samples of the regression: (row,)."""
        return np.asarray(self.rows["n"].values, np.float64)

    def ends(self, name: str) -> tuple[float, float, float]:
        """A fitted quantity with its interval, such as `exponent`; NaN where there is none."""
        if self.fit is None:
            return (np.nan, np.nan, np.nan)
        return (
            float(self.fit[name]),
            float(self.fit[f"{name}_low"]),
            float(self.fit[f"{name}_high"]),
        )


@dataclass(frozen=True)
class Part:
    """What of an experiment stands in a panel of its own.

    Attributes:
        keys: its name in the configuration, or those of parts that are drawn together.
        role: what it is to the analysis, empty: nothing.
        name: as printed; title: of its task.
        squared: whether its errors are normalised squared ones, not 0–1.
        curves: all of it.
    """

    keys: tuple[str, ...]
    role: str
    name: str
    title: str
    squared: bool
    curves: tuple[Curve, ...]

    def of(self, kind: str, **at: Any) -> list[Curve]:
        """The curves of a kind, with these values, by width, trained_on and step."""
        found = [
            each
            for each in self.curves
            if each.at["curve"] == kind and all(each.at[k] == v for k, v in at.items())
        ]
        return sorted(found, key=lambda c: (c.at["width"], c.at["trained_on"], c.at["step"]))

    def kernels(self, kind: str) -> list[Curve]:
        """Kernels `after` or `during` training, on fresh samples where there are some, else own."""
        return self.of(kind, fit="fresh") or self.of(kind, fit="own")

    @property
    def networks(self) -> list[Curve]:
        """The curves of the networks as they were kept, not during training."""
        return self.of("network", step=-1)


def parts_of(
    curves: xr.Dataset, fits: xr.Dataset, labels: Mapping[str, str], widest: bool = True
) -> list[Part]:
    """The parts of an experiment in the order of the table.

    Args:
        curves: kind `learning_curves`; fits: kind `curve_fits` of the same.
        labels: part → name as printed.
        widest: whether of several widths that were trained only the largest is wanted.
    """
    found: dict[str, list[Curve]] = {}
    for curve in curves_of(curves, fits):
        found.setdefault(str(curve.at["part"]), []).append(curve)
    return [
        _part(key, _widest(drawn) if widest else drawn, curves, labels)
        for key, drawn in found.items()
    ]


def _widest(curves: Sequence[Curve]) -> list[Curve]:
    """Without networks, and kernels of networks, of less than the largest width."""
    trained = {"network", "after", "during"}
    width = max((each.at["width"] for each in curves if each.at["curve"] in trained), default=0)
    return [c for c in curves if c.at["curve"] not in trained or c.at["width"] == width]


def _part(key: str, drawn: Sequence[Curve], curves: xr.Dataset, labels: Mapping[str, str]) -> Part:
    at = drawn[0].at
    written = str(curves["label"].values[curves["part"].values == key][0])
    name = printable(labels.get(key) or written or key.replace("_", " "))
    squared = currency(curves, key) == "squared"
    return Part((key,), str(at["role"]), name, str(at["title"]), squared, tuple(drawn))


def together(parts: Sequence[Part]) -> list[Part]:
    """Parts of the same task and kind of network as one, called by the task.

    Of a curve that several have, the one with the most samples is kept. Parts whose curves of one
    description have other errors are of other networks, and stay apart.
    """
    groups: list[list[Part]] = []
    for part in parts:
        fitting = (group for group in groups if all(_agree(each, part) for each in group))
        group = next(fitting, None)
        if group is None:
            groups.append([part])
        else:
            group.append(part)
    return [_together(each) if len(each) > 1 else each[0] for each in groups]


def _agree(one: Part, other: Part) -> bool:
    """Whether they are of one task and kind of network, and of the same networks."""
    about = [(each.title, str(each.curves[0].at["network"])) for each in (one, other)]
    if about[0] != about[1]:
        return False
    known = {_described(curve): curve for curve in one.curves}
    pairs = ((known.get(_described(curve)), curve) for curve in other.curves)
    return all(first is None or _equal(first, second) for first, second in pairs)


def _described(curve: Curve) -> tuple[Any, ...]:
    return tuple(value for name, value in curve.at.items() if name not in ("part", "role"))


_SAME = 2e-3  # trained beside other networks, one may differ in its last bits: in a few samples


def _equal(one: Curve, other: Curve) -> bool:
    """Whether two curves have nearly the same errors wherever both have samples."""
    places = np.intersect1d(one.n, other.n, return_indices=True)[1:]
    first, second = (
        each.rows["error"].transpose("row", "seed").values[at]
        for each, at in zip((one, other), places, strict=True)
    )
    return bool(np.allclose(first, second, rtol=0, atol=_SAME, equal_nan=True))


def _together(parts: Sequence[Part]) -> Part:
    kept: dict[tuple[Any, ...], Curve] = {}
    for curve in (each for part in parts for each in part.curves):
        same = _described(curve)
        if same not in kept or curve.n.size > kept[same].n.size:
            kept[same] = curve
    title = parts[0].title
    keys = tuple(key for part in parts for key in part.keys)
    return replace(parts[0], keys=keys, role="", name=title, curves=tuple(kept.values()))


def curves_of(curves: xr.Dataset, fits: xr.Dataset) -> list[Curve]:
    """Every curve of an experiment, in the order of the table."""
    places: dict[tuple[Any, ...], list[int]] = {}
    for place, about in enumerate(_about(curves)):
        places.setdefault(about, []).append(place)
    fitted = {about: place for place, about in enumerate(_about(fits))}
    return [
        _curve(about, curves.isel(row=rows), fits, fitted.get(about))
        for about, rows in places.items()
    ]


def _about(data: xr.Dataset) -> list[tuple[Any, ...]]:
    columns = [data[name].values.tolist() for name in ABOUT]
    return list(zip(*columns, strict=True))


def _curve(about: tuple[Any, ...], rows: xr.Dataset, fits: xr.Dataset, place: int | None) -> Curve:
    rows = rows.drop_dims("layer_row").transpose("row", "seed").sortby("n")
    rows = rows.isel(row=np.isfinite(error_of(rows)).any(axis=1) | (_lost(rows).sum(axis=1) > 0))
    at = dict(zip(ABOUT, about, strict=True))
    error = shown_interval(error_of(rows), float(fits.attrs["confidence"]))
    if place is None:
        return Curve(at, rows, error, np.zeros(rows.sizes["row"], bool), None)
    points = fits.isel(point=fits["point_curve"].values == place)
    used = set(points["point_n"].values[points["used"].values].tolist())
    there = np.asarray([int(n) in used for n in rows["n"].values], bool)
    return Curve(at, rows, error, there, fits.isel(curve_row=place))


def shown_interval(values: FloatArray, confidence: float) -> Interval:
    """Means over seeds, the last axis, with t intervals, NaN of fewer than `FEW` seeds."""
    interval = t_interval(values, confidence)
    if values.shape[-1] >= FEW:
        return interval
    return interval._replace(
        low=np.full_like(interval.low, np.nan), high=np.full_like(interval.high, np.nan)
    )


def _lost(rows: xr.Dataset) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which seeds have no error because their network diverged: (row, seed)."""
    reasons = rows["reason"].transpose("row", "seed").values.tolist()
    found = np.asarray([["diverged" in why for why in row] for row in reasons], bool)
    return found.reshape(rows.sizes["row"], rows.sizes["seed"])


def error_of(rows: xr.Dataset) -> FloatArray:
    """Test errors in the currency of their task, of each seed: (row, seed)."""
    return np.asarray(rows["error"].transpose("row", "seed").values, np.float64)


def currency(curves: xr.Dataset, part: str) -> str:
    """`zero_one` or `squared`, of a part."""
    return str(json.loads(str(curves.attrs["currency"]))[part])


def at_samples(curve: Curve, n: float) -> tuple[float, float, float]:
    """Mean error with its interval at a number of samples; NaN where there is none."""
    place = np.flatnonzero(curve.n == n)
    if not place.size:
        return (np.nan, np.nan, np.nan)
    return tuple(float(end[place[0]]) for end in curve.error[:3])  # type: ignore[return-value]


def common_samples(curves: Iterable[Curve]) -> list[int]:
    """The numbers of samples that all curves have, ascending."""
    sets = [set(map(int, curve.n)) for curve in curves]
    return sorted(set.intersection(*sets)) if sets else []
