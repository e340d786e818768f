"""A logarithmic axis can be read: two of its ticks have labels, whatever part of it is in view."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pytest
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from ntkscope.figures import panels
from ntkscope.figures.curves import boundary_scale
from ntkscope.figures.style import label_log_axes


def labels(figure: Figure) -> list[str]:
    label_log_axes(figure)
    figure.draw_without_rendering()
    axes = figure.axes[0]
    low, high = axes.get_ylim()
    ticks = [*axes.yaxis.get_major_ticks(), *axes.yaxis.get_minor_ticks()]
    return [
        t.label1.get_text() for t in ticks if low <= t.get_loc() <= high and t.label1.get_text()
    ]


@pytest.mark.parametrize("plain", [True, False])
@pytest.mark.parametrize(
    "limits",
    [
        (1.2, 1.9),
        (0.999, 1.0002),
        (5.63e-4, 5.79e-4),
        (3, 8),
        (0.15, 1.2),
        (1e-5, 3e-5),
        (1, 1e6),
        (4e4, 3e5),
    ],
)
def test_two_ticks_at_least_have_labels(limits: tuple[float, float], plain: bool) -> None:
    figure, axes = plt.subplots()
    axes.set_ylim(limits)
    if plain:
        panels.log_axis(axes)
    else:
        axes.set_yscale("log")
        axes.yaxis.set_minor_locator(NullLocator())
    assert 2 <= len(labels(figure)) <= 7
    plt.close(figure)


def test_axes_that_have_them_stay_as_they_are() -> None:
    figure, axes = plt.subplots()
    axes.set_ylim(0.02, 30)
    axes.set_yscale("log")
    major = axes.yaxis.get_major_locator()
    assert len(labels(figure)) >= 3
    assert axes.yaxis.get_major_locator() is major
    plt.close(figure)


def test_decades_without_a_label_have_a_tick() -> None:
    figure, axes = plt.subplots(figsize=(2, 1))
    axes.set_ylim(0.5, 4e5)
    axes.set_yscale("log")
    assert len(labels(figure)) < 5
    places = {*axes.yaxis.get_majorticklocs(), *axes.yaxis.get_minorticklocs()}
    assert {1, 10, 100, 1e3, 1e4, 1e5} <= {round(place) for place in places}
    plt.close(figure)


@pytest.mark.parametrize(
    ("before", "after", "ticks"),
    [
        (300, 300, [-300, -20, 0, 20, 300]),
        (30, 26, [-30, 0, 26]),  # two labels would lie on each other
        (10, 300, [-10, 0, 20, 300]),
        (20, 20, [-20, 0, 20]),
    ],
)
def test_no_label_of_steps_lies_on_another(before: int, after: int, ticks: list[int]) -> None:
    figure, axes = plt.subplots()
    boundary_scale(axes, before, after, 20)
    assert axes.get_xticks().tolist() == ticks
    plt.close(figure)
