"""The page: its layout is the same each time."""

import io

import numpy as np
import pytest
from matplotlib import pyplot as plt

from ntkscope.config.sections import FigureStyle
from ntkscope.figures.panels.page import new_blocks, new_grid


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
