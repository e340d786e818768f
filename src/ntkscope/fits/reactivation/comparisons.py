"""Differences between the parts of an experiment: shifts of frequency, and controls.

`COMPARISONS` has them by the names that declarations of analyses use, `OVER_TIME` what is of the
curves themselves.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pandas as pd

from ntkscope.fits.cells import axes_of_table, seeds_of
from ntkscope.fits.comparisons import differences
from ntkscope.fits.effects import QUANTITIES
from ntkscope.fits.reactivation.detection import detection
from ntkscope.fits.results import Result
from ntkscope.statistics.covariate import explain

WIDTHS, GRADUAL = "widths", "gradual"
"""Roles of controls that are no abrupt shift of their own."""

_SIZES = ("spike", "norm_drop", "distance")
_FREQUENCY = (*_SIZES, "peak_velocity")
_CONTROLS = (*_SIZES, "deflection", "forgetting", "loss_jump")


def frequency(table: pd.DataFrame, confidence: float) -> list[Result]:
    """Shifts of frequency stepped against ramped, and both against a conceptual shift as abrupt.

    Args:
        table: as from `cell_table`, with variants of the roles `frequency` (axes epsilon, alpha)
            and `conceptual` (axis change).
        confidence: such as 0.95.
    """
    if not {"variant", "alpha", "change"} <= set(table.columns):
        return []
    rows = table[table["quantity"].isin(_FREQUENCY)]
    mixed, pure = (rows[rows["variant_role"] == role] for role in ("frequency", "conceptual"))
    stepped, ramped = (mixed[mixed["alpha"] == kind] for kind in ("stepped", "ramped"))
    abrupt, gradual = (pure[pure["change"] == kind] for kind in ("abrupt", "gradual"))
    found = differences(stepped, ramped, ("alpha",), "stepped − ramped", confidence)
    found += differences(abrupt, gradual, ("change",), "abrupt − gradual", confidence)
    free = ("variant", "alpha", "change", "epsilon")
    for first, second in ((stepped, abrupt), (ramped, gradual)):
        found += differences(first, second, free, "frequency − conceptual", confidence, keep=True)
    return found


def controls(table: pd.DataFrame, confidence: float) -> list[Result]:
    """Differences of every two controls, and what the jump of the loss explains of the abrupt ones.

    Args:
        table: as from `cell_table`, with the axis variant.
        confidence: such as 0.95.
    """
    if "variant" not in table.columns:
        return []
    rows = table[table["variant_role"] != WIDTHS]
    compared = rows[rows["quantity"].isin(_CONTROLS)].groupby("variant", sort=False)
    found = [
        result
        for (first, ours), (second, theirs) in itertools.combinations(compared, 2)
        for result in differences(ours, theirs, ("variant",), f"{first} − {second}", confidence)
    ]
    return found + list(_explained(rows[rows["variant_role"] != GRADUAL], confidence))


def _explained(rows: pd.DataFrame, confidence: float) -> Iterator[Result]:
    """What the jump of the loss explains of spike, drop and distance over controls and seeds."""
    others = [axis for axis in axes_of_table(rows) if axis != "variant"]
    for place, group in rows.groupby([*others, "boundary"], dropna=False, sort=False):
        at = list(place)[:-1]
        by_quantity = {name: part.set_index("variant") for name, part in group.groupby("quantity")}
        jumps = by_quantity["loss_jump"][seeds_of(rows)]
        for quantity in _SIZES:
            sizes = by_quantity[quantity][seeds_of(rows)]
            both = (jumps.notna() & sizes.notna()).all(axis=0)
            x, y = jumps.loc[:, both].to_numpy(float), sizes.loc[:, both].to_numpy(float)
            if min(x.shape) < 3:
                continue
            found = explain(x, y, confidence)
            per_nat = f"{QUANTITIES[quantity].units} per nat"
            for name, units in zip(found._fields, (per_nat, per_nat, "1", "1"), strict=True):
                yield Result(
                    f"{name}_of_loss_jump",
                    quantity,
                    "loss_jump",
                    units,
                    dict(zip(others, at, strict=True)),
                    int(group["boundary"].iloc[0]),
                    getattr(found, name),
                    np.full(len(both), np.nan),
                    f"of these {len(x)} controls, no sample of shifts, and {x.shape[1]} seeds",
                )


OVER_TIME = {"detection": detection}
"""Name → statistics of a table of kind `experiment` at a confidence."""

COMPARISONS = {"frequency": frequency, "controls": controls}
"""Name → differences of a `cell_table` at a confidence."""
