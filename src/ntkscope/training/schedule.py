"""When the parameters are kept, and how the learning rate runs over a task."""

from __future__ import annotations

import math

import numpy as np

from ntkscope.config.specs import RunSpec


def snapshot_steps(run: RunSpec) -> np.ndarray:
    """Global steps of the snapshots of a run's last task, int64, increasing.

    Every step within `around_boundary` of a boundary; elsewhere `log_spaced` steps, each with the
    step after it, so that velocity at dt = 1 is known there. Step 0 belongs to the first task; a
    boundary step belongs to the task that ends there. The task's last step is always kept.
    """
    steps, start = run.tasks[-1].steps, run.start
    around, spaced = run.snapshots.around_boundary, run.snapshots.log_spaced
    first = len(run.tasks) == 1
    kept = {steps}
    if spaced:
        points = np.unique(np.round(np.geomspace(1, steps, spaced)).astype(int))
        kept |= {int(p) for p in points} | {int(p) + 1 for p in points}
    if first:
        kept |= {0, 1}
    else:
        kept |= set(range(1, around + 1))
    if run.continues:
        kept |= set(range(steps - around, steps + 1))
    lowest = 0 if first else 1
    return start + np.array(sorted(s for s in kept if lowest <= s <= steps), dtype=np.int64)


def learning_rate_factor(schedule: str, step: int, steps: int) -> float:
    """What the learning rate is multiplied with at `step` (from 0) of a task of `steps` steps."""
    if schedule == "linear":
        return 1 - step / steps
    if schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * step / steps))
    return 1.0
