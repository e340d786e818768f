"""Tiny stores of a task and of networks, made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from ntkscope.config.curve_specs import (
    LearningSpec,
    NetworksSpec,
    RegressionSpec,
    ScalarTaskSpec,
)
from ntkscope.config.specs import ModelSpec
from ntkscope.models import initial_parameters
from ntkscope.models.zoo import architecture
from ntkscope.stores import Array, ZarrStore

RIDGES = (1e-6, 1e-4, 1e-2, 1.0, 100.0)
COUNTS = {"train": 48, "fresh": 48, "validation": 8, "test": 30}
SHAPE = (3, 4, 1)
MODEL = ModelSpec(kind="mlp", depth=2, width=8)
TASK = ScalarTaskSpec(name="digit_pairs", seeds=(0, 3))
NETWORKS = NetworksSpec(
    task=TASK,
    model=MODEL,
    learning=LearningSpec(learning_rate=0.1),
    sizes=(8, 16, 32),
    validation=8,
    test=30,
    during=(1, 10),
    during_samples=32,
)


def write_task(path, samples, targets, *, error="zero_one", seeds=TASK.seeds, white=255, **others):
    """A store of kind `scalar_task` of arrays by split, [seed, n, …]; `others`: attributes."""
    arrays, data = {}, {}
    for split in samples:
        axes = ("y", "x", "channel") if samples[split].ndim == 5 else ("feature",)
        dims = ("seed", f"{split}_n")
        for name, values, more in (
            (f"{split}_sample", samples[split], axes),
            (f"{split}_target", targets[split].astype("f4"), ()),
        ):
            data[name] = values
            arrays[name] = Array((*dims, *more), values.shape, values.dtype)
    channels = [0.0] * next(iter(samples.values())).shape[-1]
    attrs = {"white": white, "mean": channels, "std": [1.0] * len(channels), "error": error}
    store = ZarrStore.allocate(
        path,
        "scalar_task",
        arrays,
        coords={"seed": (("seed",), np.array(seeds))},
        mask=("seed",),
        attrs={**attrs, "title": "tiny", **others},
    )
    for name, values in data.items():
        store.write(name, ..., values)
    store.done(...)
    return path


def task_at(path, *, error="zero_one", seed=0, **others):
    """Uint8 images and the sign, or the value, of a product of two pixels."""
    generator = np.random.default_rng(seed)
    samples, targets = {}, {}
    for split, count in COUNTS.items():
        pixels = generator.integers(0, 256, (len(TASK.seeds), count, *SHAPE)).astype("u1")
        value = (pixels[..., 0, 0, 0] / 255.0 - 0.5) * (pixels[..., 1, 1, 0] / 255.0 + 0.2)
        samples[split] = pixels
        targets[split] = 10 * value if error == "squared" else np.where(value > 0, 1.0, -1.0)
    return write_task(path, samples, targets, error=error, **others)


@pytest.fixture(scope="session")
def task_path(tmp_path_factory):
    """Two seeds of 3×4×1 images with targets ±1."""
    return task_at(tmp_path_factory.mktemp("task") / "task.zarr")


@pytest.fixture(scope="session")
def real_path(tmp_path_factory):
    """The same with real targets."""
    return task_at(tmp_path_factory.mktemp("task") / "real.zarr", error="squared")


def write_networks(path, spec, numbers):
    """A store of kind `networks`.

    Args:
        path, spec: of it.
        numbers: function of (seed, network's number) that gives its parameters.
    """
    layers = architecture(spec.model, SHAPE, 1)
    seeds, steps = spec.task.seeds, spec.during
    shapes = {name: value.shape for name, value in initial_parameters(layers, 0).items()}
    leads = {"best": ("size", len(spec.sizes)), "during": ("snapshot", len(steps))}
    arrays, data = {}, {}
    for group, (dim, count) in leads.items():
        stacked = [[numbers(seed, 1 + k) for k in range(count)] for seed in seeds]
        for name, shape in shapes.items():
            axes = tuple(f"{name}_{axis}" for axis in range(len(shape)))
            full = (len(seeds), count, *shape)
            arrays[f"{group}/{name}"] = Array(("seed", dim, *axes), full, "f4")
            data[f"{group}/{name}"] = np.array([[each[name] for each in row] for row in stacked])
    for name, count in (("diverged", len(spec.sizes)), ("during_diverged", len(steps))):
        arrays[name] = Array(
            ("seed", "size" if name == "diverged" else "snapshot"), (len(seeds), count), bool
        )
        data[name] = np.zeros((len(seeds), count), bool)
    store = ZarrStore.allocate(
        path,
        "networks",
        arrays,
        coords={
            "seed": (("seed",), np.array(seeds)),
            "size": (("size",), np.array(spec.sizes)),
            "step": (("snapshot",), np.array(steps)),
        },
        mask=("seed",),
        attrs={"networks": spec.id},
    )
    for name, values in data.items():
        store.write(name, ..., values)
    store.done(...)
    return path


def random_numbers(seed, number):
    """Parameters of a network that was initialised, and never trained."""
    layers = architecture(MODEL, SHAPE, 1)
    return {k: v.numpy() for k, v in initial_parameters(layers, 100 * number + seed).items()}


@pytest.fixture(scope="session")
def networks_path(tmp_path_factory):
    """Of networks that were never trained, but each has parameters of its own."""
    return write_networks(tmp_path_factory.mktemp("nets") / "n.zarr", NETWORKS, random_numbers)


def spec(source="initial", **more):
    """Regressions on the tiny task, in float64."""
    model = MODEL
    if source == "infinite":
        model = MODEL.model_copy(update={"weight_std": 2**0.5, "bias_std": 0.1})
    more = {"steps": (1, 10), **more} if source == "during" else more
    trained = {"networks": NETWORKS} if source in ("after", "during") else {"model": model}
    fields = {
        "source": source,
        "task": TASK,
        "sizes": (8, 16, 32),
        "fits": ("own",),
        "test": 30,
        "ridges": RIDGES,
        "precision": "float64",
        "leave_one_out_most": 16,
        **trained,
    }
    return RegressionSpec(**{**fields, **more})
