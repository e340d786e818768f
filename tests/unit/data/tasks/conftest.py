"""Prepared digits, and a way to draw and to prepare tasks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ntkscope.config.curve_specs import SampleCounts, ScalarTaskSpec
from ntkscope.config.sections import Dataset
from ntkscope.config.specs import DatasetSpec
from ntkscope.data import LoadedTask, OpenSamples, load_task, prepare_data, prepare_task

Make = Callable[..., LoadedTask]


def in_memory(
    train: np.ndarray, train_labels: np.ndarray, test: np.ndarray, test_labels: np.ndarray,
    classes: int,
) -> OpenSamples:  # fmt: skip
    """Images [n, y, x, channel] as of a prepared data set, of mean 0 and std 1."""
    images, ones = {"train": train, "test": test}, np.ones(train.shape[-1])
    return OpenSamples(
        labels={"train": train_labels, "test": test_labels},
        read=lambda split, index: images[split][index],
        shape=train.shape[1:],
        white=255,
        mean=0 * ones,
        std=ones,
        classes=tuple(map(str, range(classes))),
    )


@pytest.fixture(scope="session")
def digits_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of all digits."""
    folder = tmp_path_factory.mktemp("digits")
    output = folder / "digits.zarr"
    prepare_data(Dataset(), DatasetSpec(name="digits"), output, folder / "state", {})
    return output


@pytest.fixture
def make(tmp_path: Path, digits_path: Path) -> Make:
    """Prepares a task of this name, with so many samples, and opens it."""

    def make_(
        name: str,
        *,
        train: int = 0,
        fresh: int = 0,
        validation: int = 0,
        test: int = 0,
        seeds: tuple[int, ...] = (0,),
        images: Path | None = digits_path,
        **spec: object,
    ) -> LoadedTask:
        task = ScalarTaskSpec.model_validate({"name": name, "seeds": seeds, **spec})
        counts = SampleCounts(train=train, fresh=fresh, validation=validation, test=test)
        output = tmp_path / f"{task.id}-{counts.train}-{counts.fresh}-{counts.test}.zarr"
        prepare_task(task, counts, images, output, state=tmp_path / "state", stage="")
        return load_task(output)

    return make_
