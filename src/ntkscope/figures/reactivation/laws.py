"""Numbers of the fits at their panels: the exponents of effects in width, and where they stand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from ntkscope.figures import panels
from ntkscope.figures.panels import Effect


def draw_against_width(
    axes: Axes, fits: xr.Dataset, effect: Effect, regimes: Sequence[str]
) -> None:
    """An effect against width on logarithmic axes, its exponents over the panel.

    Args:
        axes: the panel.
        fits: kind `fits` at one boundary, axes regime and width only.
        effect: what is drawn.
        regimes: those that are there, each with the look of its place.
    """
    fits = fits.sortby("width")
    widths = np.asarray(fits["width"].values, float)
    looks = [panels.regime_look(number) for number in range(len(regimes))]
    for number, (regime, look) in enumerate(zip(regimes, looks, strict=True)):
        aside = np.exp(0.06 * (number - (len(regimes) - 1) / 2))
        cells = [fits.sel(regime=regime, width=width) for width in widths]
        panels.draw_effect(axes, widths * aside, cells, effect, look, int(fits.attrs["window"]))
    panels.ticks_at(axes, widths, base=2)
    if effect.ratio or float(fits["estimate"].sel(quantity=effect.quantity).min()) > 0:
        panels.log_axis(axes)
    axes.set_xlabel("width")
    texts = [exponent(fits.sel(regime=regime), effect.quantity) for regime in regimes]
    panels.text_legend(axes, looks, texts, "exponent of width")
    legend_over(axes)


def exponent(fits: xr.Dataset, quantity: str) -> str | None:
    """`b ± half`, with a star where the log–log curve bends; None where there is no exponent.

    Args:
        fits: kind `fits` at one boundary and one point of all axes but width.
        quantity: whose law of the width it is.
    """
    if "law" not in fits.dims or quantity not in fits["law"].values:
        return None
    law = fits.sel(law=quantity)
    middle, low, high = (float(law[f"exponent{end}"]) for end in ("", "_low", "_high"))
    star = "*" if bool(law["curved"]) else ""
    return panels.with_half(middle, low, high, sign=True) + star if np.isfinite(middle) else None


def legend_over(axes: Axes) -> None:
    """Put a panel's legend above it, where no data are."""
    legend = axes.get_legend()
    if legend is not None:
        legend.set_loc("lower left")
        legend.set_bbox_to_anchor((0.0, 1.0))
