"""Streams of tasks: what a stream section of the configuration means, as a tuple of `Task`s."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ntkscope.config.specs import Task

Point = dict[str, Any]
"""One point of a sweep over a stream section: its keys with one value each."""


def tasks_of(point: Point, dataset_classes: int) -> tuple[Task, ...]:
    """The tasks of one stream.

    Args:
        point: the stream section at one point of the sweep, with its `kind`.
        dataset_classes: number of classes of the dataset.

    Raises:
        ValueError: the stream needs more classes than there are; the message says the numbers.
    """
    return _STREAMS[point["kind"]](point, _order(dataset_classes, point["order_seed"]))


def _order(classes: int, seed: int | None) -> list[int]:
    if seed is None:
        return list(range(classes))
    return [int(c) for c in np.random.default_rng([seed, classes]).permutation(classes)]


def _plain(classes: Sequence[int], steps: int, labels: Sequence[int] | None = None) -> Task:
    return Task(steps=steps, classes=tuple(classes), labels=tuple(labels or classes))


def _need(wanted: int, order: Sequence[int], how: str) -> None:
    if wanted > len(order):
        raise ValueError(f"{how} = {wanted} classes, but the dataset has {len(order)}")


def _class_split(point: Point, order: list[int]) -> tuple[Task, ...]:
    tasks, each = point["tasks"], point["classes_per_task"]
    _need(tasks * each, order, f"{tasks} tasks × {each} classes_per_task")
    blocks = [order[t * each : (t + 1) * each] for t in range(tasks)]
    first = _plain(blocks[0], point["steps"])
    if point["change"] == "abrupt":
        return (first, *(_plain(block, point["steps"]) for block in blocks[1:]))
    pairs = itertools.pairwise(blocks)
    return (first, *(_fade(old, new, point["steps"]) for old, new in pairs))


def _fade(old: Sequence[int], new: Sequence[int], steps: int) -> Task:
    """From the classes `old` to as many `new` ones, frequencies going linearly over the task."""
    classes = (*old, *new)
    ones, zeros = np.ones(len(old)), np.zeros(len(new))
    before, after = _probabilities(np.r_[ones, zeros]), _probabilities(np.r_[zeros, ones])
    return Task(steps=steps, classes=classes, labels=classes, weights=before, weights_end=after)


def _overlap(point: Point, order: list[int]) -> tuple[Task, ...]:
    """|D0 ∩ D1| / |D0 ∪ D1| runs from 1 (no new class) to 0 (swap, all new)."""
    old, new = point["classes"], point["new_classes"]
    _need(old + new, order, f"{old} classes + {new} new_classes")
    if point["protocol"] == "swap" and new > old:
        raise ValueError(f"swap cannot replace {new} of {old} classes")
    kept = order[new:old] if point["protocol"] == "swap" else order[:old]
    second = [*kept, *order[old : old + new]]
    return _plain(order[:old], point["steps"]), _plain(second, point["steps"])


def _frequency(point: Point, order: list[int]) -> tuple[Task, ...]:
    count, rare = point["classes"], point["epsilon"]
    _need(count, order, "classes")
    if count < 2:
        raise ValueError("a shift of frequencies needs at least 2 classes")
    classes, half = tuple(order[:count]), count // 2
    common = np.r_[np.ones(half), np.full(count - half, rare)]
    before = _probabilities(common)
    after = _probabilities(np.r_[np.full(half, rare), np.ones(count - half)])
    first = Task(steps=point["steps"], classes=classes, labels=classes, weights=before)
    start = before if point["alpha"] == "ramped" else after
    end = after if point["alpha"] == "ramped" else None
    second = first.model_copy(update={"weights": start, "weights_end": end})
    return first, second


def _probabilities(weights: np.ndarray) -> tuple[float, ...]:
    return tuple(float(w) for w in weights / weights.sum())


def _relabel(point: Point, order: list[int]) -> tuple[Task, ...]:
    tasks, count, change = point["tasks"], point["classes"], point["change"]
    classes, steps = order[:count], point["steps"]
    _need(count, order, "classes")
    if change == "permute":
        if count < 2 and tasks > 1:
            raise ValueError("permuted labels need at least 2 classes")
        return tuple(_plain(classes, steps, _permuted(classes, t)) for t in range(tasks))
    _need(tasks * count, order, f"{tasks} tasks × {count} classes")
    blocks = [order[t * count : (t + 1) * count] for t in range(tasks)]
    if change == "shift":
        return tuple(_plain(classes, steps, block) for block in blocks)
    return tuple(_plain(block, steps, classes) for block in blocks)


def _permuted(classes: Sequence[int], task: int) -> list[int]:
    """Labels of task `task` (0: the true ones): a seeded derangement: every label changes."""
    if task == 0:
        return list(classes)
    generator = np.random.default_rng([task, len(classes)])
    while True:
        labels = [int(c) for c in generator.permutation(classes)]
        if all(a != b for a, b in zip(labels, classes, strict=True)):
            return labels


def _single(point: Point, order: list[int]) -> tuple[Task, ...]:
    _need(point["classes"], order, "classes")
    return (_plain(order[: point["classes"]], point["steps"]),)


_STREAMS: dict[str, Callable[[Point, list[int]], tuple[Task, ...]]] = {
    "class_split": _class_split,
    "overlap": _overlap,
    "frequency": _frequency,
    "relabel": _relabel,
    "single": _single,
}
