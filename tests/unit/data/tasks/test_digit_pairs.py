"""Digits without end, in pairs and single: what they are made of, and that they never change."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from ntkscope.config.curve_specs import ScalarTaskSpec
from ntkscope.config.tasks import SPLITS, TASKS
from ntkscope.data import open_samples
from ntkscope.data.tasks.base import OpenedTask, generator
from ntkscope.data.tasks.deform import deform, quantised
from ntkscope.data.tasks.digit_pairs import base_images
from ntkscope.errors import DataError

from .conftest import Make

DIGITS = ["digit_pairs", "digit_pairs_channels", "digits_parity", "digits_halves"]


def opened(name: str, path: Path) -> OpenedTask:
    task: OpenedTask = TASKS[name].open(ScalarTaskSpec(name=name, seeds=(0,)), open_samples(path))
    return task


@pytest.mark.parametrize(
    ("name", "digest"),
    [
        ("digit_pairs", "ca301239b9475680"),
        ("digit_pairs_channels", "29e1749c83d26721"),
        ("digits_parity", "b2687ab19449b683"),
        ("digits_halves", "92a2a39fada31411"),
    ],
)
def test_samples_are_the_same_on_every_platform(name: str, digest: str, digits_path: Path) -> None:
    samples, targets = opened(name, digits_path).draw("train", 0, 0, 500)
    assert hashlib.sha256(samples.tobytes() + targets.tobytes()).hexdigest()[:16] == digest


def test_base_images_are_all_digits_and_no_two_splits_share_one(digits_path: Path) -> None:
    base = base_images(open_samples(digits_path), 0)
    sizes = {split: len(labels) for split, (_, labels) in base.items()}
    assert sizes == {"train": 900, "fresh": 900, "validation": 400, "test": 497}
    together = np.concatenate([base[split][0] for split in ("train", "validation", "test")])
    everything = load_digits().images / 16
    assert sorted(map(bytes, together)) == sorted(map(bytes, everything))
    np.testing.assert_array_equal(base["train"][0], base["fresh"][0])


def test_seeds_share_out_the_base_images_anew(digits_path: Path) -> None:
    images = open_samples(digits_path)
    tests = [{image.tobytes() for image in base_images(images, s)["test"][0]} for s in range(3)]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert 80 < len(tests[one] & tests[other]) < 200  # 497²/1797 = 137 by chance


@pytest.mark.parametrize("seed", range(5))
def test_one_image_of_a_pair_says_hardly_anything_of_the_target(
    seed: int, digits_path: Path
) -> None:
    base = base_images(open_samples(digits_path), seed)
    for _, labels in base.values():
        even = (labels[labels < 4] % 2 == 0).mean()
        assert 0.42 < even < 0.58


def test_a_pair_is_two_deformed_digits_and_the_parity_of_their_sum(digits_path: Path) -> None:
    images, labels = base_images(open_samples(digits_path), 3)["test"]
    images, labels = images[labels < 4], labels[labels < 4]
    rng = generator("digit_pairs", 3, "test", 1)
    i, j = rng.integers(0, len(labels), 500), rng.integers(0, len(labels), 500)
    left, right = quantised(deform(images[i], rng)), quantised(deform(images[j], rng))
    samples, targets = opened("digit_pairs", digits_path).draw("test", 3, 500, 1000)
    np.testing.assert_array_equal(samples[..., 0], np.concatenate([left, right], 2))
    np.testing.assert_array_equal(targets, np.where((labels[i] + labels[j]) % 2, -1, 1))


def test_channels_are_the_same_pairs(digits_path: Path) -> None:
    beside, y = opened("digit_pairs", digits_path).draw("fresh", 1, 700, 900)
    stacked, same = opened("digit_pairs_channels", digits_path).draw("fresh", 1, 700, 900)
    np.testing.assert_array_equal(np.concatenate([stacked[..., :1], stacked[..., 1:]], 2), beside)
    np.testing.assert_array_equal(y, same)


@pytest.mark.parametrize(
    ("name", "positive"), [("digits_parity", (0, 2, 4, 6, 8)), ("digits_halves", (0, 1, 2, 3, 4))]
)
def test_a_digit_is_deformed_and_named_by_its_class(
    name: str, positive: tuple[int, ...], digits_path: Path
) -> None:
    images, labels = base_images(open_samples(digits_path), 0)["fresh"]
    rng = generator("digits", 0, "fresh")
    bits, group = rng.integers(0, 2, 500), np.isin(labels, positive)
    low, high = (rng.choice(np.flatnonzero(group == side), 500) for side in (False, True))
    drawn = np.where(bits == 1, low, high)
    samples, targets = opened(name, digits_path).draw("fresh", 0, 0, 500)
    np.testing.assert_array_equal(samples[..., 0], quantised(deform(images[drawn], rng)))
    np.testing.assert_array_equal(targets, np.where(group[drawn], 1, -1))


@pytest.mark.parametrize("name", DIGITS)
def test_labels_are_balanced(name: str, digits_path: Path) -> None:
    task = opened(name, digits_path)
    shares = [(task.draw("train", seed, 0, 8000)[1] > 0).mean() for seed in range(3)]
    assert abs(np.mean(shares) - 0.5) < 0.01
    assert np.abs(np.array(shares) - 0.5).max() < 0.02


@pytest.mark.parametrize("name", DIGITS)
def test_any_span_is_that_of_all_and_splits_and_seeds_differ(name: str, digits_path: Path) -> None:
    task = opened(name, digits_path)
    samples, targets = task.draw("train", 0, 0, 1200)
    assert samples.shape[1:] == task.shape == TASKS[name].shape
    for start, stop in ((0, 1), (499, 501), (3, 1200)):
        some, their = task.draw("train", 0, start, stop)
        np.testing.assert_array_equal(some, samples[start:stop])
        np.testing.assert_array_equal(their, targets[start:stop])
    others = [(split, 0) for split in SPLITS[1:]] + [("train", 1)]
    known = {image.tobytes() for image in samples}
    for split, seed in others:
        assert not known & {image.tobytes() for image in task.draw(split, seed, 0, 500)[0]}


def test_some_of_the_digits_are_not_enough(digits_path: Path) -> None:
    images = open_samples(digits_path)
    labels = {**images.labels, "test": images.labels["test"][1:]}
    fewer = dataclasses.replace(images, labels=labels)
    with pytest.raises(DataError, match="1796 digits, not all 1797"):
        base_images(fewer, 0)


def test_inputs_are_standardised_by_constants(make: Make) -> None:
    task = make("digit_pairs", train=30, seeds=(5, 2))
    raw = torch.from_numpy(task.store.read("train_sample", (1, slice(0, 20)))).double()
    expected = ((raw / 255 - 0.2) / 0.35).movedim(-1, 1)
    torch.testing.assert_close(task.inputs("train", 1, 20, torch.float64), expected)
    assert task.inputs("train", 1).shape == (30, 1, 8, 16)
