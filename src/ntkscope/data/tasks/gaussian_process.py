"""A function drawn from an infinite network's own NTK: the negative control.

Regression with that kernel is then the best there is (its error is the posterior variance), so no
network beats it. Inputs are uniform on a sphere, targets real.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from ntkscope.config.specs import ModelSpec
from ntkscope.config.tasks import Limits, TaskSource
from ntkscope.data.tasks.base import Drawn, OpenedTask, generator, of_vectors
from ntkscope.data.tasks.vectors import LICENCE

if TYPE_CHECKING:
    from ntkscope.config.curve_specs import ScalarTaskSpec

NETWORK = ModelSpec(
    kind="mlp", depth=2, width=1, parametrisation="ntk", weight_std=math.sqrt(2), bias_std=0.1
)
"""The network whose infinite NTK is the covariance; its width does not matter."""

LIMITS = Limits(train_and_fresh=2000, fresh=0, validation=500, test=2000)

_FEATURES = 10
_SPANS = {"train": slice(0, 2000), "validation": slice(2000, 2500), "test": slice(2500, 4500)}
_STEP = 2.0**-16  # targets are whole multiples, so that every platform gets the same


def covariance(x: np.ndarray) -> np.ndarray:
    """The infinite NTK of inputs [n, feature], float64 [n, n], divided by its mean diagonal."""
    import torch

    from ntkscope.models.zoo import architecture
    from ntkscope.ntk import infinite_ntk

    layers = architecture(NETWORK, x.shape[1:], 1)
    kernel = infinite_ntk(layers, torch.from_numpy(x.astype(np.float64))).numpy()
    return np.asarray(kernel / kernel.diagonal().mean())


def sphere(rng: np.random.Generator, n: int, features: int) -> np.ndarray:
    """Uniform points of the sphere of radius √features, float32 [n, features]."""
    x = rng.normal(size=(n, features))
    norm = np.sqrt(np.square(x).sum(1, keepdims=True))
    return np.asarray(x * (math.sqrt(features) / norm), dtype=np.float32)


def function_values(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Values float32 [n] at x [n, feature] of one function of the Gaussian process."""
    factor = np.linalg.cholesky(covariance(x))
    values = factor @ rng.normal(size=len(x))
    return np.asarray(np.rint(values / _STEP) * _STEP, dtype=np.float32)


@lru_cache(maxsize=1)
def _whole(seed: int) -> Drawn:
    """All samples of a seed: its function's values depend on each other."""
    rng = generator("gaussian_process", seed, "train")
    x = sphere(rng, _SPANS["test"].stop, _FEATURES)
    return x, function_values(x, rng)


def _draw(split: str, seed: int, start: int, stop: int) -> Drawn:
    samples, targets = (each[_SPANS[split]][start:stop] for each in _whole(seed))
    return samples, targets


def _open(spec: ScalarTaskSpec, images: None) -> OpenedTask:
    return of_vectors(_draw, _FEATURES, LIMITS)


TASKS = {
    "gaussian_process": TaskSource(
        title="Gaussian process of the infinite NTK",
        open=_open,
        licence=LICENCE,
        citation="",
        shape=(_FEATURES,),
        error="squared",
        limits=LIMITS,
    )
}
