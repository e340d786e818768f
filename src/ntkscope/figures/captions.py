"""Captions: a template of an analysis filled from the tables that its figure is drawn from.

Templates are reStructuredText with `$placeholders` (string.Template). What each of them says:

* `[if name: text]`: the text where the placeholder of this name has something to say, neither
  nothing nor `none`; else nothing of it. It has no brackets in it.
* `$seeds`: how many seeds; `$n`: how many of them an interval has, such as `4 to 5`.
* `$setup`: data, network and training, a sentence; empty where nobody says.
* `$samples`: samples of the probe; `$kernel`: the kernel and its normalisation, in words.
* `$window`, `$dt`: in steps; `$before`: the steps whose mean a norm before the boundary is.
* `$confidence`: such as `95%`.
* `$exponents`, `$slopes`: which quantities have one, and so a number in the figure.
* `$left_out`: which seeds diverged or died and are in no average, or `none`.
* `$widest`: the width of figures that draw one.
* the values of each axis of the sweep under the axis' own name: `$width`, `$new_classes`, …
* what the figure's module adds (its `words`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
import xarray as xr

from ntkscope.errors import ConfigError
from ntkscope.figures.curves import FEW
from ntkscope.fits.boundary_window import BEFORE
from ntkscope.fits.results import results_of

AXIS_NAMES = {
    "width": "width",
    "new_classes": "new classes:",
    "learning_rate": "learning rate",
    "steps": "steps per task:",
    "epsilon": "ε =",
}
"""How an axis is called before one of its values; other axes' values speak for themselves."""

_OPTIONAL = re.compile(r"(\s*)\[if (\w+): ([^][]*)\]")
_ONE_SEED = "**There is one seed, and so no interval of anything.**"
_FEW_SEEDS = (
    "**There are $seeds seeds: curves and effects have no interval, faint lines and points are "
    "the seeds.**"
)


def fill_caption(
    template: Path | str,
    metrics: xr.Dataset,
    fits: xr.Dataset,
    labels: Mapping[str, str],
    more: Mapping[str, str],
) -> str:
    """The caption of a figure, reStructuredText.

    Args:
        template: the file, or its text, see above.
        metrics: kind `experiment`; fits: kind `fits` of the same.
        labels: regime → name as printed.
        more: placeholders of the analysis.

    Raises:
        ConfigError: the template has a placeholder that nothing fills, or a stray `$`.
    """
    return fill_template(template, _common(metrics, fits, labels) | dict(more))


def fill_template(template: Path | str, words: Mapping[str, str]) -> str:
    """A template, a file or its text, with these words for its placeholders.

    Of few seeds, whose intervals templates speak of, it is added that there are none.

    Raises:
        ConfigError: it has a placeholder that nothing fills, or a stray `$`.
    """
    try:
        text = template if isinstance(template, str) else template.read_text(encoding="utf-8")
        text = _OPTIONAL.sub(lambda found: _if_told(words[found[2]], found), text)
        filled = Template(text).substitute(words)
    except (KeyError, ValueError) as error:
        raise ConfigError(
            f"the caption cannot be filled: {error}",
            where=template if isinstance(template, Path) else "the template of the caption",
            remedy=f"use the placeholders {', '.join(sorted(words))}; write $$ for a dollar sign",
        ) from None
    seeds = int(words.get("seeds", FEW))
    if seeds >= FEW:
        return filled
    added = _ONE_SEED if seeds == 1 else Template(_FEW_SEEDS).substitute(words)
    return f"{filled.rstrip()}\n\n{added}\n"


def _if_told(word: str, found: re.Match[str]) -> str:
    return found[1] + found[3] if word not in ("", "none") else ""


def _common(metrics: xr.Dataset, fits: xr.Dataset, labels: Mapping[str, str]) -> dict[str, str]:
    return {
        "setup": "",
        "seeds": str(metrics.sizes["seed"]),
        "n": _used(fits),
        "samples": str(metrics.attrs.get("samples", "an unknown number of")),
        "kernel": kernel_in_words(metrics.attrs),
        "widest": _say(metrics["width"].values.max()),
        "window": str(fits.attrs["window"]),
        "before": BEFORE.format(window=fits.attrs["window"]),
        "dt": str(metrics.attrs["dt"]),
        "confidence": f"{100 * float(fits.attrs['confidence']):g}%",
        "exponents": ", ".join(_with_exponent(fits)),
        "slopes": ", ".join(_with_slope(fits)),
        "left_out": left_out_in_words(fits, labels),
        **{axis: values_in_words(metrics, axis) for axis in str(fits.attrs["axes"]).split()},
    }


def _with_exponent(fits: xr.Dataset) -> list[str]:
    """Quantities that have an exponent of width."""
    if "exponent" not in fits:
        return []
    laws = [str(law) for law in fits["law"].values]
    return [law for law in laws if np.isfinite(fits["exponent"].sel(law=law).values).any()]


def _with_slope(fits: xr.Dataset) -> list[str]:
    """Quantities that have a slope or a rate along an axis of the sweep."""
    found = results_of(fits)
    there = found["statistic"].isin(_SLOPES) & np.isfinite(found["estimate"].astype(float))
    return [str(name) for name in found["quantity"][there].unique()]


_SLOPES = ("slope", "saturation_rate")


def kernel_in_words(attrs: Mapping[str, Any]) -> str:
    """Kind of the kernel and how it is normalised, from the attributes of a table."""
    formula, colon, words = str(attrs.get("normalisation", "")).partition(": ")
    found = [f"{attrs['kernel']} NTK", f"``{formula}``" if formula else "", words if colon else ""]
    return ", ".join(filter(None, found))


def values_in_words(metrics: xr.Dataset, axis: str) -> str:
    """The values of an axis, without the place of variants that lack it."""
    return ", ".join(_say(v) for v in metrics[axis].values if _say(v) not in ("nan", "null"))


def left_out_in_words(fits: xr.Dataset, labels: Mapping[str, str]) -> str:
    """Seeds that are left out and the points where they are, such as `1 of 5 (learning rate 1)`."""
    seeds = fits.sizes["seed"]
    found = [f"{count} of {seeds} ({point})" for point, count in _left_out(fits, labels)]
    return "; ".join(found) or "none"


def _left_out(fits: xr.Dataset, labels: Mapping[str, str]) -> Iterator[tuple[str, int]]:
    """Each point of the sweep with seeds left out at some boundary, and how many."""
    axes = str(fits.attrs["axes"]).split()
    counts = fits["left_out"].max("boundary").transpose(*axes)
    told = [axis for axis in axes if fits.sizes[axis] > 1] or axes[:1]
    for place in np.argwhere(counts.values > 0):
        point = dict(zip(axes, place, strict=True))
        names = [(axis, _say(fits[axis].values[point[axis]])) for axis in told]
        words = [point_in_words(axis, labels.get(value, value)) for axis, value in names]
        yield ", ".join(s for s in words if s), int(counts.values[tuple(place)])


def point_in_words(axis: str, value: str) -> str:
    """A value of an axis as a reader says it; empty for a variant that lacks the axis."""
    if value in ("nan", "null"):
        return ""
    return f"{AXIS_NAMES[axis]} {value}" if axis in AXIS_NAMES else value.replace("_", " ")


def number_in_words(estimate: float, low: float, high: float) -> str:
    """`estimate [low, high]`; the estimate alone where it has no ends."""
    ends = "" if np.isnan(low) else f" [{low:.3g}, {high:.3g}]"
    text = f"{estimate:.3g}{ends}"
    return text.replace("-", "−").replace("inf", "∞").replace("nan", "unknown")


def _used(fits: xr.Dataset) -> str:
    """Seeds behind the intervals of effects that are paired with a twin."""
    counts = fits["n"].sel(quantity=fits["quantity_paired"].values).values
    counts = counts[counts > 0]
    if not counts.size:
        return "0"
    low, high = int(counts.min()), int(counts.max())
    return str(low) if low == high else f"{low} to {high}"


def _say(value: object) -> str:
    return f"{value:g}" if isinstance(value, (float, np.floating)) else str(value)
