"""Tiny tasks of a few features, and the networks that learn them."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

from ntkscope.config.curve_specs import LearningSpec, NetworksSpec, ScalarTaskSpec
from ntkscope.config.specs import ModelSpec
from ntkscope.data.tasks.store import KIND
from ntkscope.stores import Array, ZarrStore
from ntkscope.training import train_networks

COUNTS = {"train": 48, "validation": 40, "test": 30}


def write_task(path: Path, shape=(6,), seeds=(0, 1, 2), error="zero_one", scale=None):
    """A store of kind `scalar_task`; `scale` multiplies a seed's samples, by its position."""
    generator = np.random.default_rng(5)
    image = len(shape) == 3
    names = ("y", "x", "channel") if image else ("feature",)
    arrays, values = {}, {}
    teacher = generator.normal(size=int(np.prod(shape)))
    for split, count in COUNTS.items():
        dims, size = ("seed", f"{split}_n"), (len(seeds), count)
        x = generator.normal(size=(*size, *shape))
        z = x.reshape(*size, -1) @ teacher / teacher.size**0.5
        y = z**2 if error == "squared" else np.where(z**2 > 0.4, 1.0, -1.0)
        x = np.clip(128 + 40 * x, 0, 255).astype("u1") if image else x.astype("f4")
        if scale is not None:
            x = x * np.reshape(scale, (-1, 1, *(1 for _ in shape))).astype("f4")
        arrays[f"{split}_sample"] = Array((*dims, *names), x.shape, x.dtype)
        arrays[f"{split}_target"] = Array(dims, size, "f4")
        values |= {f"{split}_sample": x, f"{split}_target": y.astype("f4")}
    coords = {"seed": (("seed",), np.array(seeds, dtype=np.int64))}
    channels = shape[-1]
    written = b"".join(value.tobytes() for value in values.values())
    attrs = {
        "sha256": hashlib.sha256(written).hexdigest(),
        "white": 255 if image else 1,
        "mean": [0.5 if image else 0.0] * channels,
        "std": [0.2 if image else 1.0] * channels,
        "error": error,
        "title": "tiny",
    }
    mask = Array(("part",), (1,), np.dtype(bool))
    store = ZarrStore.allocate(path, KIND, arrays, coords=coords, mask=mask, attrs=attrs)
    for name, value in values.items():
        store.write(name, ..., value)
    store.done(...)
    return path


@pytest.fixture(scope="session")
def task_path(tmp_path_factory):
    """Three seeds of 48 vectors of 6 features."""
    return write_task(tmp_path_factory.mktemp("task") / "tiny.zarr")


@pytest.fixture
def networks():
    """Nine networks of n = 12, 20 and 48 that learn for 60 steps or more."""
    return make_networks()


def make_networks(seeds=(0, 1, 2), sizes=(12, 20, 48), model=None, during=(), **learning):
    """A spec; `model` and `learning` are what differs from the fixture's."""
    settings = {"learning_rate": 0.05, "batch_size": 8, "steps_at_least": 60, "epochs": 15}
    settings |= {"evaluations": 12, "patience": 50, "precision": "float64"}
    return NetworksSpec(
        task=ScalarTaskSpec(name="tiny", seeds=seeds),
        model=ModelSpec(**{"kind": "mlp", "depth": 2, "width": 8, **(model or {})}),
        learning=LearningSpec(**settings | learning),
        sizes=sizes,
        validation=40,
        test=30,
        during=during,
        during_samples=max(sizes) if during else None,
    )


def train(spec, task_path, folder, **options):
    """Train a spec into a folder; its store."""
    output = folder / "networks.zarr"
    train_networks(spec, task_path, output, state=folder / "state", stage="", **options)
    return output


def contents(path):
    """All arrays of a store, by group and name."""
    found = {}
    for group in ("", "initial", "best", "during"):
        if (path / group).is_dir():
            data = xr.open_zarr(path, group=group or None, consolidated=False).load()
            prefix = f"{group}/" if group else ""
            found |= {f"{prefix}{name}": v.values for name, v in data.variables.items()}
    return found


def numbers(arrays, group, *place):
    """Name → tensor of one network's parameters."""
    named = {n.removeprefix(f"{group}/"): v for n, v in arrays.items() if n.startswith(f"{group}/")}
    return {n: torch.from_numpy(v[place]) for n, v in named.items()}
