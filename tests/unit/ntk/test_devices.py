"""Kernels of models on another device: computed there, and the same. No GPU is needed."""

import numpy as np
import pytest
import torch

from ntkscope.config.specs import ModelSpec
from ntkscope.kernels import stage
from ntkscope.ntk import (
    EMPIRICAL_KINDS,
    KINDS,
    empirical_ntk,
    infinite_nngp,
    infinite_ntk,
    write_ntk,
)
from ntkscope.ntk.empirical.gram.strategies import STRATEGIES
from ntkscope.ntk.operator import NTKOperator, cka_with_labels, largest_eigenvalue, xtrace
from ntkscope.ntk.regression import KernelRidge
from ntkscope.runtime.device import repeatable
from ntkscope.stores import read_store
from ntkscope.training import task
from tests.oracles.networks import NAMES, network
from tests.oracles.ntk import ntk, of_kind
from tests.pretended_gpu import DeviceError, OnGPU, moved, pretended_gpu
from tests.unit.kernels.test_stage import KERNEL, taken, trained
from tests.unit.ntk import test_infinite, test_infinite_graphs
from tests.unit.training.test_training_task import contents, train

torch.set_num_threads(1)
pytestmark = pytest.mark.filterwarnings("ignore:There is a performance drop|Using padding='same'")


@pytest.fixture
def gpu(monkeypatch):
    with pretended_gpu(monkeypatch) as device:
        yield device


def fetched(found):
    """What came from the device, on the CPU."""
    assert type(found) is OnGPU
    return found.there


def relative_error(found, expected):
    return ((found - expected).abs().max() / expected.abs().max()).item()


def test_the_pretended_device_is_as_strict_as_a_real_one(gpu):
    here, there = torch.ones(2, requires_grad=True), torch.ones(2, device=gpu, requires_grad=True)
    assert there.device == gpu
    with pytest.raises(DeviceError, match="add: tensors of two devices"):
        here + there
    with pytest.raises(DeviceError, match="cpu"):
        there.detach().numpy()
    (there * 3 + torch.tensor(1.0)).sum().backward()
    assert fetched(there.grad).tolist() == [3, 3]
    with repeatable(1), pytest.raises(DeviceError, match="cumsum has no deterministic way"):
        there.cumsum(0)


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"folded"}))  # it makes indices on the CPU
def test_a_kernel_is_computed_where_its_model_is(name, gpu):
    model, x1, x2 = network(name)
    full = ntk(model, x1, x2, "full")
    model, x1, x2 = moved(model), x1.to(gpu), x2.to(gpu)
    for kind in EMPIRICAL_KINDS:
        forced = STRATEGIES if kind == "trace" else ()
        for force in (None, *forced):
            verify = "off" if force else "entries"
            found = empirical_ntk(model, x1, x2, kind=kind, force=force, verify=verify)
            expected = of_kind(full, kind)
            assert relative_error(fetched(found), expected) < 1e-10


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["straight, flattened", "residual batch norm", "attention"])
def test_tiles_come_whole_from_the_device(name, kind, gpu, tmp_path):
    model, x, _ = network(name)
    expected = ntk(model, x, x, kind)
    path = tmp_path / "a.zarr"
    assert write_ntk(path, moved(model), x.to(gpu), kind=kind, tile=2, by_layer=True)
    found = read_store(path, "kernels")
    np.testing.assert_allclose(found["ntk"].values, expected, rtol=1e-10, atol=1e-12)
    layers = found["layer_ntk"].sum("layer")
    np.testing.assert_allclose(layers.values, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("settings", [{}, {"force": "autograd"}, {"memory": "1MB"}])
@pytest.mark.parametrize("name", ["straight, flattened", "residual batch norm", "attention"])
def test_products_are_made_where_the_model_is(name, settings, gpu):
    model, x, _ = network(name)
    expected = ntk(model, x, x, "trace")
    operator = NTKOperator(moved(model), x.to(gpu), **settings)
    found = operator.product(torch.eye(5, dtype=torch.float64))
    assert relative_error(fetched(found), expected) < 1e-10
    np.testing.assert_allclose(operator @ np.eye(5), expected, rtol=1e-8, atol=1e-10)


def test_estimates_of_an_operator_there(gpu):
    model, x, _ = network("straight, flattened", samples=70)
    expected = ntk(model, x, x, "trace")
    operator = NTKOperator(moved(model), x.to(gpu))
    top = largest_eigenvalue(operator, 1e-6).value
    assert top == pytest.approx(np.linalg.eigvalsh(expected)[-1], rel=1e-6)
    trace = xtrace(operator, products=60, seed=0)
    assert abs(trace.value - expected.trace()) < 5 * trace.error + 1e-6
    assert 0 <= cka_with_labels(operator, torch.arange(70) % 2, products=60).value <= 1


@pytest.mark.parametrize("activation", ["relu", "erf"])
@pytest.mark.parametrize("name", test_infinite.NETWORKS)
def test_infinite_kernels_are_computed_where_their_inputs_are(name, activation, gpu):
    layers, shape = test_infinite.network(name, activation=activation)
    x1, x2 = test_infinite.images(7, shape), test_infinite.images(4, shape, 3)
    x2[0] = x1[2]
    for kernel in (infinite_ntk, infinite_nngp):
        for other in (None, x2):
            expected = kernel(layers, x1, other)
            found = kernel(layers, x1.to(gpu), None if other is None else other.to(gpu))
            assert relative_error(fetched(found), expected) < 1e-12


def test_infinite_kernels_of_traced_networks_too(gpu):
    network = torch.nn.Sequential(
        torch.nn.Conv2d(2, 6, 3, padding=1, padding_mode="circular"),
        test_infinite_graphs.Block(6),
        torch.nn.ELU(),
        torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(),
        torch.nn.Linear(6, 2),
    ).eval()
    x1, x2 = test_infinite.images(2, (2, 1, 2)), test_infinite.images(1, (2, 1, 2), 3)
    x2[0] = x1[1]
    found = infinite_ntk(network, x1.to(gpu), x2.to(gpu))
    assert relative_error(fetched(found), infinite_ntk(network, x1, x2)) < 1e-12
    assert relative_error(fetched(found)[1], infinite_ntk(network, x1)[1, 1]) < 1e-9


@pytest.mark.parametrize("options", [{}, {"ridge": 1e-3}, {"ridge": 1e-3, "method": "cg"}])
def test_regression_takes_kernels_of_any_device(options, gpu):
    x = torch.randn(40, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    kernel, targets = x @ x.T + torch.eye(40), x[:, :2].sin()
    expected = KernelRidge(**options).fit(kernel, targets).predict(kernel)
    found = KernelRidge(**options).fit(kernel.to(gpu), targets.to(gpu)).predict(kernel.to(gpu))
    np.testing.assert_allclose(found, expected, rtol=1e-10)


@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
@pytest.mark.parametrize("model", ["mlp", "cnn"])
def test_training_and_kernels_of_a_run(model, loss, run, images_path, tmp_path, monkeypatch, gpu):
    """With all that has no deterministic way on CUDA refused."""
    spec = ModelSpec(kind=model, depth=2, width=8)
    run = run.model_copy(update={"model": spec, "loss": loss})
    plain = contents(train(run.parent, images_path, tmp_path / "cpu"))
    snapshots = trained(run.parent, images_path, tmp_path / "cpu")
    expected = read_store(
        taken(run.parent, KERNEL, images_path, snapshots, tmp_path / "cpu"), "kernels"
    )
    monkeypatch.setattr(task, "choose_device", lambda wish: gpu)
    monkeypatch.setattr(stage, "choose_device", lambda wish: gpu)
    there = contents(train(run.parent, images_path, tmp_path / "gpu"))
    assert there.keys() == plain.keys()
    for name in plain:
        np.testing.assert_allclose(there[name], plain[name], rtol=1e-4, atol=1e-5)
    found = read_store(
        taken(run.parent, KERNEL, images_path, snapshots, tmp_path / "gpu"), "kernels"
    )
    for name in ("ntk", "layer_ntk"):
        if name in expected:
            np.testing.assert_allclose(found[name].values, expected[name].values, rtol=1e-8)
