"""`draw_figure`: one experiment's figure as PDF and PNG."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import xarray as xr
from matplotlib.figure import Figure

from ntkscope.config.sections import FigureStyle
from ntkscope.figures.reactivation import draw_reactivation
from ntkscope.figures.style import save, themed
from ntkscope.stores import read_netcdf

Draw = Callable[[xr.Dataset, xr.Dataset, FigureStyle, Mapping[str, str]], Figure]

FIGURES: dict[str, Draw] = {"reactivation": draw_reactivation}


def draw_figure(
    analysis: str,
    metrics: Path,
    fits: Path,
    *,
    pdf: Path,
    png: Path,
    style: FigureStyle,
    labels: Mapping[str, str],
) -> None:
    """Draw an experiment.

    Args:
        analysis: which figure: a key of `FIGURES`.
        metrics, fits: tables of kinds `experiment` and `fits`.
        pdf, png: the files to write.
        style: sizes and palette.
        labels: names of the regimes as printed.
    """
    with themed(style):
        tables = read_netcdf(metrics, "experiment"), read_netcdf(fits, "fits")
        figure = FIGURES[analysis](*tables, style, labels)
        save(figure, pdf, png, style.dpi)
