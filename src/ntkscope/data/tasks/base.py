"""What every task gives once it is opened, and the generators that it draws with."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ntkscope.config.tasks import ENDLESS, SPLITS, Limits
from ntkscope.seeds import RandomStream, seed_sequence

BLOCK = 500
"""Samples that are drawn together, of a task without end. Part of every result."""

Drawn = tuple[np.ndarray, np.ndarray]
"""Samples [n, *shape], images uint8 or vectors float32, and their targets float32 [n]."""

Draw = Callable[[str, int, int, int], Drawn]
"""(split, seed, start, stop) → the samples start to stop of a split of a seed."""


@dataclass(frozen=True)
class OpenedTask:
    """A task that can be drawn from.

    Attributes:
        draw: sample i of a split and seed is the same however many are drawn.
        shape: of a sample as stored.
        white, mean, std: inputs are (x / white − mean) / std; one mean and std for each channel or
            feature.
        limits: the most samples.
    """

    draw: Draw
    shape: tuple[int, ...]
    white: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    limits: Limits = ENDLESS


def of_vectors(draw: Draw, features: int, limits: Limits = ENDLESS) -> OpenedTask:
    """A task of vectors [feature] that a network is given as they are."""
    return OpenedTask(draw, (features,), 1, (0.0,) * features, (1.0,) * features, limits)


def generator(task: str, seed: int, split: str, block: int = 0) -> np.random.Generator:
    """Random numbers of one block: those of other tasks, seeds, splits, blocks are independent."""
    name = zlib.crc32(task.encode())
    entropy = seed_sequence(seed, RandomStream.TASK, name, SPLITS.index(split), block)
    return np.random.default_rng(entropy)


def in_blocks(task: str, block: Callable[[str, np.random.Generator], Drawn]) -> Draw:
    """Draws without end, from a function (split, generator) → `BLOCK` samples."""

    def draw(split: str, seed: int, start: int, stop: int) -> Drawn:
        numbers = range(start // BLOCK, -(-stop // BLOCK))
        drawn = [block(split, generator(task, seed, split, number)) for number in numbers]
        span = slice(start - numbers.start * BLOCK, stop - numbers.start * BLOCK)
        samples, targets = (np.concatenate(parts) for parts in zip(*drawn, strict=True))
        return samples[span], targets[span]

    return draw


def signs(bits: np.ndarray) -> np.ndarray:
    """Targets float32: +1 where bits are 0 or false, −1 where 1 or true."""
    return 1 - 2 * bits.astype(np.float32)
