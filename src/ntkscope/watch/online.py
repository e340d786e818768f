"""What a logger is told of one kernel: plain numbers under short names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ntkscope.metrics.observers import Curves

PREFIX = "ntk/"
WHOLE = (
    "spectral_norm",
    "trace",
    "effective_rank",
    "distance_from_start",
    "distance_from_boundary",
    "velocity",
    "alignment",
)
BY_LAYER = (
    "layer_spectral_norm",
    "layer_distance_from_start",
    "layer_distance_from_boundary",
    "layer_velocity",
    "layer_alignment",
    "layer_share",
)


def online_values(
    latest: Curves, layers: Sequence[str], logged: Mapping[str, Sequence[float]]
) -> dict[str, float]:
    """Name → number of what is defined: `ntk/velocity`, `ntk/layer_velocity/{layer}`, `ntk/loss`.

    Args:
        latest: as of `StreamMetrics.latest`, of one seed.
        layers: their names.
        logged: name → values, one a task; the last is that of the present task.
    """
    found = {name: float(latest[name][0]) for name in WHOLE}
    for name in BY_LAYER if layers else ():
        found |= {
            f"{name}/{layer}": float(v) for layer, v in zip(layers, latest[name][0], strict=True)
        }
    found |= {name: values[-1] for name, values in logged.items() if values}
    return {f"{PREFIX}{name}": value for name, value in found.items() if np.isfinite(value)}
