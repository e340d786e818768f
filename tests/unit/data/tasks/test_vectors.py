"""Positive controls: the targets are the stated functions of the stored inputs."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from scipy.stats import norm

from ntkscope.config.curve_specs import ScalarTaskSpec
from ntkscope.config.tasks import SPLITS, TASKS
from ntkscope.data.tasks.base import OpenedTask

from .conftest import Make


def opened(name: str) -> OpenedTask:
    task: OpenedTask = TASKS[name].open(ScalarTaskSpec(name=name, seeds=(0,)), None)
    return task


@pytest.mark.parametrize(
    ("name", "digest"),
    [("single_index", "82bcfa603fa3d472"), ("sparse_parity", "c55192c7f7b7589e")],
)
def test_samples_are_the_same_on_every_platform(name: str, digest: str) -> None:
    samples, targets = opened(name).draw("train", 0, 0, 500)
    assert hashlib.sha256(samples.tobytes() + targets.tobytes()).hexdigest()[:16] == digest


@pytest.mark.parametrize("split", SPLITS)
def test_a_single_index_is_a_band_of_one_direction(split: str) -> None:
    x, y = opened("single_index").draw(split, 1, 0, 3000)
    w = np.array([0.5] * 4 + [0] * 16)
    np.testing.assert_array_equal(y, np.where(np.abs(x @ w) < norm.ppf(0.75), 1, -1))
    assert x.dtype == np.float32
    assert abs(x.mean()) < 0.02
    assert abs(x.std() - 1) < 0.02


@pytest.mark.parametrize("split", SPLITS)
def test_a_sparse_parity_is_a_product_of_three_signs(split: str) -> None:
    x, y = opened("sparse_parity").draw(split, 1, 0, 3000)
    assert x.shape == (3000, 40)
    assert set(np.unique(x)) == {-1, 1}
    np.testing.assert_array_equal(y, x[:, 0] * x[:, 1] * x[:, 2])
    assert np.abs(x.T @ np.column_stack([y, y * x[:, 0]]) / 3000).max() < 0.08  # no lower order


@pytest.mark.parametrize("name", ["single_index", "sparse_parity"])
def test_labels_are_balanced_and_nothing_depends_on_the_count(name: str, make: Make) -> None:
    task = opened(name)
    samples, targets = task.draw("train", 0, 0, 8000)
    assert abs((targets > 0).mean() - 0.5) < 0.01
    np.testing.assert_array_equal(task.draw("train", 0, 777, 2001)[0], samples[777:2001])
    stored = make(name, train=40, images=None)
    np.testing.assert_array_equal(stored.inputs("train", 0), samples[:40])
    np.testing.assert_array_equal(stored.targets("train", 0), targets[:40])
    others = [task.draw(*other, 0, 40)[0] for other in (("train", 1), ("fresh", 0), ("test", 0))]
    assert all((each != samples[:40]).any() for each in others)
