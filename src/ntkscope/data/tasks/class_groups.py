"""Two groups of classes of a data set, told apart: plain images, as many as there are.

Each seed puts the training images in an order of its own. Its training samples are the first of
them and its validation samples the last sixth, whatever the counts; its fresh samples go backwards
from where the validation samples begin. Its test samples are the test images, in its own order.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import TYPE_CHECKING

import numpy as np

from ntkscope.config.datasets import DATASETS
from ntkscope.config.tasks import Limits, TaskSource, groups
from ntkscope.data.tasks.base import Drawn, OpenedTask, generator, signs
from ntkscope.errors import DataError

if TYPE_CHECKING:
    from ntkscope.config.curve_specs import ScalarTaskSpec
    from ntkscope.data.images import OpenSamples

_VALIDATION = 6  # one in so many

Classes = tuple[int, ...]


def limits(train: int, test: int) -> Limits:
    """Of pools of so many training and test images."""
    validation = train // _VALIDATION
    return Limits(train_and_fresh=train - validation, validation=validation, test=test)


def open_groups(
    images: OpenSamples, positive: Classes, negative: Classes | None, task: str
) -> OpenedTask:
    """The images of two groups of classes, with targets +1 and −1.

    Args:
        images: the prepared data set.
        positive, negative: classes; negative None: all others.
        task: the task's name.

    Raises:
        DataError: classes that there are not or that are in both groups, tokens, or a group without
            an image.
    """
    positive, negative = groups(positive, negative, len(images.classes), "learning_curves.….task")
    if images.mean is None or images.std is None:
        raise DataError(
            "tokens are no inputs of a scalar task",
            where="learning_curves.….task",
            remedy="take a data set of images or vectors",
        )
    labels, either = images.labels, (*positive, *negative)
    pools = {name: np.flatnonzero(np.isin(each, either)) for name, each in labels.items()}
    for name, pool in pools.items():
        _check_both(np.isin(labels[name][pool], positive), name)
    place = _places(task, pools)

    def draw(split: str, seed: int, start: int, stop: int) -> Drawn:
        side = "test" if split == "test" else "train"
        index = place(split, seed)[start:stop]
        return images.read(side, index), signs(~np.isin(labels[side][index], positive))

    return OpenedTask(
        draw,
        images.shape,
        images.white,
        tuple(images.mean.tolist()),
        tuple(images.std.tolist()),
        limits(*(pool.size for pool in pools.values())),
    )


def _check_both(positive: np.ndarray, split: str) -> None:
    if positive.all() or not positive.any():
        which = "negative" if positive.any() else "positive"
        raise DataError(
            f"the data set's {split} split has no image of a {which} class",
            where="learning_curves.….task",
            remedy="raise dataset.train_samples and test_samples, or name other classes",
        )


def _places(task: str, pools: dict[str, np.ndarray]) -> Callable[[str, int], np.ndarray]:
    """(split, seed) → indices into the training or the test images, in the split's order."""
    border = pools["train"].size - pools["train"].size // _VALIDATION

    @lru_cache(maxsize=1)
    def order(side: str, seed: int) -> np.ndarray:
        return np.asarray(generator(task, seed, side).permutation(pools[side]))

    def place(split: str, seed: int) -> np.ndarray:
        if split == "test":
            return order("test", seed)
        train = order("train", seed)
        parts = {"train": train, "fresh": train[:border][::-1], "validation": train[border:]}
        return parts[split]

    return place


def _open_named(positive: Classes, spec: ScalarTaskSpec, images: OpenSamples) -> OpenedTask:
    return open_groups(images, positive, None, spec.name)


def _open_chosen(spec: ScalarTaskSpec, images: OpenSamples) -> OpenedTask:
    if spec.positive is None:
        raise DataError(
            "two_groups needs its classes",
            where="learning_curves.….task",
            remedy="name classes under positive (and negative, or all others are)",
        )
    return open_groups(images, spec.positive, spec.negative, spec.name)


def _of(dataset: str, title: str, positive: Classes, train: int, test: int) -> TaskSource:
    """All images of a published data set, so many training and test images, in two groups."""
    source = DATASETS[dataset]
    return TaskSource(
        title=title,
        open=partial(_open_named, positive),
        licence=source.licence,
        citation=source.citation,
        dataset=dataset,
        limits=limits(train, test),
    )


_VEHICLES = (0, 1, 8, 9)  # airplane, automobile, ship, truck

TASKS = {
    "fashion_halves": _of(
        "fashion_mnist", "Fashion-MNIST, 0–4 and 5–9", (0, 1, 2, 3, 4), 60_000, 10_000
    ),
    "cifar5m_vehicles": _of(
        "cifar5m", "CIFAR-5m, vehicles and animals", _VEHICLES, 5_002_240, 1_000_448
    ),
    "cifar10_animals": _of(
        "cifar10", "CIFAR-10, animals and objects", (2, 3, 4, 5, 6, 7), 50_000, 10_000
    ),
    "svhn_parity": _of("svhn_extra", "SVHN, parity", (0, 2, 4, 6, 8), 604_388, 26_032),
    "two_groups": TaskSource(
        title="two groups of classes",
        open=_open_chosen,
        licence="that of the data set",
        citation="",
        chosen=True,
        of_pools=limits,
    ),
}
