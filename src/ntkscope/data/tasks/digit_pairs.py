"""Digits without end, each deformed by itself: pairs of them, and single ones.

A network must combine the two images of a pair: one by itself says hardly anything of the target
(even and odd digits are nearly equally many). Each seed shares out the 1,797 base images anew, so
that intervals over seeds have their part of the variance that so few test images bring.
"""

from __future__ import annotations

from functools import cache, partial
from typing import TYPE_CHECKING

import numpy as np

from ntkscope.config.datasets import DATASETS
from ntkscope.config.tasks import TaskSource
from ntkscope.data.tasks.base import BLOCK, Drawn, OpenedTask, generator, in_blocks, signs
from ntkscope.data.tasks.deform import deform, quantised
from ntkscope.errors import DataError

if TYPE_CHECKING:
    from ntkscope.config.curve_specs import ScalarTaskSpec
    from ntkscope.data.images import OpenSamples

MEAN, STD = 0.2, 0.35
_CLASSES = range(4)  # of the pairs
_IMAGES = 1797
_TRAIN, _VALIDATION = 900, 400  # base images, the rest for test

Base = dict[str, tuple[np.ndarray, np.ndarray]]
"""Split → its base images, float64 [n, 8, 8] in [0, 1], and their classes [n]."""


def base_images(images: OpenSamples, seed: int) -> Base:
    """Base images of a seed's splits: 900 of training and fresh samples, 400, and 497 of test.

    Raises:
        DataError: these are not all digits.
    """
    labels = np.concatenate([images.labels["train"], images.labels["test"]])
    if len(labels) != _IMAGES:
        raise DataError(
            f"the prepared data set has {len(labels)} digits, not all {_IMAGES}",
            where="dataset",
            remedy="prepare digits without train_samples and test_samples",
        )
    each = [images.read(split, np.arange(some.size)) for split, some in images.labels.items()]
    pixels = np.concatenate(each)[..., 0] / images.white
    order = generator("base images of digits", seed, "train").permutation(_IMAGES)
    train, validation, test = np.split(order, [_TRAIN, _TRAIN + _VALIDATION])
    parts = {"train": train, "fresh": train, "validation": validation, "test": test}
    return {split: (pixels[part], labels[part]) for split, part in parts.items()}


def pairs(base: Base, axis: int, split: str, rng: np.random.Generator) -> Drawn:
    """A block of pairs of deformed images, and (−1)^(sum of their classes).

    Args:
        base: images of each split and their classes.
        axis: of the result [n, y, x, channel], along which they lie together.
    """
    images, labels = base[split]
    i, j = (rng.integers(0, len(labels), BLOCK) for _ in range(2))
    two = [quantised(deform(images[each], rng))[..., None] for each in (i, j)]
    return np.concatenate(two, axis), signs((labels[i] + labels[j]) % 2)


def _open_pairs(axis: int, spec: ScalarTaskSpec, images: OpenSamples) -> OpenedTask:
    @cache
    def base(seed: int) -> Base:
        return {
            split: (pixels[np.isin(labels, _CLASSES)], labels[np.isin(labels, _CLASSES)])
            for split, (pixels, labels) in base_images(images, seed).items()
        }

    def draw(split: str, seed: int, start: int, stop: int) -> Drawn:
        own = in_blocks("digit_pairs", partial(pairs, base(seed), axis))
        return own(split, seed, start, stop)

    shape = (8, 16, 1) if axis == 2 else (8, 8, 2)
    return OpenedTask(draw, shape, 255, (MEAN,) * shape[-1], (STD,) * shape[-1])


def _open_single(
    negative: tuple[int, ...], spec: ScalarTaskSpec, images: OpenSamples
) -> OpenedTask:
    base = cache(partial(base_images, images))

    def block(base: Base, split: str, rng: np.random.Generator) -> Drawn:
        """Both targets equally likely, then the images of each."""
        pixels, labels = base[split]
        bits = rng.integers(0, 2, BLOCK)
        is_negative = np.isin(labels, negative)
        members = [np.flatnonzero(is_negative == bit) for bit in (False, True)]
        i = np.where(bits, *(rng.choice(each, BLOCK) for each in reversed(members)))
        return quantised(deform(pixels[i], rng))[..., None], signs(bits)

    def draw(split: str, seed: int, start: int, stop: int) -> Drawn:
        return in_blocks("digits", partial(block, base(seed)))(split, seed, start, stop)

    return OpenedTask(draw, (8, 8, 1), 255, (MEAN,), (STD,))


def _task(title: str, shape: tuple[int, ...], open_: partial[OpenedTask]) -> TaskSource:
    digits = DATASETS["digits"]
    return TaskSource(
        title=title,
        open=open_,
        licence=digits.licence,
        citation=digits.citation,
        dataset="digits",
        shape=shape,
    )


TASKS = {
    "digit_pairs": _task("pairs of digits, parity", (8, 16, 1), partial(_open_pairs, 2)),
    "digit_pairs_channels": _task(
        "pairs of digits as channels, parity", (8, 8, 2), partial(_open_pairs, 3)
    ),
    "digits_parity": _task("digits, parity", (8, 8, 1), partial(_open_single, (1, 3, 5, 7, 9))),
    "digits_halves": _task(
        "digits, 0–4 and 5–9", (8, 8, 1), partial(_open_single, (5, 6, 7, 8, 9))
    ),
}
