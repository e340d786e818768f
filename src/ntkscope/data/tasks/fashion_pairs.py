"""Two clothes of Fashion-MNIST side by side, each deformed by itself, and the parity of their sum.

As `digit_pairs`, on photographs: trousers, pullovers, sneakers and bags, numbered 0 to 3, averaged
to 14×14 pixels. Training and fresh samples are of the first 50,000 images of the training file,
validation samples of its other 10,000, test samples of the test file.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ntkscope.config.datasets import DATASETS
from ntkscope.config.tasks import TaskSource
from ntkscope.data.tasks.base import OpenedTask, in_blocks
from ntkscope.data.tasks.digit_pairs import Base, pairs
from ntkscope.errors import DataError

if TYPE_CHECKING:
    from ntkscope.config.curve_specs import ScalarTaskSpec
    from ntkscope.data.images import OpenSamples

MEAN, STD = 0.286, 0.33
_CLASSES = (1, 2, 7, 8)  # trouser, pullover, sneaker, bag
_TRAIN, _IMAGES = 50_000, (60_000, 10_000)
_SHAPE = (14, 28, 1)


def _open(spec: ScalarTaskSpec, images: OpenSamples) -> OpenedTask:
    there = images.labels["train"].size, images.labels["test"].size
    if there != _IMAGES:
        raise DataError(
            f"the prepared data set has {there[0]} and {there[1]} images, not all 60000 and 10000",
            where="dataset",
            remedy="prepare fashion_mnist without train_samples and test_samples",
        )
    order = np.arange(there[0])
    train, rest = (_halved(images, "train", index) for index in np.split(order, [_TRAIN]))
    base: Base = {
        "train": train,
        "fresh": train,
        "validation": rest,
        "test": _halved(images, "test", np.arange(there[1])),
    }
    draw = in_blocks("fashion_pairs", partial(pairs, base, 2))
    return OpenedTask(draw, _SHAPE, 255, (MEAN,), (STD,))


def _halved(images: OpenSamples, split: str, index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Images of the four classes, 2×2 pixels averaged, float64 [n, 14, 14], numbered 0 to 3."""
    keep = index[np.isin(images.labels[split][index], _CLASSES)]
    blocks = images.read(split, keep).reshape(-1, 14, 2, 14, 2).sum((2, 4), dtype=np.float64)
    return blocks / (4 * 255), np.searchsorted(_CLASSES, images.labels[split][keep])


TASKS = {
    "fashion_pairs": TaskSource(
        title="pairs of Fashion-MNIST, parity",
        open=_open,
        licence=DATASETS["fashion_mnist"].licence,
        citation=DATASETS["fashion_mnist"].citation,
        dataset="fashion_mnist",
        shape=_SHAPE,
    )
}
