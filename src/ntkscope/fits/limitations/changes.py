"""How errors change at a fixed number of samples: as m doubles, along training, with width.

Each change is one value per seed, mostly a log ratio of two errors, paired by seed: −.1 is an error
that is 10% smaller. `Change.kind` says which:

* `trained_on`: K^F_m or K_m (`fit`) from one m to the next; `trained_on slope`: exponent over m.
* `step`: K^t (or the network, during training) from one step to the next.
* `equal`: K_n(n) or K^F_n(n) over the network at the same n.
* `width`: from one width to the next; `width slope`: slope of log error per doubling of width.
* `best width`: from the smallest width (`from`) to the best, and from the best to the largest
  (`to`); the best is −1, and chosen for each seed by the others.
* `limit`: K_0 or the network at a width over K_∞ (`to` is 0).
* `alignment`, `effective_dimension`, `predicted_exponent`: correlation of log error with this of
  K^F_m over m, or of K^t on fresh samples over t, within each seed.
* `layer`: error of one layer's kernel, from the smallest m to the largest.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from ntkscope.fits.limitations.curve import Curve
from ntkscope.statistics.correlation import pearson
from ntkscope.statistics.paired import FloatArray
from ntkscope.statistics.trend import slope_by_seed
from ntkscope.statistics.two_samples import best_by_others

UNKNOWN = -1
LEAST_KERNELS = 4
"""With fewer, a correlation over m or t says nothing."""


@dataclass(frozen=True)
class Change:
    """One value per seed of how an error changes.

    Attributes:
        kind: which change (see above).
        part, curve, fit: of the curves.
        n: samples of the regression, or of training.
        first, last: from which m, step or width to which.
        per_seed: (seed,), log ratio or slope; NaN where an error is missing or 0.
        layer: where it is of a layer's kernel alone.
        width: of the network, where it is of one width.
    """

    kind: str
    part: str
    curve: str
    fit: str
    n: int
    first: float
    last: float
    per_seed: FloatArray
    layer: str = ""
    width: int = 0


SPECTRAL = ("alignment", "effective_dimension", "predicted_exponent")
_AXES = {"trained_on": "m", "layer": "m", "step": "t", **dict.fromkeys(SPECTRAL, "m or t")}


def in_words(kind: str, first: float, last: float) -> str:
    """What a change is from and to, such as `m 500 → 1000`, `width 64 → ∞`, `n 500`."""
    if kind == "equal":
        return f"n {first:g}"
    axis = _AXES.get(kind.split(maxsplit=1)[0], "width")
    names = {UNKNOWN: "best"} | ({0: "∞"} if kind == "limit" else {})
    ends = [names.get(int(end), f"{end:g}") for end in (first, last)]
    return f"{axis} {ends[0]} → {ends[1]}"


def changes_of(curves: Sequence[Curve], data: xr.Dataset) -> list[Change]:
    """All changes within the parts of an experiment.

    Args:
        curves: all of it.
        data: the table of kind `learning_curves` that they are of.
    """
    found: list[Change] = []
    for name in dict.fromkeys(each.part for each in curves):
        part = [each for each in curves if each.part == name]
        for width in dict.fromkeys(each.about["width"] for each in part):
            found += _of_width([each for each in part if each.about["width"] == width])
        for kind, fit in (("network", ""), ("initial", "own")):
            swept = [each for each in _pick(part, kind, fit) if each.about["step"] < 0]
            found += _widths(swept, _pick(part, "infinite", "own"))
    return found + list(_layers(data))


def _of_width(curves: Sequence[Curve]) -> Iterator[Change]:
    """Along m and along training, of one network and its kernels."""
    for fit in ("fresh", "own"):
        yield from _along(_pick(curves, "after", fit), "trained_on")
        yield from _along(_pick(curves, "during", fit), "step")
        yield from _equal(curves, fit)
    yield from _predicted(_pick(curves, "after", "fresh"), "trained_on")
    yield from _predicted(_pick(curves, "during", "fresh"), "step")
    during = [each for each in _pick(curves, "network", "") if each.about["step"] >= 0]
    yield from _along(during, "step")


def _pick(curves: Sequence[Curve], kind: str, fit: str) -> list[Curve]:
    return [each for each in curves if each.kind == kind and each.about["fit"] == fit]


def _along(curves: Sequence[Curve], axis: str) -> Iterator[Change]:
    """From each value of an axis to the next, at the number of samples that most of them have."""
    n = _common_n(curves, smallest=axis == "trained_on")
    line = _line(curves, axis, n)
    for (first, before), (last, after) in itertools.pairwise(line.items()):
        yield _change(axis, curves[0], n, first, last, _log_ratio(after, before))
    if axis == "trained_on" and len(line) > 2:
        slope = -_slope(np.log(list(line)), list(line.values()))
        yield _change(f"{axis} slope", curves[0], n, min(line), max(line), slope)


def _predicted(curves: Sequence[Curve], axis: str) -> Iterator[Change]:
    """How errors along an axis go with what the kernels' spectra say."""
    n = _common_n(curves, smallest=axis == "trained_on")
    line = _line(curves, axis, n)
    if len(line) < LEAST_KERNELS:
        return
    stacked = np.stack(list(line.values()), axis=-1)
    errors = np.log(np.where(np.nan_to_num(stacked) > 0, stacked, np.nan))
    for name in SPECTRAL:
        quantities = np.stack([_by_key(curves, axis)[key].once(name) for key in line], axis=-1)
        found = [pearson(*each) for each in zip(quantities, errors, strict=True)]
        yield _change(name, curves[0], n, min(line), max(line), np.asarray(found))


def _by_key(curves: Sequence[Curve], axis: str) -> dict[float, Curve]:
    return {float(each.about[axis]): each for each in curves}


def _common_n(curves: Sequence[Curve], smallest: bool) -> int:
    """The n at which most curves have an error; of several, the largest, or 500 or the smallest.

    500 is the paper's (Figure 4B).
    """
    counts: dict[int, int] = {}
    for curve in curves:
        for n in curve.n[np.isfinite(curve.error).any(axis=0)]:
            counts[int(n)] = counts.get(int(n), 0) + 1
    sign = -1 if smallest else 1
    return max(counts, key=lambda n: (counts[n], smallest and n == 500, sign * n), default=0)


def _line(curves: Sequence[Curve], axis: str, n: int) -> dict[float, FloatArray]:
    """Value of the axis → errors (seed,) at n, ascending."""
    found = {float(each.about[axis]): each.at(n) for each in curves}
    return {
        key: error
        for key, error in sorted(found.items())
        if error is not None and np.isfinite(error).any()
    }


def _equal(part: Sequence[Curve], fit: str) -> Iterator[Change]:
    networks = [each for each in _pick(part, "network", "") if each.about["step"] < 0]
    for after in _pick(part, "after", fit):
        m = int(after.about["trained_on"])
        errors = after.at(m), networks[0].at(m) if networks else None
        if errors[0] is not None and errors[1] is not None:
            yield _change("equal", after, m, m, m, _log_ratio(errors[0], errors[1]))


def _widths(curves: Sequence[Curve], infinite: Sequence[Curve]) -> Iterator[Change]:
    n = _common_n([*curves, *infinite], smallest=False)
    line = _line(curves, "width", n)
    limit = infinite[0].at(n) if infinite else None
    if limit is not None:
        for width, error in line.items():
            yield _change("limit", curves[0], n, width, 0, _log_ratio(error, limit))
    if len(line) < 3:
        return
    for (first, before), (last, after) in itertools.pairwise(line.items()):
        yield _change("width", curves[0], n, first, last, _log_ratio(after, before))
    slope = _slope(np.log2(list(line)), list(line.values()))
    yield _change("width slope", curves[0], n, min(line), max(line), slope)
    yield from _around_best(curves[0], n, line)


def _around_best(curve: Curve, n: int, line: Mapping[float, FloatArray]) -> Iterator[Change]:
    """From the smallest width to the best, and from the best to the largest."""
    errors = np.stack(list(line.values()), axis=-1)
    complete = np.isfinite(errors).all(axis=1)
    if complete.sum() < 2:
        return
    best = np.full(len(errors), np.nan)
    chosen = best_by_others(errors[complete])
    best[complete] = errors[complete, chosen]
    yield _change("best width", curve, n, min(line), UNKNOWN, _log_ratio(best, errors[:, 0]))
    yield _change("best width", curve, n, UNKNOWN, max(line), _log_ratio(errors[:, -1], best))


def _layers(data: xr.Dataset) -> Iterator[Change]:
    """Of each layer's after-kernel, from the smallest m to the largest."""
    names = ("layer_part", "layer_curve", "layer", "layer_trained_on", "layer_n")
    columns = [data[name].values.tolist() for name in names]
    errors = data["layer_error"].transpose("layer_row", "seed").values
    lines: dict[tuple[str, str, str], dict[tuple[int, int], FloatArray]] = {}
    for (part, curve, layer, m, n), error in zip(zip(*columns, strict=True), errors, strict=True):
        lines.setdefault((part, curve, layer), {}).setdefault((m, n), error)
    for (part, curve, layer), line in lines.items():
        (least, _), (most, n) = min(line), max(line)
        if curve == "after" and least < most:
            ratio = _log_ratio(line[max(line)], line[min(line)])
            yield Change("layer", part, curve, "", n, least, most, ratio, layer)


def _change(
    kind: str, curve: Curve, n: int, first: float, last: float, per_seed: FloatArray
) -> Change:
    fit = str(curve.about["fit"])
    width = 0 if "width" in kind or kind == "limit" else int(curve.about["width"])
    return Change(kind, curve.part, curve.kind, fit, n, first, last, per_seed, width=width)


def _log_ratio(one: FloatArray, other: FloatArray) -> FloatArray:
    """log(one / other); NaN where either is missing or not positive."""
    there = (np.nan_to_num(one) > 0) & (np.nan_to_num(other) > 0)
    return np.log(np.where(there, one, np.nan)) - np.log(np.where(there, other, np.nan))


def _slope(x: FloatArray, errors: Sequence[FloatArray]) -> FloatArray:
    """Slope of log error on x of each seed: (point,), point × (seed,) → (seed,)."""
    stacked = np.stack(errors, axis=-1)
    there = np.nan_to_num(stacked) > 0
    return slope_by_seed(x, np.log(np.where(there, stacked, np.nan)))
