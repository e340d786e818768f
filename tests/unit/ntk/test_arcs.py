"""Arctangents and arcsines by NumPy against extended precision, and against torch's."""

import numpy as np
import pytest
import torch

from ntkscope.ntk.infinite import arcs
from ntkscope.ntk.infinite.arcs import arcsin_, arctan2

DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])


def angles(dtype):
    angle = torch.linspace(0, np.pi, 100_003, dtype=torch.float64)
    return angle.sin().clamp_min_(0).to(dtype), angle.cos().to(dtype)


def units(found, expected):
    """Errors in units of the last place."""
    found = found.numpy()
    return (np.abs(found - expected) / np.spacing(np.abs(found))).max()


@DTYPES
def test_arctan2(dtype):
    y, x = angles(dtype)
    exact = np.arctan2(y.numpy().astype(np.longdouble), x.numpy().astype(np.longdouble))
    assert units(arctan2(y, x), exact) < 4.5


@DTYPES
def test_arcsin(dtype):
    x = torch.linspace(-1, 1, 100_003, dtype=dtype)
    exact = np.arcsin(x.numpy().astype(np.longdouble))
    assert units(arcsin_(x.clone()), exact) < 4.5


@DTYPES
def test_limits_are_torchs(dtype):
    y = torch.tensor([0.0, 0.0, 0.0, 1.0, 1e-30, torch.nan], dtype=dtype)
    x = torch.tensor([0.0, 1.0, -1.0, 0.0, -1.0, 1.0], dtype=dtype)
    torch.testing.assert_close(arctan2(y, x), torch.atan2(y, x), equal_nan=True)
    outside = torch.tensor([1.0, -1.0, 1.5, torch.nan], dtype=dtype)
    torch.testing.assert_close(arcsin_(outside.clone()), outside.asin(), equal_nan=True)


def test_torch_where_numpy_has_no_more_than_it(monkeypatch):
    y, x = angles(torch.float32)
    monkeypatch.setattr(arcs, "_vectorised", lambda *_: False)
    assert torch.equal(arctan2(y, x), torch.atan2(y, x))
    monkeypatch.setattr(arcs, "_vectorised", lambda *_: True)
    wide = torch.stack([y, y], 1)[:, 0]
    assert torch.equal(arctan2(wide, x), torch.atan2(wide, x))
    monkeypatch.setattr(torch, "get_num_threads", lambda: 16)
    assert torch.equal(arctan2(y, x), torch.atan2(y, x))
    assert torch.equal(arcsin_(x.clone()), x.asin())
