"""What a boundary does to the loss and to the accuracy on the task that ends there.

Curves are (…, snapshot, seen), `seen` counting tasks from 1; functions return (…).
"""

from __future__ import annotations

import numpy as np

from ntkscope.fits.reactivation.boundary_window import Span
from ntkscope.statistics.paired import FloatArray


def loss_jump(loss: FloatArray, span: Span) -> FloatArray:
    """Loss at the boundary on the task that begins − on the task that ends, in nats."""
    return np.asarray(loss[..., span.at, span.task] - loss[..., span.at, span.task - 1])


def forgetting(accuracy: FloatArray, span: Span) -> FloatArray:
    """Accuracy on the task that ends, at the boundary − at the end of the next task.

    The forgetting of Lopez-Paz & Ranzato 2017 (backward transfer, sign changed) over one task.
    """
    old = accuracy[..., span.task - 1]
    return np.asarray(old[..., span.at] - old[..., span.at_end])
