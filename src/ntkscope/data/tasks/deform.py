"""Deformed images: an affine map and an elastic field, in NumPy's float64.

As torch's `affine_grid`, `interpolate(mode="bicubic", align_corners=True)` and `grid_sample`
(bilinear, zeros outside, `align_corners=False`) have it; in float64, and then in 255 steps, so that
every platform gets the same.
"""

from __future__ import annotations

import numpy as np

_ANGLE, _LOG_SCALE, _SHEAR, _SHIFT = 20.0, 0.15, 0.2, 0.2  # degrees; of half the width: bounds
_ELASTIC, _NODES = 0.08, 4  # standard deviation, in half widths, at the nodes of a 4×4 grid
_CUBIC = -0.75  # the constant of torch's bicubic interpolation (Keys 1981: −0.5)


def deform(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Images float64 [n, y, x], each deformed by itself: rotated, scaled, sheared, shifted, bent.

    Args:
        images: square ones, of any values.
        rng: all random numbers are from it, in a fixed order.
    """
    n, size = len(images), images.shape[-1]
    places = _affine(rng, n, size) + _elastic(rng, n, size)
    return _sample(images, places)


def quantised(images: np.ndarray) -> np.ndarray:
    """Values in [0, 1] as uint8, 255 for 1."""
    return np.asarray(np.rint(255 * images), dtype=np.uint8)


def _affine(rng: np.random.Generator, n: int, size: int) -> np.ndarray:
    """Where each pixel is taken from, [n, 2, y, x], x first; images reach from −1 to 1."""
    angle = np.radians(rng.uniform(-_ANGLE, _ANGLE, n))
    scale = np.exp(rng.uniform(-_LOG_SCALE, _LOG_SCALE, n))
    shear = rng.uniform(-_SHEAR, _SHEAR, n)
    shift = rng.uniform(-_SHIFT, _SHIFT, (n, 2))
    cos, sin = np.cos(angle) * scale, np.sin(angle) * scale
    linear = np.stack([np.stack([cos, shear - sin], -1), np.stack([sin, cos], -1)], 1)
    at = (2 * np.arange(size) + 1) / size - 1
    x, y = at[None, None, None, :], at[None, None, :, None]
    column = linear[..., None, None]
    return np.asarray(column[:, :, 0] * x + column[:, :, 1] * y + shift[..., None, None])


def _elastic(rng: np.random.Generator, n: int, size: int) -> np.ndarray:
    """A smooth field of displacements, [n, 2, y, x]."""
    nodes = rng.normal(0, _ELASTIC, (n, 2, _NODES, _NODES))
    weights = _bicubic(size)
    rows = sum(weights[:, a, None] * nodes[:, :, a, None] for a in range(_NODES))
    columns = (weights[:, a] * np.asarray(rows)[..., a, None] for a in range(_NODES))
    return np.asarray(sum(columns))


def _bicubic(size: int) -> np.ndarray:
    """Weights [size, nodes] of the nodes at evenly spaced places, the ends on the end nodes."""
    at = np.arange(size) * (_NODES - 1) / (size - 1)
    left = np.floor(at).astype(int)
    weights = np.zeros((size, _NODES))
    for offset in range(-1, 3):
        node = np.clip(left + offset, 0, _NODES - 1)
        np.add.at(weights, (np.arange(size), node), _cubic(np.abs(at - left - offset)))
    return weights


def _cubic(t: np.ndarray) -> np.ndarray:
    """Cubic convolution at distances t ≤ 2 (Keys 1981, eq. 4, with the constant a free)."""
    a = _CUBIC
    near = ((a + 2) * t - (a + 3)) * t * t + 1
    far = ((a * t - 5 * a) * t + 8 * a) * t - 4 * a
    return np.asarray(np.where(t <= 1, near, far))


def _sample(images: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Bilinear values of images [n, y, x] at places [n, 2, y, x]; 0 outside."""
    n, size = len(images), images.shape[-1]
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1))).reshape(n, -1)
    at = ((places + 1) * size - 1) / 2
    corner = np.floor(at)
    part = at - corner
    value = np.zeros((n, size, size))
    for right in (0, 1):
        for below in (0, 1):
            x, y = (
                np.clip(corner[:, axis] + step, -1, size).astype(int) + 1
                for axis, step in ((0, right), (1, below))
            )
            weight = np.abs(1 - right - part[:, 0]) * np.abs(1 - below - part[:, 1])
            flat = (y * (size + 2) + x).reshape(n, -1)
            value += weight * np.take_along_axis(padded, flat, 1).reshape(value.shape)
    return value
