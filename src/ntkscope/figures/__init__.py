"""Figures: an experiment's metrics and fits drawn for a journal, the same to the byte each time.

An analysis with its figure is one file of a paper's folder: see `config.analyses` and `draw`.
Imports `fits` and the ground.
"""

from ntkscope.runtime.imports import need_extra

need_extra("workflow", __name__, "matplotlib", "pandas", "pydantic", "seaborn")

from ntkscope.figures.draw import draw_figure

__all__ = ["draw_figure"]
