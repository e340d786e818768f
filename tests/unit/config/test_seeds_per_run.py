"""Which seeds are trained together, as one run."""

from __future__ import annotations

from typing import Any

import pytest

from ntkscope.config import Cell, expand, load_config, load_files, runs_of
from ntkscope.config.asked_for import stores_asked_for
from ntkscope.errors import ConfigError
from tests.workflow.project import MINI, TINY


def cells(**changed: Any) -> list[Cell]:
    return expand(load_config(TINY | changed), "reactivation")


def runs(seeds: list[int], most: int = 5) -> list[tuple[int, ...]]:
    """The seeds of each run of the first point, in order."""
    found = cells(seeds=seeds, seeds_per_run=most)
    return [cell.run.seeds for cell in found if cell.axes == found[0].axes]


def ids(seeds: list[int], most: int = 5) -> set[str]:
    return set(runs_of(load_config(TINY | {"seeds": seeds, "seeds_per_run": most})))


def test_seeds_are_divided_in_the_order_of_the_list() -> None:
    assert runs([7, 3, 5]) == [(7, 3, 5)]
    assert runs([0, 1, 2, 3, 4]) == [(0, 1, 2, 3, 4)]
    assert runs([9, 1, 2, 3, 4, 0, 8]) == [(9, 1, 2, 3, 4), (0, 8)]
    assert runs([2, 1, 0], 1) == [(2,), (1,), (0,)]


def test_a_run_has_the_name_that_it_has_without_the_others() -> None:
    assert ids([0, 1]) == ids([0, 1], 2) == ids([0, 1], 10**9)
    assert ids([0, 1, 2, 3], 2) == ids([0, 1]) | ids([2, 3])
    for cell in cells(seeds=[0, 1, 2], seeds_per_run=2):
        assert cell.twin is not None
        assert cell.twin == cell.run.twin


def test_seeds_at_the_end_leave_full_runs_as_they_are() -> None:
    five, six, ten = (ids(list(range(count))) for count in (5, 6, 10))
    assert five < six
    assert five < ten
    assert len(six) == len(ten) == 2 * len(five)
    assert ids([0, 1, 2, 3, 4, 9, 6, 7, 8]) & ten == five  # other seeds in the second run


def test_an_experiment_may_divide_its_seeds_otherwise() -> None:
    own = TINY["experiments"]["reactivation"] | {"seeds": [0, 1, 2, 3], "seeds_per_run": 3}
    found = cells(experiments={"reactivation": own}, seeds_per_run=1)
    assert [cell.run.seeds for cell in found] == 2 * [(0, 1, 2), (3,)]


def test_all_runs_of_a_point_are_asked_for() -> None:
    whole, divided = (
        stores_asked_for(load_files(MINI).model_copy(update={"seeds_per_run": most}))
        for most in (5, 1)
    )
    assert len(divided["reactivation"]) == 2 * len(whole["reactivation"]) - 1  # one store of images
    assert divided["scaling"] == whole["scaling"]


@pytest.mark.parametrize(("most", "word"), [(0, "from 1"), (-1, "from 1"), (2.5, "whole number")])
def test_what_is_no_number_of_seeds_is_refused(most: Any, word: str) -> None:
    with pytest.raises(ConfigError, match=f"(?s)seeds_per_run.*{word}"):
        load_config(TINY | {"seeds_per_run": most})


def test_more_runs_than_can_be_planned_are_refused() -> None:
    seeds = list(range(10_001))
    assert len(runs(seeds, 10)) == 1001
    with pytest.raises(ConfigError, match=r"2 points of 10,001 runs.*(?s:.*)larger seeds_per_run"):
        runs(seeds, 1)
