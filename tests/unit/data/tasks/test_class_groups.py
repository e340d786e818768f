"""Two groups of classes of a data set: which images, in which order, and what is refused."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from ntkscope.config.curve_specs import ScalarTaskSpec
from ntkscope.config.datasets import DATASETS
from ntkscope.config.sections import Dataset
from ntkscope.config.specs import DatasetSpec
from ntkscope.config.tasks import TASKS
from ntkscope.data import OpenSamples, load_samples, prepare_data
from ntkscope.data.tasks.base import OpenedTask
from ntkscope.data.tasks.class_groups import open_groups
from ntkscope.errors import DataError

from .conftest import Make, in_memory

DIGITS = DatasetSpec(name="digits")


@pytest.fixture(scope="module")
def numbered() -> OpenSamples:
    """1,200 training and 100 test images that hold their own number, of classes 0 to 3."""

    def images(n: int) -> np.ndarray:
        return np.arange(n, dtype=">u2").view(np.uint8).reshape(n, 1, 2, 1)

    return in_memory(images(1200), np.arange(1200) % 4, images(100), np.arange(100) % 4, 4)


def numbers(samples: np.ndarray) -> np.ndarray:
    return np.asarray(samples.reshape(len(samples), 2).astype(int) @ [256, 1])


@pytest.fixture(scope="module")
def task(numbered: OpenSamples) -> OpenedTask:
    return open_groups(numbered, (0, 1), (3,), "two_groups")


def test_the_training_images_are_shared_out_from_both_ends(task: OpenedTask) -> None:
    assert (task.limits.train_and_fresh, task.limits.validation, task.limits.test) == (750, 150, 75)
    train, _ = task.draw("train", 0, 0, 750)
    fresh, _ = task.draw("fresh", 0, 0, 750)
    validation, _ = task.draw("validation", 0, 0, 150)
    np.testing.assert_array_equal(fresh, train[::-1])
    together = np.concatenate([numbers(train), numbers(validation)])
    assert sorted(together) == [i for i in range(1200) if i % 4 != 2]


def test_targets_are_those_of_the_classes(task: OpenedTask) -> None:
    for split in ("train", "fresh", "validation", "test"):
        samples, targets = task.draw(split, 3, 0, 70)
        np.testing.assert_array_equal(targets, np.where(numbers(samples) % 4 == 3, -1, 1))


def test_a_span_is_that_of_all_and_each_seed_has_its_own_order(task: OpenedTask) -> None:
    for split in ("train", "fresh", "validation", "test"):
        samples, targets = task.draw(split, 0, 0, 60)
        some, their = task.draw(split, 0, 13, 60)
        np.testing.assert_array_equal(some, samples[13:])
        np.testing.assert_array_equal(their, targets[13:])
        assert (task.draw(split, 1, 0, 60)[0] != samples).any()
    assert numbers(task.draw("train", 0, 0, 4)[0]).tolist() == [971, 968, 648, 271]


def test_all_other_classes_are_negative_unless_they_are_named(numbered: OpenSamples) -> None:
    samples, targets = open_groups(numbered, (2,), None, "two_groups").draw("train", 0, 0, 900)
    np.testing.assert_array_equal(targets, np.where(numbers(samples) % 4 == 2, 1, -1))


@pytest.mark.parametrize(
    ("positive", "negative", "what"),
    [
        ((0, 1), (1, 2), "class 1 is both positive and negative"),
        ((0, 4), (1,), "there is no class 4: the data set has 4 classes"),
        ((0,), (-1,), "there is no class -1"),
        ((), (1,), "no class is positive"),
        ((0, 1, 2, 3), None, "no class is negative"),
    ],
)
def test_wrong_classes_are_refused(
    numbered: OpenSamples, positive: tuple[int, ...], negative: tuple[int, ...], what: str
) -> None:
    with pytest.raises(DataError, match=what) as caught:
        open_groups(numbered, positive, negative, "two_groups")
    assert caught.value.remedy


def test_a_group_without_an_image_and_tokens_are_refused(numbered: OpenSamples) -> None:
    one = {**numbered.labels, "test": np.zeros(100, dtype=int)}
    with pytest.raises(DataError, match="test split has no image of a negative class"):
        open_groups(dataclasses.replace(numbered, labels=one), (0,), (1,), "two_groups")
    with pytest.raises(DataError, match="tokens"):
        open_groups(dataclasses.replace(numbered, mean=None), (0,), (1,), "two_groups")


# Prepared


def test_two_groups_of_digits(make: Make, digits_path: Path) -> None:
    chosen = {"dataset": DIGITS, "positive": (1, 3), "negative": (8,)}
    task = make("two_groups", train=300, fresh=50, validation=70, test=100, seeds=(1, 0), **chosen)
    digits = load_samples(digits_path)
    assert digits.mean is not None
    assert (task.shape, task.white) == ((8, 8, 1), 16)
    pool = int(np.isin(digits.train_labels, (1, 3, 8)).sum())
    assert task.train_and_fresh == pool - pool // 6
    np.testing.assert_array_equal(task.mean, digits.mean)
    known = {
        name: {image.tobytes(): label for image, label in zip(images, labels, strict=True)}
        for name, images, labels in (
            ("train", digits.train, digits.train_labels),
            ("test", digits.test, digits.test_labels),
        )
    }
    seen: dict[str, set[bytes]] = {}
    for split in ("train", "fresh", "validation", "test"):
        images = [each.tobytes() for each in task.store.read(f"{split}_sample", 1)]
        classes = [known["test" if split == "test" else "train"][each] for each in images]
        expected = [1 if each in (1, 3) else -1 for each in classes]
        assert set(classes) == {1, 3, 8}
        assert task.targets(split, 1).tolist() == expected
        seen[split] = {*images}
        assert len(seen[split]) == len(images)
    assert not (seen["train"] & seen["fresh"] or seen["train"] & seen["validation"])
    assert not seen["fresh"] & seen["validation"]


@pytest.mark.parametrize(
    ("counts", "most"),
    [
        ({"train": 1100, "fresh": 99}, "1198 training and fresh samples together"),
        ({"validation": 240}, "239 validation samples"),
        ({"test": 361}, "360 test samples"),
    ],
)
def test_more_samples_than_there_are_is_refused(
    counts: dict[str, int], most: str, make: Make
) -> None:
    chosen = {"dataset": DIGITS, "positive": (0, 1, 2, 3, 4)}
    with pytest.raises(DataError) as caught:
        make("two_groups", **counts, **chosen)
    assert f"two_groups has at most {most} for a seed" in str(caught.value)
    assert "learning_curves.….samples" in str(caught.value)


def test_classes_must_be_named(make: Make) -> None:
    with pytest.raises(DataError, match="needs its classes"):
        make("two_groups", train=2, dataset=DIGITS)


@pytest.mark.parametrize(
    ("name", "positive"),
    [
        ("fashion_halves", {0, 1, 2, 3, 4}),
        ("cifar5m_vehicles", {0, 1, 8, 9}),
        ("cifar10_animals", {2, 3, 4, 5, 6, 7}),
        ("svhn_parity", {0, 2, 4, 6, 8}),
    ],
)
def test_named_groups(name: str, positive: set[int]) -> None:
    source = TASKS[name]
    assert source.dataset in DATASETS
    images = np.arange(240, dtype=np.uint8).reshape(-1, 1, 1, 1)
    labels = np.arange(240) % 10
    samples = in_memory(images, labels, images, labels, 10)
    opened = source.open(ScalarTaskSpec(name=name, seeds=(0,)), samples)
    drawn, targets = opened.draw("train", 0, 0, 200)
    expected = [1 if each % 10 in positive else -1 for each in drawn.ravel().tolist()]
    assert targets.tolist() == expected


def test_vectors_of_ones_own(tmp_path: Path, make: Make) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(3, 2, (90, 5)).astype(np.float32), np.arange(90) % 3
    np.savez(tmp_path / "own.npz", inputs=x, labels=y)
    own = Dataset.model_validate({"kind": "npz", "path": str(tmp_path / "own.npz")})
    spec = DatasetSpec(name="own", classes=3)
    prepare_data(own, spec, tmp_path / "own.zarr", tmp_path / "s", {})
    chosen = {"dataset": spec, "positive": (2,), "negative": (0,)}
    task = make("two_groups", train=20, test=5, images=tmp_path / "own.zarr", **chosen)
    assert task.shape == (5,)
    raw = task.store.read("train_sample", 0)
    place = [np.flatnonzero((x == each).all(1)).item() for each in raw]
    assert task.targets("train", 0).tolist() == [1 if y[i] == 2 else -1 for i in place]
    np.testing.assert_allclose(task.inputs("train", 0), (raw - task.mean) / task.std, rtol=1e-5)
