"""What every source of images gives: all labels at once, images on demand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ntkscope.config.datasets import DatasetFacts
from ntkscope.errors import DataError


@dataclass(frozen=True)
class Split:
    """The labelled images of one split. Images are read when asked for: there may be millions.

    Attributes:
        labels: class of each image, int64 [n].
        read: ascending indices, int64 [k] → their images, uint8 [k, y, x, channel].
    """

    labels: np.ndarray
    read: Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Images:
    """An opened source.

    Attributes:
        train, test: its splits, as its authors made them (digits: ours).
        classes: name of each class.
        files: where it came from.
        licence, citation: as its authors state them.
        white: the pixel value of full intensity.
    """

    train: Split
    test: Split
    classes: tuple[str, ...]
    files: tuple[str, ...]
    licence: str
    citation: str
    white: int = 255


def in_memory(images: np.ndarray, labels: np.ndarray) -> Split:
    """A split of images that are in memory, uint8 [n, y, x, channel], labels [n]."""
    return Split(np.asarray(labels, dtype=np.int64), images.__getitem__)


def check(images: Images, facts: DatasetFacts) -> None:
    """Hold an opened source against what is known of its dataset.

    Raises:
        DataError: an empty split, another number of classes, a label out of range, or images of
            another shape.
    """
    where = ", ".join(images.files)
    if len(images.classes) != facts.classes:
        raise DataError(
            f"there are {len(images.classes)} classes, not {facts.classes}", where=where
        )
    for name, split in (("train", images.train), ("test", images.test)):
        if split.labels.size == 0:
            raise DataError(f"the {name} split has no images", where=where)
        low, high = int(split.labels.min()), int(split.labels.max())
        if low < 0 or high >= facts.classes:
            raise DataError(
                f"labels of the {name} split run from {low} to {high}, not within 0 to "
                f"{facts.classes - 1}",
                where=where,
                remedy="get the files again from their official page",
            )
        first = split.read(np.arange(1))
        if first.shape != (1, *facts.shape) or first.dtype != np.uint8:
            raise DataError(
                f"images of the {name} split are {first.dtype} {first.shape[1:]}, not uint8 "
                f"{facts.shape}",
                where=where,
                remedy="get the files again from their official page",
            )
