"""What a table of metrics, and of an experiment, must have: public, and checked before a fit.

An `experiment` lays tables of `metrics` over the axes of a sweep; `collect` says what each of its
variables is. Anybody may make one of their own runs: `check_experiment` says what it lacks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr

from ntkscope.errors import NtkscopeError


class SchemaError(NtkscopeError, ValueError):
    """A dataset is not a table of the kind that it is used as."""


@dataclass(frozen=True)
class Schema:
    """What a table of one kind must have.

    Attributes:
        kind: its name.
        dims: dimensions of every such table, beside the axes of a sweep.
        variables: name → the dims that it has, in any order, beside the axes of a sweep.
        attrs: attributes, and what they say.
    """

    kind: str
    dims: tuple[str, ...]
    variables: Mapping[str, tuple[str, ...]]
    attrs: Mapping[str, str]


_CURVES = ("spectral_norm", "velocity", "distance_from_boundary", "alignment")
_LOGGED = ("loss", "accuracy")
_FAILED = ("diverged_step", "dead_step")

METRICS = Schema(
    "metrics",
    ("seed", "snapshot"),
    {
        "step": ("snapshot",),
        "task": ("snapshot",),
        **{name: ("seed", "snapshot") for name in (*_CURVES, "distance_from_start")},
        **{name: ("seed", "snapshot", "seen") for name in _LOGGED},
        **{name: ("seed",) for name in _FAILED},
    },
    {
        "boundaries": "steps at which one task ends and the next begins",
        "dt": "steps behind a velocity",
        "kernel": "kind of the NTK",
        "normalisation": "its definition",
    },
)
"""One run, with all its seeds: what `Watch.dataset` gives and the workflow writes."""

EXPERIMENT = Schema(
    "experiment",
    ("arm", "seed", "snapshot", "boundary"),
    {
        "present": ("arm",),
        "step": ("snapshot",),
        "task": ("snapshot",),
        "boundary_step": ("boundary",),
        **{name: ("arm", "seed", "snapshot") for name in _CURVES},
        **{name: ("arm", "seed", "snapshot", "seen") for name in _LOGGED},
        **{name: ("arm", "seed") for name in _FAILED},
    },
    {
        "axes": "the dimensions of the sweep, separated by spaces, such as `regime width`",
        "dt": "steps behind a velocity",
    },
)
"""A sweep of runs (arm `shift`) and twins (arm `twin`). Figures draw `distance_from_start` too."""


def check_metrics(data: xr.Dataset, where: object = "metrics") -> None:
    """Refuse what is no table of one run.

    Raises:
        SchemaError: says all that is missing.
    """
    _check(data, METRICS, (), where)


def check_experiment(data: xr.Dataset, where: object = "experiment") -> None:
    """Refuse what is no table of an experiment.

    Raises:
        SchemaError: says all that is missing.
    """
    axes = tuple(str(data.attrs.get("axes", "")).split())
    _check(data, EXPERIMENT, axes, where)
    if list(data["arm"].values) != ["shift", "twin"]:
        raise SchemaError(
            f"arm is {data['arm'].values.tolist()}",
            where=where,
            remedy="give the arms ['shift', 'twin'], and present = False where there is no twin",
        )


def _check(data: xr.Dataset, schema: Schema, axes: tuple[str, ...], where: object) -> None:
    lacking = [f"the attribute {n!r} ({m})" for n, m in schema.attrs.items() if n not in data.attrs]
    lacking += [f"the dimension {n!r}" for n in (*axes, *schema.dims) if n not in data.dims]
    shared = ("step", "task")  # one for all cells, or one for each
    for name, dims in schema.variables.items():
        if name not in data.variables:
            lacking.append(f"the variable {name!r} ({', '.join((*axes, *dims))})")
            continue
        found = {str(dim) for dim in data[name].dims}
        if found != {*axes, *dims} and not (name in shared and found == {*dims}):
            lacking.append(f"{name!r} over ({', '.join((*axes, *dims))}), not {sorted(found)}")
    if lacking:
        raise SchemaError(
            f"this is no table of kind {schema.kind!r}; it lacks " + "; ".join(lacking),
            where=where,
            remedy=f"see ntkscope.fits.{schema.kind.upper()}; Watch.dataset() makes one of a run, "
            "compare() an experiment",
        )
    steps = np.asarray(data["step"].values)
    if schema is METRICS and np.any(np.diff(steps) <= 0):
        raise SchemaError("its steps do not increase", where=where, remedy="sort it by step")
