"""What each analysis compares, and so what the sweep of its experiment must and may have."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ntkscope.config.sections import Experiment
from ntkscope.config.specs import KernelSpec, RunSpec
from ntkscope.errors import ConfigError


@dataclass(frozen=True)
class Cell:
    """One point of a sweep.

    Attributes:
        axes: the swept keys and their values here; `width` and `regime` are always among them.
        run: the run at this point.
        twin: the same without the shift; None where the experiment has no twins or no boundary.
        kernel: the kernel taken of both.
    """

    axes: dict[str, Any]
    run: RunSpec
    twin: RunSpec | None
    kernel: KernelSpec


@dataclass(frozen=True)
class Needs:
    """Axes that an analysis needs, and others that it can draw, beside `regime` and `width`."""

    needed: frozenset[str] = field(default_factory=frozenset)
    allowed: frozenset[str] = field(default_factory=frozenset)


def _needs(needed: str = "", allowed: str = "") -> Needs:
    return Needs(frozenset(needed.split()), frozenset(allowed.split()))


NEEDS = {
    "reactivation": _needs(),
    "similarity": _needs("new_classes", "protocol"),
    "frequency": _needs("epsilon", "alpha change variant"),
    "learning_rate": _needs("learning_rate"),
    "duration": _needs("steps"),
    "sequence": _needs("", "variant"),
    "datasets": _needs("variant"),
    "controls": _needs("variant"),
}
"""Analysis → what its sweep has. `table` takes anything."""


def check_analysis(experiment: Experiment, cells: list[Cell], where: str) -> None:
    """Refuse a sweep that the experiment's analysis cannot compare.

    Raises:
        ConfigError: no boundary, no twins, an axis that is missing or one too many.
    """
    name = experiment.analysis
    if name not in NEEDS:
        return
    if not all(cell.run.boundaries for cell in cells):
        raise ConfigError(
            f"the analysis {name} needs a boundary, but the stream has one task",
            where=f"{where}.stream",
            remedy="use a stream of two tasks or more, or analysis: table",
        )
    if not experiment.twin:
        raise ConfigError(
            f"the analysis {name} holds every run against its twin, but twin is false",
            where=f"{where}.twin",
            remedy="set twin: true, or analysis: table",
        )
    _check_axes(NEEDS[name], {axis for cell in cells for axis in cell.axes}, name, where)


def _check_axes(needs: Needs, axes: set[str], name: str, where: str) -> None:
    known = needs.needed | needs.allowed | {"regime", "width"}
    missing, extra = sorted(needs.needed - axes), sorted(axes - known)
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


def _say(axes: frozenset[str] | set[str]) -> str:
    """The axes in words, those of every analysis first."""
    *most, last = ["regimes", "widths", *sorted(axes - {"regime", "width"})]
    return f"{', '.join(most)} and {last}"
