"""The figure of detectors: complete, legible, and its caption filled."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from docutils.core import publish_parts

from ntkscope.config.sections import FigureStyle
from ntkscope.figures.captions import fill_caption
from ntkscope.figures.reactivation.detection import draw, words
from ntkscope.figures.style import themed
from ntkscope.fits import fit
from tests.unit.figures.made_up import check_layout, texts
from tests.unit.fits.test_detection import SEEDS, made_up


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """Two kinds of shift; a seed of each diverged."""
    folder = tmp_path_factory.mktemp("detection")
    data = made_up(folder, 12.0, hidden=["batch_loss"], diverged={2: 500}, roles=("", ""))
    data = data.assign_coords(variant=["new_classes", "gradual"])
    return data, fit(data, 16, 0.95, "detection", 5)


def test_every_kind_has_a_panel_and_every_signal_a_point(tables):
    with themed(FigureStyle()):
        figure = draw(*tables, FigureStyle(), {})
        check_layout(figure)
        said = texts(figure)
    assert len(figure.axes) == 2 + 3
    for text in ("new\nclasses", "gradual", "NTK velocity", f"1 of {SEEDS} seeds left out"):
        assert text in said
    assert "nan" not in said
    shares = {line.get_color(): line.get_ydata() for line in figure.axes[0].lines}
    assert sum(np.isclose(y[-1], 1.0) for y in shares.values()) >= 3


def test_the_caption_says_what_was_asked_and_found(tables):
    said = fill_caption(Path("workflow/report/detection.rst"), *tables, {}, words(tables[1]))
    assert publish_parts(said, settings_overrides={"halt_level": 2})
    assert "at most 0.005 false alarms a step" in said
    assert "loss of the batch" in said
