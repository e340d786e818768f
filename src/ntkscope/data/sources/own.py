"""What files of the user's own have in common: classes, splits and facts, from their labels."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ntkscope.config.datasets import DatasetFacts
from ntkscope.config.sections import Dataset
from ntkscope.config.sections.texts import visible
from ntkscope.data.subset import balanced_subset
from ntkscope.errors import DataError

LICENCE = "the user's own files"

_SEED = 20220611
_TEST_SHARE = 5  # without a test split of its own, every fifth sample of each class is its test


def own_path(dataset: Dataset) -> Path:
    """The file or folder that a section names, absolute."""
    return Path(dataset.path or "").expanduser().absolute()


def is_there(dataset: Dataset) -> bool:
    """Whether it exists."""
    return visible(own_path(dataset))


def content_digest(parts: Sequence[object]) -> str:
    """12 hex digits of what files hold."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:12]


def check_labels(splits: Sequence[np.ndarray], classes: int, where: object) -> None:
    """Refuse labels that are no class, and training labels (the first) of which one is absent.

    Raises:
        DataError: names the label or the class.
    """
    highest = max((int(labels.max()) for labels in splits if labels.size), default=0)
    if highest >= classes:
        raise DataError(
            f"{classes} classes are named, but there is a label {highest}: the highest for them is "
            f"{classes - 1}",
            where=where,
            remedy="name every class, in the order of their labels from 0, or correct the labels",
        )
    counts = np.bincount(splits[0], minlength=classes)
    if splits[0].size == 0 or counts.min() == 0:
        raise DataError(
            f"{classes} classes are numbered from 0, but class {int(np.argmin(counts))} has no "
            "training sample",
            where=where,
            remedy="number the classes 0, 1, 2, … without a gap, and give each a training sample",
        )


def split_by_class(labels: np.ndarray, where: object) -> tuple[np.ndarray, np.ndarray]:
    """Seeded, class by class: ascending indices of the training samples, and of one fifth for test.

    Raises:
        DataError: a class has fewer than five samples.
    """
    counts = np.bincount(labels)
    if counts.min() < _TEST_SHARE:
        raise DataError(
            f"class {int(np.argmin(counts))} has {counts.min()} samples, too few to keep one fifth "
            "of them for test",
            where=where,
            remedy=f"give it {_TEST_SHARE} or more, or give the test samples yourself",
        )
    chosen = [
        balanced_subset(labels, [label], count // _TEST_SHARE, [_SEED], "test")[0]
        for label, count in enumerate(counts)
    ]
    test = np.sort(np.concatenate(chosen))
    return np.setdiff1d(np.arange(labels.size), test), test


def facts(
    train: np.ndarray, test: np.ndarray, shape: tuple[int, ...], dtype: str, content: str
) -> DatasetFacts:
    """Facts of files whose labels are these."""
    counts = np.bincount(train)
    of_test = np.bincount(test, minlength=len(counts))
    both = tuple(counts.tolist()), tuple(of_test.tolist())
    return DatasetFacts(len(counts), shape, int(counts.min()), dtype, content, both)
