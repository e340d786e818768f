"""The draw of a Gaussian process: its covariance is the kernel, and its kernel learns it best."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from ntkscope.config.curve_specs import ScalarTaskSpec
from ntkscope.config.tasks import TASKS
from ntkscope.data.tasks import gaussian_process
from ntkscope.data.tasks.base import OpenedTask, generator
from ntkscope.data.tasks.gaussian_process import covariance, function_values, sphere
from ntkscope.errors import DataError
from ntkscope.ntk import infinite_ntk

from .conftest import Make


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenedTask]:
    """A hundredth of the samples."""
    spans = {"train": slice(0, 20), "validation": slice(20, 25), "test": slice(25, 45)}
    monkeypatch.setattr(gaussian_process, "_SPANS", spans)
    gaussian_process._whole.cache_clear()
    name = "gaussian_process"
    opened: OpenedTask = TASKS[name].open(ScalarTaskSpec(name=name, seeds=(0,)), None)
    yield opened
    gaussian_process._whole.cache_clear()


def test_points_are_uniform_on_the_sphere() -> None:
    x = sphere(np.random.default_rng(0), 20_000, 3)
    np.testing.assert_allclose((x.astype(float) ** 2).sum(1), 3, rtol=1e-6)
    np.testing.assert_allclose(x.T @ x / len(x), np.eye(3), atol=0.03)
    np.testing.assert_allclose(np.abs(x[:, 0]).mean(), 3**0.5 / 2, atol=0.01)  # Archimedes


def test_the_kernel_is_that_of_the_infinite_network() -> None:
    x = sphere(np.random.default_rng(0), 6, 4)
    network = torch.nn.Sequential(
        torch.nn.Linear(4, 1), torch.nn.ReLU(), torch.nn.Linear(1, 1), torch.nn.ReLU(),
        torch.nn.Linear(1, 1),
    )  # fmt: skip
    inputs = torch.from_numpy(x.astype(float))
    kernel = infinite_ntk(network, inputs, W_std=[2**0.5, 2**0.5, 1.0], b_std=0.1).numpy()
    np.testing.assert_allclose(covariance(x), kernel / kernel.diagonal().mean(), rtol=1e-10)
    np.testing.assert_allclose(covariance(x).diagonal(), 1, rtol=1e-6)


def test_the_covariance_of_many_draws_is_the_kernel() -> None:
    x = sphere(np.random.default_rng(0), 5, 3)
    rng = np.random.default_rng(1)
    kernel = covariance(x)
    draws = np.stack([function_values(x, rng) for _ in range(1500)])
    # Var of an entry of a Wishart matrix: (K_ij² + K_ii K_jj) / draws; four standard errors.
    error = np.sqrt((kernel**2 + 1) / len(draws))
    assert (np.abs(draws.T @ draws / len(draws) - kernel) < 4 * error).all()
    assert (np.abs(draws.mean(0)) < 4 / np.sqrt(len(draws))).all()


def test_regression_with_the_kernel_attains_the_posterior_variance() -> None:
    rng = np.random.default_rng(0)
    errors, expected = [], []
    for _ in range(12):
        x = sphere(rng, 140, 3)
        kernel, y = covariance(x), function_values(x, rng).astype(float)
        weights = np.linalg.solve(kernel[:40, :40], kernel[:40, 40:])
        errors.append(np.square(y[:40] @ weights - y[40:]).mean())
        expected.append((1 - (kernel[:40, 40:] * weights).sum(0)).mean())
    assert abs(np.mean(errors) / np.mean(expected) - 1) < 0.2


def test_a_draw_is_whole_whatever_is_asked_for(small: OpenedTask) -> None:
    samples, targets = small.draw("train", 3, 0, 20)
    gaussian_process._whole.cache_clear()
    some, their = small.draw("train", 3, 5, 9)
    np.testing.assert_array_equal(some, samples[5:9])
    np.testing.assert_array_equal(their, targets[5:9])
    assert (small.draw("train", 4, 0, 20)[1] != targets).all()
    assert targets.dtype == np.float32
    np.testing.assert_array_equal(targets * 2**16, np.rint(targets * 2**16))


def test_the_splits_are_of_one_function(small: OpenedTask) -> None:
    sizes = {"train": 20, "validation": 5, "test": 20}
    parts = [small.draw(split, 0, 0, n) for split, n in sizes.items()]
    x, y = (np.concatenate(each) for each in zip(*parts, strict=True))
    whitened = np.linalg.solve(np.linalg.cholesky(covariance(x)), y)
    rng = generator("gaussian_process", 0, "train")
    np.testing.assert_array_equal(sphere(rng, 45, 10), x)
    np.testing.assert_allclose(whitened, rng.normal(size=45), atol=1e-3)


def test_the_store_holds_real_targets_and_no_fresh_samples(small: OpenedTask, make: Make) -> None:
    task = make("gaussian_process", train=7, validation=2, test=3, images=None, seeds=(0, 9))
    assert (task.error, task.shape, task.count("fresh")) == ("squared", (10,), 0)
    np.testing.assert_array_equal(task.inputs("test", 1), small.draw("test", 9, 0, 3)[0])


@pytest.mark.parametrize(
    ("counts", "most"),
    [
        ({"train": 2001}, "2000 training and fresh samples"),
        ({"fresh": 1}, "0 fresh samples"),
        ({"validation": 501}, "500 validation samples"),
        ({"test": 2001}, "2000 test samples"),
    ],
)
def test_more_samples_than_it_has_are_refused(
    counts: dict[str, int], most: str, make: Make, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=f"at most {most}"):
        make("gaussian_process", images=None, **counts)
    assert not (tmp_path / "state").exists()


@pytest.mark.slow
def test_the_whole_draw_never_changes() -> None:
    x, y = gaussian_process._whole(0)
    assert x.shape == (4500, 10)
    expected = [0.935760498046875, 0.85760498046875, -1.0577392578125, -0.8709716796875]
    assert y[[0, 1999, 2000, 4499]].tolist() == expected
