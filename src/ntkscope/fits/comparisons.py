"""Differences between the cells of a sweep, paired by seed."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from ntkscope.fits.cells import KEYS, axes_of_table, seeds_of
from ntkscope.fits.effects import QUANTITIES
from ntkscope.fits.results import Result, of_seeds


def differences(
    first: pd.DataFrame,
    second: pd.DataFrame,
    free: Sequence[str],
    against: str,
    confidence: float,
    *,
    keep: bool = False,
) -> list[Result]:
    """First − second, paired by seed, wherever they agree in all axes but the free ones.

    Args:
        first, second: rows of a `cell_table`.
        free: axes in which they may differ.
        against: name of the difference.
        confidence: such as 0.95.
        keep: say where `first` is on the free axes.
    """
    axes, seeds = axes_of_table(first), seeds_of(first)
    keys = [*(axis for axis in axes if axis not in free), *KEYS]
    both = first.merge(second, on=keys, suffixes=(None, "_other"))
    others = both[[f"{seed}_other" for seed in seeds]].to_numpy(float)
    shown = [axis for axis in axes if keep or axis not in free]
    return [
        of_seeds(
            values,
            confidence,
            statistic="difference",
            quantity=row["quantity"],
            against=against,
            units=QUANTITIES[row["quantity"]].units,
            at=row[shown].to_dict(),
            boundary=int(row["boundary"]),
        )
        for (_, row), values in zip(
            both.iterrows(), both[seeds].to_numpy(float) - others, strict=True
        )
    ]
