"""Batches: seeded, resumable by construction, with the right frequencies."""

import numpy as np
import pytest

from ntkscope.config.specs import Task
from ntkscope.data.sampling import batch_indices, task_labels
from ntkscope.errors import DataError

LABELS = np.arange(60) % 4


def test_an_epoch_shows_every_image_of_the_task_once():
    task = Task(steps=9, classes=(1, 3), labels=(1, 3))
    batches = batch_indices(LABELS, task, 0, 7, 10, "epochs")
    assert batches.shape == (9, 10)
    for epoch in batches.reshape(3, 30):
        assert np.array_equal(np.sort(epoch), np.flatnonzero(np.isin(LABELS, (1, 3))))


def test_draws_depend_on_seed_and_place_alone():
    task = Task(steps=3, classes=(0, 1), labels=(0, 1))
    first = batch_indices(LABELS, task, 0, 7, 10, "epochs")
    assert np.array_equal(first, batch_indices(LABELS, task, 0, 7, 10, "epochs"))
    assert not np.array_equal(first, batch_indices(LABELS, task, 0, 8, 10, "epochs"))
    assert not np.array_equal(first, batch_indices(LABELS, task, 1, 7, 10, "epochs"))


def test_class_frequencies_follow_the_ramp():
    task = Task(
        steps=2001, classes=(0, 1), labels=(0, 1), weights=(0.9, 0.1), weights_end=(0.1, 0.9)
    )
    drawn = LABELS[batch_indices(LABELS, task, 0, 0, 50, "independent")]
    share = (drawn == 0).mean(axis=1)
    for middle, expected in ((100, 0.86), (1000, 0.5), (1900, 0.14)):
        assert share[middle - 100 : middle + 100].mean() == pytest.approx(expected, abs=0.02)


def test_images_of_a_class_are_equally_likely():
    task = Task(steps=3000, classes=(2,), labels=(2,), weights=(1.0,))
    drawn = batch_indices(LABELS, task, 0, 0, 10, "independent")
    images, counts = np.unique(drawn, return_counts=True)
    assert np.array_equal(images, np.flatnonzero(LABELS == 2))
    assert counts.min() > 0.9 * counts.mean()


def test_labels_of_a_task():
    task = Task(steps=1, classes=(0, 2), labels=(5, 6))
    assert task_labels(np.array([0, 1, 2, 3]), task).tolist() == [5, -1, 6, -1]


def test_a_class_without_images_is_refused():
    with pytest.raises(DataError, match="class 9 has no training image"):
        batch_indices(LABELS, Task(steps=1, classes=(9,), labels=(9,)), 0, 0, 4, "epochs")
