"""What every source of samples gives: all labels at once, samples on demand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ntkscope.config.datasets import DatasetFacts
from ntkscope.errors import DataError

_REMEDY = (
    "get the files again from where they are published; if this source is your own, make what it "
    "opens and its `facts` agree"
)


@dataclass(frozen=True)
class Split:
    """The labelled samples of one split. They are read when asked for: there may be millions.

    Attributes:
        labels: class of each sample, int64 [n].
        read: ascending indices, int64 [k] → their samples [k, *shape]: images uint8
            [k, y, x, channel], vectors float32 [k, feature], tokens int64 [k, position].
    """

    labels: np.ndarray
    read: Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Samples:
    """An opened source.

    Attributes:
        train, test: its splits, as its authors made them (digits, files of the user's own: ours).
        classes: name of each class.
        files: where it came from.
        white: the pixel value of full intensity; 1 for what are no images.
    """

    train: Split
    test: Split
    classes: tuple[str, ...]
    files: tuple[str, ...]
    white: int = 255


def in_memory(samples: np.ndarray, labels: np.ndarray) -> Split:
    """A split of samples that are in memory, [n, *shape], labels [n]."""
    return Split(np.asarray(labels, dtype=np.int64), samples.__getitem__)


def joined(parts: Sequence[Split]) -> Split:
    """One split of the samples of several, one after the other."""
    ends = np.cumsum([part.labels.size for part in parts])

    def read(index: np.ndarray) -> np.ndarray:
        """Ascending indices into all parts, cut where a part ends."""
        cuts = np.searchsorted(index, ends[:-1])
        begins = np.concatenate([[0], ends[:-1]])
        shares = zip(parts, np.split(index, cuts), begins, strict=True)
        return np.concatenate([part.read(share - begin) for part, share, begin in shares])

    return Split(np.concatenate([part.labels for part in parts]), read)


def check(samples: Samples, facts: DatasetFacts) -> None:
    """Hold an opened source against what is known of its data set.

    Raises:
        DataError: an empty split, another number of classes, a label out of range, or samples of
            another shape or dtype.
    """
    where = ", ".join(samples.files)
    if len(samples.classes) != facts.classes:
        raise DataError(
            f"there are {len(samples.classes)} classes, not {facts.classes}",
            where=where,
            remedy=_REMEDY,
        )
    for name, split in (("train", samples.train), ("test", samples.test)):
        if split.labels.size == 0:
            raise DataError(f"the {name} split is empty", where=where, remedy=_REMEDY)
        low, high = int(split.labels.min()), int(split.labels.max())
        if low < 0 or high >= facts.classes:
            raise DataError(
                f"labels of the {name} split run from {low} to {high}, not within 0 to "
                f"{facts.classes - 1}",
                where=where,
                remedy=_REMEDY,
            )
        first = split.read(np.arange(1))
        if first.shape != (1, *facts.shape) or first.dtype != facts.dtype:
            raise DataError(
                f"samples of the {name} split are {first.dtype} {first.shape[1:]}, not "
                f"{facts.dtype} {facts.shape}",
                where=where,
                remedy=_REMEDY,
            )


def check_classes(samples: Samples, facts: DatasetFacts) -> None:
    """Hold the training samples of each class against what configurations are checked with.

    Raises:
        DataError: a class has fewer.
    """
    fewest = int(np.bincount(samples.train.labels, minlength=facts.classes).min())
    if fewest < (facts.train_per_class or 0):
        raise DataError(
            f"a class has {fewest} training samples, not {facts.train_per_class} or more",
            where=", ".join(samples.files),
            remedy=_REMEDY,
        )
