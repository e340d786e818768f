"""`draw_figure`: one experiment's figure as PDF and PNG, and its caption."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType

from ntkscope.config.analyses import ANALYSES
from ntkscope.config.sections import FigureStyle
from ntkscope.errors import ConfigError
from ntkscope.figures.captions import fill_caption
from ntkscope.figures.curve_captions import fill_curve_caption
from ntkscope.figures.style import printable, save, save_text, themed
from ntkscope.stores import read_netcdf

TABLES = {"streams": ("experiment", "fits"), "curves": ("learning_curves", "curve_fits")}
"""What an analysis is of → the kinds of its two tables."""
CAPTIONS = {"streams": fill_caption, "curves": fill_curve_caption}

EFFECTS = "effects"
"""The figure that an analysis declares; others of its paper are called by their file."""


def figure_of(analysis: str, figure: str = EFFECTS) -> ModuleType:
    """The module of a figure, `figures.{paper}.{analysis}` or, if not of effects, `….{figure}`.

    It has `draw(metrics, fits, style, labels)`, which gives a `Figure`: two tables of the kinds in
    `TABLES`, a `FigureStyle`, and regime (of learning curves: part) → name as printed. It may
    have `words(fits)`, which gives more placeholders of its caption.

    Raises:
        ConfigError: there is no such figure.
    """
    paper = ANALYSES[analysis].paper if analysis in ANALYSES else ""
    name = f"ntkscope.figures.{paper}.{analysis if figure == EFFECTS else figure}"
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if not name.startswith(str(error.name)):
            raise
        drawn = ", ".join(each for each, declared in ANALYSES.items() if declared.paper)
        raise ConfigError(
            f"the analysis {analysis!r} has no figure {figure!r}", remedy=f"use one of {drawn}"
        ) from None


def draw_figure(
    analysis: str,
    metrics: Path,
    fits: Path,
    *,
    template: Path | str,
    pdf: Path,
    png: Path,
    caption: Path,
    style: FigureStyle,
    labels: Mapping[str, str],
    figure: str = EFFECTS,
    setup: str = "",
) -> None:
    """Draw an experiment.

    Args:
        analysis: of the experiment.
        metrics, fits: tables of the kinds in `TABLES`.
        template: of the caption, a file or its text, see `captions`.
        pdf, png, caption: the files to write.
        style: sizes and palette.
        labels: names of the regimes, or of the parts, as printed.
        figure: `effects`, or another of the analysis' paper, such as `mechanism`.
        setup: data, network and training in words (`config.setup_in_words`).

    Raises:
        StoreError: a table is missing, damaged or of another kind.
        ConfigError: there is no such figure, or the template asks for what nobody knows.
    """
    module = figure_of(analysis, figure)
    of = ANALYSES[analysis].of
    kinds = TABLES[of]
    tables = read_netcdf(metrics, kinds[0]), read_netcdf(fits, kinds[1])
    more = {"setup": setup} | (module.words(tables[1]) if hasattr(module, "words") else {})
    text = CAPTIONS[of](template, *tables, labels, more)
    with themed(style):
        names = {key: printable(label) for key, label in labels.items()}
        save(module.draw(*tables, style, names), pdf, png, style.dpi)
    save_text(text, caption)
