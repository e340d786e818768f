"""Whether the drop of a run's norm predicts what the run forgets: pairs, and their correlations.

Not computed for an analysis that declares `forgetting: False`: see `config.analyses`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ntkscope.fits.cells import KEYS, axes_of_table, seeds_of
from ntkscope.fits.results import Result
from ntkscope.statistics.correlation import between_runs, within_runs
from ntkscope.statistics.paired import FloatArray

_PAIR = ("norm_drop", "forgetting")

BETWEEN, WITHIN = "norm_drop, between runs", "norm_drop, within runs"
"""What the two correlations are `against` (`results.Result`)."""


def drops_and_forgetting(tables: Sequence[pd.DataFrame]) -> tuple[FloatArray, FloatArray]:
    """Norm drop and forgetting of every run, (run, seed) each, its boundaries averaged.

    A run that several tables share is taken once; one whose task does not change, never.

    Args:
        tables: as from `cells.cell_table`, of the same seeds.
    """
    found: dict[bytes, FloatArray] = {}
    for table in tables:
        drops, forgotten = (
            table[table["quantity"] == name] for name in ("norm_drop", "forgetting")
        )
        axes, seeds = axes_of_table(table), seeds_of(table)
        pairs = drops.merge(forgotten, on=[*axes, KEYS[0]], suffixes=(None, "_other"))
        for _, run in pairs.groupby(axes, dropna=False, sort=False):
            both = run[seeds], run[[f"{seed}_other" for seed in seeds]]
            values = np.stack(both).mean(axis=1).astype(float)
            if np.isfinite(values).any() and np.nanmax(np.abs(values)) > 0:
                found.setdefault(values.round(12).tobytes(), values)
    runs = np.stack(list(found.values())) if found else np.empty((0, 2, 0))
    return runs[:, 0], runs[:, 1]


def forgetting_prediction(tables: Sequence[pd.DataFrame], confidence: float) -> list[Result]:
    """Correlation of drop and forgetting between runs and within runs (`correlation`).

    Args:
        tables: as from `cells.cell_table`, of the same seeds, of analyses that take part.
        confidence: such as 0.95.
    """
    drops, forgotten = drops_and_forgetting(tables)
    each = np.full(len(seeds_of(tables[0])) if tables else 1, np.nan)
    between = between_runs(drops, forgotten, confidence)
    within = within_runs(drops, forgotten, confidence)
    notes = (
        "n counts runs, of a design and no sample",
        f"n counts seeds, over {len(drops)} runs",
    )
    return [
        Result("correlation", "forgetting", against, "1", {}, -1, interval, each, note)
        for against, interval, note in zip((BETWEEN, WITHIN), (between, within), notes, strict=True)
    ]
