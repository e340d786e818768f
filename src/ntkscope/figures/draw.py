"""`draw_figure`: one experiment's figure as PDF and PNG, and its caption."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import xarray as xr
from matplotlib.figure import Figure

from ntkscope.config.sections import FigureStyle
from ntkscope.figures.captions import fill_caption
from ntkscope.figures.reactivation.controls import draw_controls
from ntkscope.figures.reactivation.datasets import draw_datasets
from ntkscope.figures.reactivation.duration import draw_duration
from ntkscope.figures.reactivation.forgetting import forgetting_words
from ntkscope.figures.reactivation.frequency import draw_frequency
from ntkscope.figures.reactivation.learning_rate import draw_learning_rate, trend_words
from ntkscope.figures.reactivation.mechanism import draw_mechanism
from ntkscope.figures.reactivation.reactivation import draw_reactivation
from ntkscope.figures.reactivation.sequence import draw_sequence
from ntkscope.figures.reactivation.similarity import draw_similarity, law_words
from ntkscope.figures.style import save, save_text, themed
from ntkscope.stores import read_netcdf

Draw = Callable[[xr.Dataset, xr.Dataset, FigureStyle, Mapping[str, str]], Figure]
Words = Callable[[xr.Dataset], Mapping[str, str]]

FIGURES: dict[str, Draw] = {
    "reactivation": draw_reactivation,
    "similarity": draw_similarity,
    "frequency": draw_frequency,
    "learning_rate": draw_learning_rate,
    "duration": draw_duration,
    "sequence": draw_sequence,
    "datasets": draw_datasets,
    "controls": draw_controls,
    "mechanism": draw_mechanism,
}
"""Analysis, or `mechanism` for any → what draws it; regimes are called by their labels."""

WORDS: dict[str, Words] = {
    "similarity": law_words,
    "learning_rate": trend_words,
    "mechanism": forgetting_words,
}
"""Analysis → more placeholders of its caption, from the fits."""


def draw_figure(
    analysis: str,
    metrics: Path,
    fits: Path,
    *,
    template: Path,
    pdf: Path,
    png: Path,
    caption: Path,
    style: FigureStyle,
    labels: Mapping[str, str],
) -> None:
    """Draw an experiment.

    Args:
        analysis: which figure: a key of `FIGURES`.
        metrics, fits: tables of kinds `experiment` and `fits`.
        template: of the caption, see `captions`.
        pdf, png, caption: the files to write.
        style: sizes and palette.
        labels: names of the regimes as printed.

    Raises:
        StoreError: a table is missing, damaged or of another kind.
        ConfigError: the template asks for what nobody knows.
    """
    tables = read_netcdf(metrics, "experiment"), read_netcdf(fits, "fits")
    more = WORDS[analysis](tables[1]) if analysis in WORDS else {}
    text = fill_caption(template, *tables, labels, more)
    with themed(style):
        save(FIGURES[analysis](*tables, style, labels), pdf, png, style.dpi)
    save_text(text, caption)
