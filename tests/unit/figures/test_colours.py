"""A width has one colour and one marker in every figure, whatever other widths it stands beside."""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import pytest

from ntkscope.figures.limitations.looks import (
    FRESH,
    INITIAL,
    NETWORK,
    OWN,
    initial_looks,
    looks_along_training,
    width_look,
)
from ntkscope.figures.limitations.reading import parts_of
from ntkscope.figures.style import colours_along, width_colour
from tests.unit.figures.limitations.cases import tables

WIDTHS = [2**power for power in range(13)]


@pytest.mark.parametrize("among", [WIDTHS, WIDTHS[4:9], [64], [64, 100, 3000]])
def test_the_colour_of_a_width_is_independent_of_the_others(among: list[int]) -> None:
    assert colours_along("width", among, "viridis")[64] == width_colour("viridis", 64)


def test_a_sweep_and_a_learning_curve_have_the_same_colours_of_widths() -> None:
    initial = initial_looks(parts_of(*tables("scaling"), {}), "viridis")
    assert len(initial) > 1
    assert {width: look.colour for width, look in initial.items()} == colours_along(
        "width", list(initial), "viridis"
    )
    assert width_look(NETWORK, "viridis", 64).marker == width_look(INITIAL, "viridis", 64).marker


def test_wider_is_paler_and_no_two_widths_share_a_colour() -> None:
    colours = [width_colour("viridis", width) for width in [1, *WIDTHS[1:], 10**5]]
    light = [np.dot((0.2126, 0.7152, 0.0722), colour) for colour in colours]
    assert all(narrow < wide for narrow, wide in pairwise(light))


def test_widths_near_each_other_and_kernels_after_training_differ_in_marker() -> None:
    markers = [width_look(INITIAL, "viridis", width).marker for width in WIDTHS]
    for first, second in combinations(range(len(WIDTHS)), 2):
        assert second - first >= 6 or markers[first] != markers[second]
    trained = {look.marker for look in [*looks_along_training(9), FRESH, OWN, NETWORK]}
    assert not trained & {*markers}


@pytest.mark.parametrize("count", range(5))
def test_kernels_along_training_get_darker(count: int) -> None:
    looks = looks_along_training(count)
    assert len(looks) == count
    light = [sum(look.colour) for look in looks]
    assert light == sorted(light, reverse=True)


@pytest.mark.parametrize(("axis", "ascends"), [("learning_rate", True), ("epsilon", False)])
def test_colours_do_not_depend_on_the_order_of_the_values(axis: str, ascends: bool) -> None:
    colours = colours_along(axis, [0.5, 0, 0.1], "viridis")
    assert colours == colours_along(axis, [0, 0.1, 0.5], "viridis")
    assert list(colours) == sorted(colours, reverse=not ascends)
