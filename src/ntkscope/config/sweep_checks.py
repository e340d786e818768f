"""Cells of a sweep, and whether its analysis can compare them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sized
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from ntkscope.config.analyses import ANALYSES, TABLE, Analysis
from ntkscope.config.sections import Experiment
from ntkscope.config.specs import KernelSpec, RunSpec
from ntkscope.errors import ConfigError
from ntkscope.runtime.logs import log

MOST_RUNS = 20_000
"""Of a sweep: eight jobs each or more, of which Snakemake plans a thousand in two seconds."""


@dataclass(frozen=True)
class Cell:
    """One point of a sweep, with all its seeds or as many of them as are trained together.

    Attributes:
        axes: the swept keys and their values here; `width` and `regime` are always among them.
        run: the run at this point.
        twin: the same without the shift; None where the experiment has no twins or no boundary.
        kernel: the kernel taken of both.
        facts: axis → what else is known of its value here: the role of a regime or variant (empty
            where it has none); a variant's dataset, that dataset's title, and its model.
    """

    axes: dict[str, Any]
    run: RunSpec
    twin: RunSpec | None
    kernel: KernelSpec
    facts: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def check_points(sweeps: Iterable[Iterable[Sized]], runs: int, where: str) -> None:
    """Refuse a sweep of more points, or of more runs, than can be planned.

    Args:
        sweeps: of each regime or variant the lists whose every combination is a point.
        runs: into how many the seeds of a point are divided.
        where: key of the experiment.

    Raises:
        ConfigError: says how many they are.
    """
    points = sum(math.prod(len(values) for values in lists) for lists in sweeps)
    if points * runs > MOST_RUNS:
        each = f" of {runs:,} runs" if runs > 1 else ""
        more_seeds = ", a larger seeds_per_run" if runs > 1 else ""
        raise ConfigError(
            f"this sweep has {points:,} points{each}, and may have {MOST_RUNS:,}",
            where=where,
            remedy=f"give fewer values{more_seeds}, or divide it among configurations of other "
            "presets",
        )


def check_analysis(experiment: Experiment, cells: list[Cell], where: str) -> None:
    """Refuse a sweep that its analysis cannot compare; warn of what cannot be measured.

    Raises:
        ConfigError: no boundary, no twins, an axis that is missing or one too many.
    """
    if all(len({*cell.kernel.labels}) == 1 for cell in cells):
        _say_no_alignment(where)
    name = experiment.analysis
    if name == TABLE:
        return
    if not all(cell.run.boundaries for cell in cells):
        raise ConfigError(
            f"the analysis {name} needs a boundary, but the stream has one task",
            where=f"{where}.stream",
            remedy="use a stream of two tasks or more, or analysis: table",
        )
    if not experiment.twin:
        raise ConfigError(
            f"the analysis {name} compares every run with its twin, but twin is false",
            where=f"{where}.twin",
            remedy="set twin: true, or analysis: table",
        )
    _check_axes(ANALYSES[name], {axis for cell in cells for axis in cell.axes}, name, where)


@cache
def _say_no_alignment(where: str) -> None:
    """Warn, once a process, that one of the metrics will be NaN at every point."""
    log.warning(
        "%s: its probe is of one class, for which the alignment with the labels is not defined "
        "(NaN): for that give tasks of two classes or more",
        where,
    )


def _check_axes(declared: Analysis, axes: set[str], name: str, where: str) -> None:
    known = {*declared.needs, *declared.may_have, "regime", "width"}
    missing, extra = sorted({*declared.needs} - axes), sorted(axes - known)
    if missing:
        remedy = (
            "name its parts under variants"
            if missing == ["variant"]
            else f"give {missing[0]} a list of values"
        )
        raise ConfigError(
            f"the analysis {name} compares {', '.join(missing)}, which this experiment does not "
            "sweep",
            where=where,
            remedy=f"{remedy}, or use analysis: table",
        )
    if extra:
        raise ConfigError(
            f"the analysis {name} sweeps {_say(known)}, not {', '.join(extra)}",
            where=where,
            remedy=f"give {extra[0]} one value, or use analysis: table",
        )


def _say(axes: set[str]) -> str:
    """The axes in words, those of every analysis first."""
    *most, last = ["regimes", "widths", *sorted(axes - {"regime", "width"})]
    return f"{', '.join(most)} and {last}"
