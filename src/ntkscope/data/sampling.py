"""Which images a network sees at which step: a function of (seed, task, step) alone."""

from __future__ import annotations

import numpy as np

from ntkscope.config.specs import Task
from ntkscope.errors import DataError
from ntkscope.seeds import RandomStream, seed_sequence


def batch_indices(
    labels: np.ndarray, task: Task, number: int, seed: int, batch_size: int, sampling: str
) -> np.ndarray:
    """Training images of every step of one task.

    Args:
        labels: classes of all training images, int [n].
        task: whose classes, weights and steps are used.
        number: the task's place in the stream, from 0.
        seed: of the network; together with `number` it fixes all draws.
        batch_size: images per step.
        sampling: `epochs`: seeded permutations of the task's images one after the other;
            `independent`: each image by itself, class by the task's weights (images of a class
            equally likely), with replacement.

    Returns:
        Indices into the training images, int32 [steps, batch_size].

    Raises:
        DataError: a class of the task has no image.
    """
    members = [np.flatnonzero(labels == c).astype(np.int32) for c in task.classes]
    for c, images in zip(task.classes, members, strict=True):
        if not len(images):
            raise DataError(
                f"class {c} has no training image",
                where=f"task {number + 1}",
                remedy="raise dataset.train_samples, or use another class",
            )
    generator = np.random.default_rng(seed_sequence(seed, RandomStream.BATCHES, number))
    if sampling == "epochs":
        return _epochs(np.sort(np.concatenate(members)), task.steps, batch_size, generator)
    return _independent(members, task, batch_size, generator)


def task_labels(labels: np.ndarray, task: Task) -> np.ndarray:
    """The label that the task gives to each image, int64 [n]; −1 for images of other classes."""
    table = np.full(max(int(labels.max()), *task.classes) + 1, -1, dtype=np.int64)
    table[list(task.classes)] = task.labels
    return np.asarray(table[labels])


def _epochs(
    pool: np.ndarray, steps: int, batch_size: int, generator: np.random.Generator
) -> np.ndarray:
    drawn = steps * batch_size
    epochs = -(-drawn // len(pool))
    order = np.concatenate([generator.permutation(pool) for _ in range(epochs)])
    return order[:drawn].reshape(steps, batch_size)


def _independent(
    members: list[np.ndarray], task: Task, batch_size: int, generator: np.random.Generator
) -> np.ndarray:
    sizes = np.array([len(images) for images in members])
    first = np.array(task.weights) if task.weights is not None else sizes / sizes.sum()
    last = np.array(task.weights_end) if task.weights_end is not None else first
    progress = np.linspace(0, 1, task.steps)[:, None]
    cumulative = np.cumsum((1 - progress) * first + progress * last, axis=1)
    uniform = generator.random((2, task.steps, batch_size))
    which = (uniform[0][:, :, None] >= cumulative[:, None, :-1]).sum(-1)
    place = (uniform[1] * sizes[which]).astype(np.int64)
    offsets = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    return np.asarray(np.concatenate(members)[offsets[which] + place])
