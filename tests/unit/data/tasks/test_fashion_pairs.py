"""Pairs of Fashion-MNIST: made of which images, how, and that they never change."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from ntkscope.config.curve_specs import ScalarTaskSpec
from ntkscope.config.tasks import TASKS
from ntkscope.data import OpenSamples
from ntkscope.data.tasks.base import OpenedTask, generator
from ntkscope.data.tasks.deform import deform, quantised
from ntkscope.errors import DataError

from .conftest import in_memory

SPEC = ScalarTaskSpec(name="fashion_pairs", seeds=(0,))
CLASSES = (1, 2, 7, 8)


def fashion(train: int = 60_000, test: int = 10_000) -> OpenSamples:
    """Random images in Fashion-MNIST's format."""
    images = np.random.default_rng(0).integers(0, 256, (70_000, 28, 28, 1), dtype=np.uint8)
    labels = np.arange(70_000) % 10
    rest = slice(60_000, 60_000 + test)
    return in_memory(images[:train], labels[:train], images[rest], labels[rest], 10)


@pytest.fixture(scope="module")
def images() -> OpenSamples:
    return fashion()


@pytest.fixture(scope="module")
def task(images: OpenSamples) -> OpenedTask:
    opened: OpenedTask = TASKS["fashion_pairs"].open(SPEC, images)
    return opened


@pytest.mark.parametrize("split", ["train", "fresh", "validation", "test"])
def test_a_pair_is_two_deformed_clothes(split: str, task: OpenedTask, images: OpenSamples) -> None:
    span = {"validation": slice(50_000, None), "test": slice(None)}.get(split, slice(50_000))
    side = "test" if split == "test" else "train"
    labels = images.labels[side]
    pixels, labels = images.read(side, np.arange(labels.size))[span], labels[span]
    keep = np.isin(labels, CLASSES)
    halved = pixels[keep, ..., 0].reshape(-1, 14, 2, 14, 2).mean((2, 4)) / 255
    rng = generator("fashion_pairs", 2, split)
    i, j = rng.integers(0, len(halved), 500), rng.integers(0, len(halved), 500)
    two = [quantised(deform(halved[each], rng)) for each in (i, j)]
    samples, targets = task.draw(split, 2, 0, 500)
    np.testing.assert_array_equal(samples[..., 0], np.concatenate(two, 2))
    index = {label: number for number, label in enumerate(CLASSES)}
    kinds = labels[keep]
    parity = [(index[a] + index[b]) % 2 for a, b in zip(kinds[i], kinds[j], strict=True)]
    np.testing.assert_array_equal(targets, 1 - 2 * np.array(parity))


def test_samples_are_the_same_on_every_platform(task: OpenedTask) -> None:
    samples, targets = task.draw("train", 0, 0, 500)
    assert (
        hashlib.sha256(samples.tobytes() + targets.tobytes()).hexdigest()[:16] == "b666e18ace8c3cf3"
    )


def test_labels_are_balanced(task: OpenedTask) -> None:
    assert abs((task.draw("train", 0, 0, 8000)[1] > 0).mean() - 0.5) < 0.01


def test_some_of_the_images_are_not_enough() -> None:
    with pytest.raises(DataError, match="1000 and 10000 images, not all 60000 and 10000"):
        TASKS["fashion_pairs"].open(SPEC, fashion(train=1000))
