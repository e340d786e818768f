"""Where along a sweep a quantity is smallest, one value per seed."""

from __future__ import annotations

import numpy as np

from ntkscope.statistics.paired import FloatArray


def lowest_by_seed(x: FloatArray, y: FloatArray) -> FloatArray:
    """The x of the smallest y of each row, refined by the parabola through it and its neighbours.

    At an end of the sweep, or beside a y that is infinite (a time not reached), the point itself.

    Args:
        x: (point,), increasing.
        y: (seed, point); NaN where undefined.

    Returns:
        (seed,); NaN for a row without a finite y.
    """
    return np.asarray([_lowest(x, row) for row in y])


def _lowest(x: FloatArray, y: FloatArray) -> float:
    defined = ~np.isnan(y)
    x, y = x[defined], y[defined]
    if not np.isfinite(y).any():
        return float("nan")
    best = int(y.argmin())
    around = slice(best - 1, best + 2)
    if best in (0, len(y) - 1) or not np.isfinite(y[around]).all():
        return float(x[best])
    bend, tilt, _ = np.polyfit(x[around] - x[best], y[around], 2)
    return float(x[best] - tilt / (2 * bend)) if bend > 0 else float(x[best])
