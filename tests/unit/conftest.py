"""A tiny dataset store and a tiny run."""

import numpy as np
import pytest

from ntkscope.config.specs import DatasetSpec, ModelSpec, OptimizerSpec, RunSpec, SnapshotSpec, Task
from ntkscope.stores import Array, ZarrStore


@pytest.fixture(scope="session")
def images_path(tmp_path_factory):
    """60 training and 20 test images, 4×4×1, of 4 classes that differ."""
    path = tmp_path_factory.mktemp("data") / "tiny.zarr"
    generator = np.random.default_rng(0)
    labels = np.arange(80) % 4
    means = generator.uniform(50, 200, (4, 4, 4, 1))
    images = np.clip(means[labels] + generator.normal(0, 20, (80, 4, 4, 1)), 0, 255)
    store = ZarrStore.allocate(
        path,
        "images",
        {
            "image": Array(("sample", "y", "x", "channel"), (80, 4, 4, 1), "u1"),
            "label": Array(("sample",), (80,), "i8"),
        },
        coords={"split": (("sample",), (np.arange(80) >= 60).astype("u1"))},
        mask=("sample",),
        attrs={"mean": [0.5], "std": [0.25], "white": 255, "classes": ["a", "b", "c", "d"]},
    )
    store.write("image", ..., images.astype("u1"))
    store.write("label", ..., labels)
    store.done(...)
    return path


@pytest.fixture
def run():
    """Two tasks of 12 steps, 2 classes each, 3 seeds."""
    return RunSpec(
        dataset=DatasetSpec(name="tiny"),
        tasks=(
            Task(steps=12, classes=(0, 1), labels=(0, 1)),
            Task(steps=12, classes=(2, 3), labels=(2, 3)),
        ),
        model=ModelSpec(kind="mlp", depth=2, width=8),
        optimizer=OptimizerSpec(learning_rate=0.1, momentum=0.5),
        batch_size=8,
        seeds=(0, 1, 2),
        snapshots=SnapshotSpec(around_boundary=3, log_spaced=3),
        evaluation_samples=8,
    )
