"""Anything that torch can differentiate has a kernel: at worst one sample at a time."""

import pytest
import torch
from torch import nn

from ntkscope.errors import ModelError
from ntkscope.ntk import empirical_ntk, plan_ntk, write_ntk
from ntkscope.ntk.empirical.last_resort import is_last_resort, one_at_a_time
from ntkscope.ntk.empirical.planner import make_plan
from ntkscope.ntk.operator import NTKOperator
from ntkscope.stores import read_store
from tests.oracles.ntk import of_kind
from tests.oracles.one_by_one import full_ntk
from tests.oracles.unusual_networks import NAMES, WIDTH, Net, unusual

torch.set_num_threads(1)
pytestmark = pytest.mark.filterwarnings("ignore:There is a performance drop")


def error(found, expected):
    scale = expected.abs().max()
    return ((found.reshape(expected.shape).double() - expected).abs().max() / scale).item()


@pytest.mark.parametrize("name", NAMES)
def test_a_kernel_equals_its_definition(name):
    model, x1, x2 = unusual(name)
    whole, across = full_ntk(model, x1), full_ntk(model, x1, x2)
    for kind in ("trace", "full", "pseudo", "diagonal"):
        assert error(empirical_ntk(model, x1, kind=kind), of_kind(whole, kind)) < 1e-10
        assert error(empirical_ntk(model, x1, x2, kind=kind), of_kind(across, kind)) < 1e-10


@pytest.mark.parametrize("name", NAMES)
def test_one_sample_and_one_row(name):
    model, x1, x2 = unusual(name)
    row = of_kind(full_ntk(model, x1[:1], x2), "trace")
    assert error(empirical_ntk(model, x1[:1]), of_kind(full_ntk(model, x1[:1]), "trace")) < 1e-10
    assert error(empirical_ntk(model, x1[:1], x2), row) < 1e-10
    assert error(empirical_ntk(model, x2, x1[:1]).T, row) < 1e-10


@pytest.mark.parametrize("name", NAMES)
def test_layers_sum_to_the_whole(name):
    model, x1, x2 = unusual(name)
    layers = empirical_ntk(model, x1, x2, by_layer=True, chunk=3)
    assert error(sum(layers.values()), of_kind(full_ntk(model, x1, x2), "trace")) < 1e-10


@pytest.mark.parametrize("name", NAMES)
def test_an_operator_equals_its_definition(name):
    model, x1, x2 = unusual(name)
    for rows, columns in ((x1, None), (x1, x2), (x1[:1], x2)):
        other = len(rows if columns is None else columns)
        expected = of_kind(full_ntk(model, rows, columns), "trace")
        operator = NTKOperator(model, rows, columns)
        found = operator @ torch.eye(other, dtype=torch.float64)
        assert error(found, expected) < 1e-10
        back = operator.T @ torch.eye(len(rows), dtype=torch.float64)
        assert error(back, expected.T) < 1e-10


@pytest.mark.parametrize("name", ["routed experts", "LSTM", "complex parameters"])
def test_an_operator_of_all_outputs_and_its_diagonal(name):
    model, x1, _ = unusual(name)
    expected = full_ntk(model, x1).flatten(2).flatten(0, 1)
    operator = NTKOperator(model, x1, kind="full", chunk=2)
    assert error(operator @ torch.eye(14, dtype=torch.float64), expected) < 1e-10
    assert error(operator.diagonal(), expected.diagonal()) < 1e-10
    trace = NTKOperator(model, x1).diagonal()
    assert error(trace, empirical_ntk(model, x1).diagonal()) < 1e-10


def test_parameters_of_two_dtypes_have_the_kernel_of_the_wider():
    torch.manual_seed(0)
    model = Net(
        lambda net, x: net.h(torch.tanh(net.a(x)).double()),
        a=nn.Linear(WIDTH, WIDTH),
        h=nn.Linear(WIDTH, 2).double(),
    )
    x = torch.randn(5, WIDTH)
    expected = of_kind(full_ntk(model, x), "trace")
    found = empirical_ntk(model, x)
    assert found.dtype == torch.float64
    assert error(found, expected) < 1e-6
    assert error(NTKOperator(model, x) @ torch.eye(5), expected) < 1e-6


def test_a_scripted_network_has_the_kernel_of_its_source():
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3)), torch.randn(5, 6)
    with pytest.warns(Warning, match="deprecated"):
        scripted = torch.jit.script(model)
    assert error(empirical_ntk(scripted, x), empirical_ntk(model, x).double()) < 1e-6


@pytest.mark.parametrize("name", ["routed experts", "real tokens only", "LSTM"])
def test_a_plan_and_a_store_of_what_the_first_samples_do_not_show(name, tmp_path):
    model, x1, _ = unusual(name)
    expected = of_kind(full_ntk(model, x1), "trace")
    assert error(empirical_ntk(model, x1, plan=plan_ntk(model, x1)), expected) < 1e-10
    assert write_ntk(tmp_path / "k.zarr", model, x1, tile=3)
    stored = torch.from_numpy(read_store(tmp_path / "k.zarr", "kernels").ntk.values)
    assert error(stored, expected) < 1e-10


def test_a_plan_of_the_last_resort_foresees_the_memory_of_its_gradients():
    model, x, _ = unusual("routed experts")
    plan = one_at_a_time(make_plan(model, x, None, "trace"))
    size = sum(p.numel() for p in model.parameters())
    assert is_last_resort(plan) and plan.gradient_bytes == 8 * 2 * size


def test_ordinary_networks_do_not_take_the_last_resort():
    x = torch.randn(4, WIDTH)
    model = nn.Sequential(nn.Linear(WIDTH, 4), nn.Tanh(), nn.Linear(4, 2))
    assert {layer.strategy for layer in make_plan(model, x, None, "trace").layers} == {"factored"}


@pytest.mark.parametrize(("n", "m"), [(0, None), (0, 3), (3, 0)])
def test_no_samples_have_an_empty_kernel(n, m):
    model, x = nn.Sequential(nn.Linear(6, 4), nn.Linear(4, 2)), torch.randn(3, 6)
    others = None if m is None else x[:m]
    rows, columns = n, n if m is None else m
    shapes = {
        "trace": (rows, columns),
        "pseudo": (rows, columns),
        "diagonal": (rows, columns, 2),
        "full": (rows, 2, columns, 2),
    }
    for kind, shape in shapes.items():
        assert empirical_ntk(model, x[:n], others, kind=kind).shape == shape
        layers = empirical_ntk(model, x[:n], others, kind=kind, by_layer=True)
        assert {name: tuple(k.shape) for name, k in layers.items()} == {"0": shape, "1": shape}
    with pytest.raises(ModelError, match="no samples"):
        NTKOperator(model, x[:n], others)
    with pytest.raises(ModelError, match="no samples"):
        plan_ntk(model, x[:n], others)
