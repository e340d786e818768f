"""What a boundary does to the loss and to the accuracy on the task that ends there.

Curves are (…, snapshot, seen), `seen` counting tasks from 1; functions return (…).
"""

from __future__ import annotations

import numpy as np

from ntkscope.fits.boundary_window import BoundaryWindow
from ntkscope.statistics.paired import FloatArray


def loss_jump(loss: FloatArray, around: BoundaryWindow) -> FloatArray:
    """Loss at the boundary on the task that begins − on the task that ends, in nats."""
    return np.asarray(loss[..., around.at, around.task] - loss[..., around.at, around.task - 1])


def forgetting(accuracy: FloatArray, around: BoundaryWindow) -> FloatArray:
    """Accuracy on the task that ends, at the boundary − at the end of the next task.

    The forgetting of Lopez-Paz & Ranzato 2017 (backward transfer, sign changed) over one task.
    """
    old = accuracy[..., around.task - 1]
    return np.asarray(old[..., around.at] - old[..., around.at_end])
