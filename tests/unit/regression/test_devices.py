"""The stage on a device of another name than the CPU's; no GPU is needed."""

import numpy as np
import pytest

from ntkscope.regression import regress_kernels, stage
from ntkscope.stores import read_store
from tests.pretended_gpu import pretended_gpu
from tests.unit.regression.conftest import spec


@pytest.fixture
def gpu(monkeypatch):
    with pretended_gpu(monkeypatch) as device:
        yield device


@pytest.mark.parametrize("source", ["infinite", "initial", "after"])
def test_regressions_are_the_same_with_kernels_of_another_device(
    task_path, networks_path, tmp_path, monkeypatch, gpu, source
):
    more = {"trained_on": (32,), "by_layer": True} if source == "after" else {}
    more |= {"ensemble": 2} if source == "initial" else {}
    regression = spec(source, offset="subtract", **more)
    paths = [tmp_path / "cpu.zarr", tmp_path / "gpu.zarr"]
    for path in paths:
        regress_kernels(regression, task_path, networks_path, path, state=tmp_path / "s", stage="")
        monkeypatch.setattr(stage, "choose_device", lambda wish: gpu)
    expected, found = (read_store(path, "regression") for path in paths)
    for name in ("prediction", "error", "eigenvalue"):
        np.testing.assert_allclose(found[name].values, expected[name].values, rtol=1e-5, atol=1e-6)
