"""Named random streams: draws for one purpose are independent of those for another.

A run's seed alone would give its network's initialisation and its batches the same numbers.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class RandomStream(IntEnum):
    """What random numbers are for. The numbers are part of every result: never change one."""

    INITIALISATION = 1
    BATCHES = 2
    EVALUATION = 3
    FORWARD = 4
    TASK = 5
    CURVE_BATCHES = 6
    ENSEMBLE = 7


def seed_sequence(seed: int, stream: RandomStream, *more: int) -> np.random.SeedSequence:
    """The seed sequence of (seed, stream, …), e.g. with the number of a task."""
    return np.random.SeedSequence([seed, int(stream), *more])


def torch_seed(seed: int, stream: RandomStream, *more: int) -> int:
    """A seed for torch's generators, below 2⁶³."""
    state = seed_sequence(seed, stream, *more).generate_state(1, np.uint64)
    return int(state[0]) % 2**63
