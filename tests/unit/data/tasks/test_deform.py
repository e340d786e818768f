"""Deformed images against torch's own interpolation, in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from ntkscope.data.tasks.deform import deform, quantised


def by_torch(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    n, size = len(images), images.shape[-1]
    angle, scale = np.radians(rng.uniform(-20, 20, n)), np.exp(rng.uniform(-0.15, 0.15, n))
    shear, shift = rng.uniform(-0.2, 0.2, n), rng.uniform(-0.2, 0.2, (n, 2))
    theta = np.zeros((n, 2, 3))
    theta[:, 0, 0] = theta[:, 1, 1] = np.cos(angle) * scale
    theta[:, 1, 0] = np.sin(angle) * scale
    theta[:, 0, 1] = shear - theta[:, 1, 0]
    theta[:, :, 2] = shift
    grid = F.affine_grid(torch.tensor(theta), [n, 1, size, size], align_corners=False)
    field = torch.tensor(rng.normal(0, 0.08, (n, 2, 4, 4)))
    field = F.interpolate(field, size=(size, size), mode="bicubic", align_corners=True)
    places = grid + field.permute(0, 2, 3, 1)
    return F.grid_sample(torch.tensor(images)[:, None], places, align_corners=False)[:, 0].numpy()


@pytest.mark.parametrize("size", [8, 14])
def test_deformed_images_are_those_of_torch(size: int) -> None:
    images = np.random.default_rng(0).random((40, size, size))
    expected = by_torch(images, np.random.default_rng(1))
    np.testing.assert_allclose(deform(images, np.random.default_rng(1)), expected, atol=1e-13)


def test_steps_are_of_a_255th() -> None:
    np.testing.assert_array_equal(quantised(np.array([0.0, 0.5 / 256, 0.4, 1.0])), [0, 0, 102, 255])
