"""The tidy table of learning curves: one row for each curve and number of samples.

A table of kind `learning_curves` has the dims `row`, `seed` and `layer_row`. `KEYS` are coordinates
along `row`, `VALUES` variables (row, seed) in float64: NaN where there is no number, and then
`reason` says why.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ntkscope.statistics.paired import FloatArray

KIND = "learning_curves"

KEYS: dict[str, tuple[type, str]] = {
    "part": (str, "part of the experiment, by its key"),
    "role": (str, "what the part is to the analysis"),
    "label": (str, "the part's name in figures"),
    "task": (str, "task, by its name"),
    "title": (str, "task as it is printed"),
    "curve": (str, "network, infinite, initial, after or during"),
    "network": (str, "kind of the network"),
    "width": (np.int64, "units or channels; 0 for the infinite network"),
    "parametrisation": (str, "of the network"),
    "rate": (np.float64, "learning rate that was used; 0 where nothing was trained"),
    "trained_on": (np.int64, "training samples of the network whose kernel it is; 0: none"),
    "step": (np.int64, "step of training at which the kernel is taken; -1: none"),
    "fit": (str, "samples of the regression: own, fresh; empty for a network"),
    "n": (np.int64, "training samples"),
}

_FEW = "of the kernel's first samples, 1000 at most; in the row of the largest n alone"

VALUES = {
    "error": "test error: 0-1 error, or squared error over the variance of the targets",
    "squared_error": "mean squared test error",
    "test_se": "standard error of `error` by the test samples: binomial; for squared errors that "
    "of normal residuals, error * sqrt(2 / test samples)",
    "ridge": "chosen ridge over the kernel's mean diagonal",
    "ridge_edge": "-1: lowest of the grid, 1: highest, 0: inside",
    "residual": "relative residual of conjugate gradients, with a kernel that memory did not hold; "
    "0: solved directly",
    "best_is_last": "1 where the network's best step is the last of its budget",
    "train_error": "error on training samples",
    "diverged": "1 where training diverged",
    "alignment": f"centred CKA of the kernel with the targets; {_FEW}",
    "effective_dimension": "sum of l_i / (l_i + 0.001), l_i the eigenvalues of K / mean diagonal "
    f"/ samples, which sum to 1; {_FEW}",
    "capacity": f"b of the kernel's eigenvalues, l_i ~ i^-b; {_FEW}",
    "source": f"a of the target's power along its eigenvectors, c_i^2 ~ i^-a; {_FEW}",
    "predicted_exponent": f"min(a - 1, 2 b), of squared error ~ n^-exponent; {_FEW}",
}

LAYER_KEYS: dict[str, tuple[type, str]] = {
    "layer_part": (str, "part of the experiment"),
    "layer_curve": (str, "after or during"),
    "layer_trained_on": (np.int64, "training samples of the network"),
    "layer_step": (np.int64, "step of training; -1: none"),
    "layer": (str, "layer whose kernel it is"),
    "layer_n": (np.int64, "samples of the regression"),
}


class Row(NamedTuple):
    """A curve at one number of samples.

    Attributes:
        key: `KEYS` → value.
        values: some of `VALUES` → (seed,).
        reason: (seed,) texts, why there is no error; empty where there is one.
    """

    key: Mapping[str, Any]
    values: Mapping[str, FloatArray]
    reason: NDArray[np.str_]


class LayerRow(NamedTuple):
    """The error of one layer's kernel: `LAYER_KEYS` → value, and (seed,)."""

    key: Mapping[str, Any]
    error: FloatArray


def as_table(
    rows: Sequence[Row],
    layers: Sequence[LayerRow],
    seeds: Sequence[int],
    *,
    currency: Mapping[str, str],
    test: Mapping[str, int],
    facts: Mapping[str, Any],
) -> xr.Dataset:
    """The rows as a dataset.

    Args:
        rows, layers: of one experiment.
        seeds: of all rows.
        currency: part → what its `error` is, `zero_one` or `squared`.
        test: part → test samples of each seed.
        facts: about the experiment, JSON-able.
    """
    empty = np.full(len(seeds), np.nan)
    data = xr.Dataset(
        {
            name: (
                ("row", "seed"),
                _stacked([row.values.get(name, empty) for row in rows], len(seeds)),
                {"long_name": meaning},
            )
            for name, meaning in VALUES.items()
        },
        _coordinates(KEYS, "row", [row.key for row in rows])
        | _coordinates(LAYER_KEYS, "layer_row", [row.key for row in layers])
        | {"seed": np.asarray(seeds, np.int64)},
        {
            "currency": json.dumps(dict(currency)),
            "test": json.dumps(dict(test)),
            "facts": json.dumps(dict(facts)),
        },
    )
    reasons = np.asarray([row.reason for row in rows], str).reshape(len(rows), len(seeds))
    return data.assign(
        reason=(("row", "seed"), reasons, {"long_name": "why there is no error"}),
        layer_error=(
            ("layer_row", "seed"),
            _stacked([row.error for row in layers], len(seeds)),
            {"long_name": "test error of regression with the layer's kernel alone"},
        ),
    )


def _stacked(columns: Sequence[FloatArray], seeds: int) -> FloatArray:
    return np.asarray(columns, np.float64).reshape(len(columns), seeds)


def _coordinates(
    keys: Mapping[str, tuple[type, str]], dim: str, rows: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    return {
        name: (dim, np.asarray([row[name] for row in rows], kind), {"long_name": meaning})
        for name, (kind, meaning) in keys.items()
    }
