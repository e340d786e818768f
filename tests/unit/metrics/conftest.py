"""Small stores of kernels and snapshots, as the stages before this one write them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ntkscope.stores import Array, ZarrStore

ATTRS = {
    "kernel": "trace",
    "normalisation": "mean over outputs",
    "probe_digest": "abc",
    "precision": "float32",
}


def write_kernels(
    path: Path,
    ntk: np.ndarray,
    steps: list[int],
    task: int = 1,
    layers: np.ndarray | None = None,
    labels: list[int] | None = None,
    seeds: list[int] | None = None,
    **attrs: Any,
) -> Path:
    """`ntk`: (seed, snapshot, N, N) or (seed, snapshot, N, K, N, K); `layers` with a layer axis."""
    full = ntk.ndim == 6
    dims = ("sample", "output", "sample2", "output2") if full else ("sample", "sample2")
    arrays = {"ntk": Array(("seed", "snapshot", *dims), ntk.shape, ntk.dtype)}
    coords: dict[str, Any] = {
        "seed": (("seed",), seeds or list(range(len(ntk)))),
        "step": (("snapshot",), np.asarray(steps, np.int64)),
        "task": (("snapshot",), np.full(len(steps), task)),
        "label": (("sample",), labels or [i % 2 for i in range(ntk.shape[2])]),
        "image": (("sample",), np.arange(ntk.shape[2])),
    }
    if layers is not None:
        arrays["layer_ntk"] = Array(
            ("seed", "snapshot", "layer", *dims), layers.shape, layers.dtype
        )
        coords["layer"] = (("layer",), [f"hidden{i + 1}" for i in range(layers.shape[2])])
    store = ZarrStore.allocate(
        path, "kernels", arrays, coords=coords, mask=("seed", "snapshot"), attrs=ATTRS | attrs
    )
    store.write("ntk", ..., ntk)
    if layers is not None:
        store.write("layer_ntk", ..., layers)
    store.done(...)
    return path


def write_log(
    path: Path, steps: list[int], seeds: int, seen: int = 1, diverged: list[int] | None = None
) -> Path:
    """A log whose loss at (seed, step, seen) is 100·seed + step + seen/10.

    A task after the first starts from the step before its first snapshot.
    """
    every = np.asarray([steps[0] - 1, *steps])
    loss = 100.0 * np.arange(seeds)[:, None, None] + every[:, None] + np.arange(1, seen + 1) / 10
    dims = ("seed", "snapshot", "seen")
    values = {"loss": loss[:, 1:], "accuracy": loss[:, 1:] / 1000}
    if seen > 1:
        values |= {"start_loss": loss[:, 0], "start_accuracy": loss[:, 0] / 1000}
    store = ZarrStore.allocate(
        path,
        "snapshots",
        {n: Array((dims if v.ndim == 3 else dims[::2]), v.shape, "f8") for n, v in values.items()},
        coords={
            "seed": (("seed",), list(range(seeds))),
            "step": (("snapshot",), np.asarray(steps, np.int64)),
            "seen": (("seen",), list(range(1, seen + 1))),
            "diverged_step": (("seed",), diverged or [-1] * seeds),
        },
        mask=("snapshot",),
        attrs={},
    )
    for name, logged in values.items():
        store.write(name, ..., logged)
    store.done(...)
    return path


def random_kernels(*shape: int, seed: int = 0, features: int = 5) -> np.ndarray:
    """Positive definite float64 kernels (*shape, N, N), the last of `shape` being N."""
    x = np.random.default_rng(seed).standard_normal((*shape, features))
    return x @ np.swapaxes(x, -1, -2) + 0.1 * np.eye(shape[-1])


@pytest.fixture
def kernels() -> Callable[..., np.ndarray]:
    return random_kernels


@pytest.fixture
def kernel_store() -> Callable[..., Path]:
    return write_kernels


@pytest.fixture
def log_store() -> Callable[..., Path]:
    return write_log
