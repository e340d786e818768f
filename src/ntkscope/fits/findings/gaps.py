"""What a claim speaks of and there are no data for: cells whose seeds all diverged, say."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Sequence
from typing import Any

import numpy as np

from ntkscope.fits.results import Result

_NAMED = 3  # of those without data, in words


def has_interval(member: Result) -> bool:
    """Whether two seeds have a value, or it comes with an interval of its own."""
    return int(np.isfinite(member.per_seed).sum()) > 1 or bool(np.isfinite(member.interval.low))


def is_zero_by_construction(member: Result) -> bool:
    """Whether every seed's log ratio to its twin is exactly 0: the same steps were compared.

    Of measured velocities that is no coincidence; counts and clipped quantities may well be 0.
    """
    seeds = member.per_seed[np.isfinite(member.per_seed)]
    paired = (member.statistic, member.units) == ("effect", "log ratio")
    return paired and seeds.size > 1 and not seeds.any()


def label(family: Sequence[Result], which: int) -> str:
    """A member by what sets it apart from the others of its family."""
    places = [
        {**r.at, "boundary": r.boundary, "quantity": r.quantity, "": r.against} for r in family
    ]
    apart = [
        key
        for key in dict.fromkeys(key for place in places for key in place)
        if len({str(place.get(key)) for place in places}) > 1
    ]
    named = {key: places[which].get(key) for key in apart}
    return ", ".join(f"{key} {value}".strip() for key, value in named.items() if value is not None)


def lost_in_words(family: Sequence[Result]) -> str:
    """The members without an interval, the first few, such as `width 64 (all seeds diverged)`."""
    lost = [place for place, each in enumerate(family) if not has_interval(each)]
    why = [f"({family[place].lacking})" if family[place].lacking else "" for place in lost]
    named = [f"{label(family, p)} {w}".strip() for p, w in zip(lost, why, strict=True)]
    return "; ".join([*filter(None, named[:_NAMED]), *(["…"] if len(lost) > _NAMED else [])])


def with_gaps(found: Sequence[Result], cells: Sequence[Result]) -> list[Result]:
    """Statistics along an axis, each saying which points of its line have no data.

    Beside them are the cells without data of lines that have no statistic: they are lost members.

    Args:
        found: `against` an axis, or its logarithm.
        cells: the effects that they are of, and maybe others.
    """
    lines = [[cell for cell in cells if _is_on(each, cell)] for each in found]
    covered = {id(cell) for line in lines for cell in line}
    axes = dict.fromkeys(each.against.removeprefix("log ") for each in found)
    others = [
        cell
        for cell in cells
        if id(cell) not in covered and not has_interval(cell) and any(_x(cell, a) for a in axes)
    ]
    told = (each._replace(lacking=gaps(line)) for each, line in zip(found, lines, strict=True))
    return [*told, *others]


def gaps(cells: Sequence[Result]) -> str:
    """How many of the cells have no data, and which, in words; empty where all have some."""
    lost = sum(not has_interval(cell) for cell in cells)
    return f"{lost} of {len(cells)} without data: {lost_in_words(cells)}" if lost else ""


def _is_on(line: Result, cell: Result) -> bool:
    """Whether a cell is one of a line's points."""
    axis = line.against.removeprefix("log ")
    there = {axis: value for axis, value in line.at.items() if not _is_nothing(value)}
    return (
        line.quantity == cell.quantity
        and line.boundary in (-1, cell.boundary)
        and _x(cell, axis, positive=line.against != axis)
        and all(cell.at.get(name) == value for name, value in there.items())
    )


def _x(cell: Result, axis: Hashable, *, positive: bool = False) -> bool:
    """Whether a cell has a place along an axis; on a logarithmic one, a positive one."""
    value: Any = {**cell.at, "boundary": cell.boundary}.get(axis)
    return not _is_nothing(value) and (not positive or value > 0)


def _is_nothing(value: Any) -> bool:
    """Whether a cell lacks an axis."""
    return value in (None, "", "null") or (isinstance(value, float) and math.isnan(value))


def all_gaps(members: Iterable[Result]) -> str:
    """What the members of a family lack, each once, in words."""
    return "; ".join(dict.fromkeys(each.lacking for each in members if each.lacking))
