"""The page: its layout is the same each time."""

import io

import numpy as np
import pytest
from matplotlib import pyplot as plt

from ntkscope.config.sections import FigureStyle
from ntkscope.figures.panels import legend_above, line_handle
from ntkscope.figures.panels.page import new_blocks, new_grid
from ntkscope.figures.style import themed


@pytest.mark.parametrize("blocks", [False, True])
def test_positions_are_rounded_and_the_picture_the_same(blocks):
    def draw():
        style = FigureStyle()
        if blocks:
            figure, _ = new_blocks(style, [(2, 2), (2, 1)], 0.6, [1.0, 0.5])
        else:
            figure, _ = new_grid(style, 3, 4, 0.7)
        for number, axes in enumerate(figure.axes):
            axes.plot(np.geomspace(1, 1000, 7) * (number + 1))
            axes.set(xlabel="step", ylabel=f"quantity {number}")
        picture = io.BytesIO()
        figure.savefig(picture, dpi=150, format="png")
        positions = [axes.get_position().get_points() for axes in figure.axes]
        plt.close(figure)
        return picture.getvalue(), np.array(positions)

    pictures, positions = zip(*(draw() for _ in range(5)), strict=True)
    assert set(pictures) == {pictures[0]}
    assert np.array_equal(positions[0], np.round(positions[0], 9))
    assert np.unique(positions[0]).size > 8  # it was laid out


@pytest.mark.parametrize("width_mm", [85.0, 180.0])
@pytest.mark.parametrize("count", [2, 9, 20])
def test_a_legend_is_never_wider_than_the_page(width_mm: float, count: int) -> None:
    style = FigureStyle(width_mm=width_mm)
    with themed(style):
        figure, _ = new_grid(style, 1, 1, 0.8)
        names = [f"a name of some length {number}" for number in range(count)]
        legend_above(figure, [line_handle(name, "red") for name in names])
        figure.draw_without_rendering()
        (legend,) = figure.legends
        assert legend.get_window_extent().width <= figure.bbox.width
        said = [text.get_text() for text in legend.get_texts()]
        assert set(names) <= set(said)
