"""The networks of a learning curve train on a GPU as on the CPU: on one that is not there."""

import numpy as np
import pytest

from ntkscope.training.learning_curve import train as job
from tests.pretended_gpu import pretended_gpu
from tests.unit.training.learning_curve.conftest import contents, make_networks, train, write_task

CNN = {"kind": "cnn5", "depth": 5, "width": 2, "initialisation": "he"}


@pytest.mark.parametrize("model", [{}, CNN], ids=["mlp", "cnn5"])
def test_networks_train_on_a_gpu(tmp_path, monkeypatch, model):
    path = write_task(tmp_path / "task.zarr", shape=(4, 4, 2))
    spec = make_networks((0, 1), (12,), model, (0, 3, 8), steps_at_least=6, epochs=1)
    expected = contents(train(spec, path, tmp_path / "cpu"))
    with pretended_gpu(monkeypatch) as gpu:
        monkeypatch.setattr(job, "choose_device", lambda wish: gpu)
        found = contents(train(spec, path, tmp_path / "gpu", checkpoint_seconds=0))
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-9, atol=1e-12)
