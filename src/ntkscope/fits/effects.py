"""What a boundary does to a kernel: spike, drop, checkmark, recovery, deflection, distance.

Every function takes curves (…, snapshot) over one run and returns (…). The definitions are those
of arXiv 2507.16039 (§4) made precise; where a quantity is *paired*, the twin's is taken off it.
What a boundary does to loss and accuracy is in `forgetting`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ntkscope.fits.boundary_window import BoundaryWindow
from ntkscope.fits.forgetting import forgetting, loss_jump
from ntkscope.statistics.paired import FloatArray


class Quantity(NamedTuple):
    """What a quantity is.

    Attributes:
        meaning: its long name.
        units: of the value.
        paired: whether the twin's value is taken off.
        tested: whether 0 is a hypothesis worth a test.
        censored: whether it is a time that a task may be too short to see: then it is infinite.
    """

    meaning: str
    units: str
    paired: bool
    tested: bool
    censored: bool = False


QUANTITIES = {
    "spike": Quantity(
        "log of the velocity at the boundary's first step, over the twin's", "log ratio", True, True
    ),
    "spike_over_baseline": Quantity(
        "log of the velocity at the boundary's first step, over the seed's own median before",
        "log ratio",
        False,
        True,
    ),
    "log_velocity": Quantity(
        "log of the velocity at the boundary's first step", "log(1/step)", False, False
    ),
    "peak_velocity": Quantity(
        "log of the largest velocity in the task after the boundary, over the twin's largest",
        "log ratio",
        True,
        True,
    ),
    "norm_drop": Quantity(
        "(norm before − minimum after) / norm before, minus the twin's", "1", True, True
    ),
    "checkmark": Quantity("min(fall, later rise) / norm before, minus the twin's", "1", True, True),
    "minimum_step": Quantity("steps from the boundary to the minimum norm", "step", False, False),
    "recovery": Quantity(
        "share of the fall of the norm regained by the end of the task", "1", False, False
    ),
    "half_recovery_step": Quantity(
        "steps from the boundary until half the fall of the norm is regained; infinite for a seed "
        "that does not regain it within the task",
        "step",
        False,
        False,
        censored=True,
    ),
    "recovery_step": Quantity(
        "steps from the boundary until the whole fall of the norm is regained; infinite for a seed "
        "that does not regain it within the task",
        "step",
        False,
        False,
        censored=True,
    ),
    "norm_change_end": Quantity(
        "(norm at the end of the task − norm before) / norm before, minus the twin's",
        "1",
        True,
        True,
    ),
    "deflection": Quantity(
        "alignment minus the twin's, at its largest size within the window", "1", True, True
    ),
    "distance": Quantity(
        "1 − CKA from the boundary's NTK at the end of the window, minus the twin's",
        "1",
        True,
        True,
    ),
    "loss_jump": Quantity(
        "loss at the boundary on the task that begins − on the one that ends, minus the twin's",
        "nat",
        True,
        True,
    ),
    "forgetting": Quantity(
        "accuracy on the task that ends, at the boundary − at the end of the next task, minus the "
        "twin's",
        "1",
        True,
        True,
    ),
}


def arm_quantities(
    curves: Mapping[str, FloatArray], around: BoundaryWindow
) -> dict[str, FloatArray]:
    """Every quantity of one arm by itself, before the twin's is taken off (so no deflection).

    Args:
        curves: `velocity`, `spectral_norm`, `distance_from_boundary`, each (…, snapshot); `loss`,
            `accuracy`, each (…, snapshot, seen).
        around: the boundary.

    Returns:
        name → (…); `spike` is the log of the velocity, whose difference is the log ratio.
    """
    norm, velocity = curves["spectral_norm"], curves["velocity"]
    return {
        "spike": log_velocity(velocity, around),
        "spike_over_baseline": spike_over_baseline(velocity, around),
        "log_velocity": log_velocity(velocity, around),
        "peak_velocity": peak_velocity(velocity, around),
        "norm_drop": norm_drop(norm, around),
        "checkmark": checkmark(norm, around),
        "minimum_step": minimum_step(norm, around),
        "recovery": recovery(norm, around),
        "half_recovery_step": recovery_step(norm, around, 0.5),
        "recovery_step": recovery_step(norm, around, 1.0),
        "norm_change_end": norm_change_end(norm, around),
        "distance": distance(curves["distance_from_boundary"], around),
        "loss_jump": loss_jump(curves["loss"], around),
        "forgetting": forgetting(curves["accuracy"], around),
    }


def log_velocity(velocity: FloatArray, around: BoundaryWindow) -> FloatArray:
    """Log v at the boundary: the motion of its first `dt` steps. NaN where v is 0."""
    return _log(velocity[..., around.at])


def spike_over_baseline(velocity: FloatArray, around: BoundaryWindow) -> FloatArray:
    """Log of v at the boundary over its median at those of the window's steps that have one."""
    window = around.measured(around.boundary - around.window, around.boundary)
    if not window.any():
        return np.full(velocity.shape[:-1], np.nan)
    return log_velocity(velocity, around) - _log(np.median(velocity[..., window], axis=-1))


def peak_velocity(velocity: FloatArray, around: BoundaryWindow) -> FloatArray:
    """Log of the largest v of the task that begins: the spike of a shift without a first step."""
    task = around.measured(around.boundary, around.end)
    if not task.any():
        return np.full(velocity.shape[:-1], np.nan)
    return _log(velocity[..., task].max(axis=-1))


def norm_before(norm: FloatArray, around: BoundaryWindow) -> FloatArray:
    """Mean norm over the window's steps up to and including the boundary's (`BEFORE`)."""
    return np.asarray(norm[..., around.before].mean(axis=-1))


def norm_drop(norm: FloatArray, around: BoundaryWindow) -> FloatArray:
    """(norm before − minimum after) / norm before; negative where the norm only grew."""
    before = norm_before(norm, around)
    return _ratio(before - norm[..., around.after].min(axis=-1), before)


def checkmark(norm: FloatArray, around: BoundaryWindow) -> FloatArray:
    """min(fall, later rise) / norm before: how much of a ✓ the norm draws.

    Fall: norm before − minimum after, at least 0. Later rise: maximum after the minimum − minimum.
    """
    before, after = norm_before(norm, around), norm[..., around.after]
    lowest = after.min(axis=-1)
    later = np.where(_since_minimum(after), after, -np.inf).max(axis=-1)
    fall = np.maximum(before - lowest, 0.0)
    return _ratio(np.minimum(fall, later - lowest), before)


def minimum_step(norm: FloatArray, around: BoundaryWindow) -> FloatArray:
    """Steps from the boundary to the minimum norm after it."""
    after = norm[..., around.after]
    steps = around.steps[around.after][after.argmin(axis=-1)] - around.boundary
    return np.where(np.isfinite(after).all(axis=-1), steps, np.nan)


def recovery(norm: FloatArray, around: BoundaryWindow) -> FloatArray:
    """(norm at the end − minimum) / (norm before − minimum); NaN where the norm did not fall."""
    after = norm[..., around.after]
    lowest = after.min(axis=-1)
    return _ratio(after[..., -1] - lowest, norm_before(norm, around) - lowest)


def recovery_step(norm: FloatArray, around: BoundaryWindow, share: float) -> FloatArray:
    """Steps from the boundary until the norm, after its minimum, regains `share` of its fall.

    NaN where it did not fall; infinite where it does not get there by the end of the task.
    """
    after, before = norm[..., around.after], norm_before(norm, around)
    lowest = after.min(axis=-1)
    goal = lowest + share * (before - lowest)
    reached = _since_minimum(after) & (after >= goal[..., None])
    steps = around.steps[around.after][reached.argmax(axis=-1)] - around.boundary
    steps = np.where(reached.any(axis=-1), steps, np.inf)
    return np.where(before > lowest, steps, np.nan)


def norm_change_end(norm: FloatArray, around: BoundaryWindow) -> FloatArray:
    """(norm at the end of the task − norm before) / norm before."""
    before = norm_before(norm, around)
    return _ratio(norm[..., around.after][..., -1] - before, before)


def distance(from_boundary: FloatArray, around: BoundaryWindow) -> FloatArray:
    """1 − CKA from the boundary's kernel at the last snapshot of the window.

    A next boundary is left out: the distance there is from itself.
    """
    inside = around.early & ((around.steps < around.end) | around.ends_stream)
    if not inside.any():
        return np.full(from_boundary.shape[:-1], np.nan)
    return np.asarray(from_boundary[..., inside][..., -1])


def deflection(shift: FloatArray, twin: FloatArray, around: BoundaryWindow) -> FloatArray:
    """Alignment of the shifted run minus the twin's, signed, at its largest size in the window."""
    difference = (shift - twin)[..., around.early]
    largest = np.abs(difference).argmax(axis=-1)[..., None]
    return np.take_along_axis(difference, largest, axis=-1)[..., 0]


def _since_minimum(after: FloatArray) -> NDArray[np.bool_]:
    return np.asarray(np.arange(after.shape[-1]) >= after.argmin(axis=-1)[..., None])


def _log(values: FloatArray) -> FloatArray:
    positive = values > 0
    return np.where(positive, np.log(np.where(positive, values, 1.0)), np.nan)


def _ratio(part: FloatArray, whole: FloatArray) -> FloatArray:
    positive = whole > 0
    return np.where(positive, part / np.where(positive, whole, 1.0), np.nan)
