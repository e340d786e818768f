"""Infinite-width kernels of plain torch modules, against those of the layers they are."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from ntkscope import empirical_ntk, infinite_nngp, infinite_ntk
from ntkscope.errors import ModelError
from ntkscope.models import (
    Activation,
    AvgPool,
    Conv,
    Dense,
    Flatten,
    GlobalAvgPool,
    build_network,
)
from ntkscope.ntk import infinite_kernels


def images(count=3, shape=(2, 8, 6)):
    return torch.randn(count, *shape, generator=torch.Generator().manual_seed(0)).double()


def mlp(width=7):
    return nn.Sequential(
        nn.Flatten(), nn.Linear(96, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(),
        nn.Linear(width, 3),
    )  # fmt: skip


def cnn(width=7):
    return nn.Sequential(
        nn.Sequential(nn.Conv2d(2, width, 3, padding=1), nn.ReLU(), nn.AvgPool2d(2)),
        nn.Sequential(nn.Conv2d(width, width, 3, padding="same", bias=False), nn.Identity()),
        nn.ReLU(), nn.Dropout(0.3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 3),
    ).eval()  # fmt: skip


def layers_of_cnn(width=7, **scales):
    def of(make, name, inputs, outputs, fan_in, bias=True):
        own = {k: v / math.sqrt(fan_in) if k == "weight_scale" else v for k, v in scales.items()}
        return make(name, inputs, outputs, bias=bias, ntk=bool(scales), **own)

    return (
        of(Conv, "a", 2, width, 18), Activation("relu"), AvgPool(2),
        of(Conv, "b", width, width, 9 * width, bias=False), Activation("relu"), GlobalAvgPool(),
        Flatten(), of(Dense, "c", width, 3, width),
    )  # fmt: skip


@pytest.mark.parametrize("scales", [{}, {"weight_scale": 1.4, "bias_scale": 0.3}])
def test_a_module_is_the_layers_that_it_is_made_of(scales):
    x, stds = images(), {}
    if scales:
        stds = {"W_std": scales["weight_scale"], "b_std": scales["bias_scale"]}
    expected = infinite_kernels(layers_of_cnn(**scales), x)
    torch.testing.assert_close(infinite_ntk(cnn(), x, **stds), expected.ntk, rtol=0, atol=0)
    torch.testing.assert_close(infinite_nngp(cnn(), x, **stds), expected.nngp, rtol=0, atol=0)
    assert not torch.equal(expected.ntk, infinite_ntk(cnn(), x, W_std=1.0))


def test_a_network_that_was_built_has_its_own_scales():
    layers, x = layers_of_cnn(weight_scale=1.4, bias_scale=0.3), images()
    torch.testing.assert_close(
        infinite_ntk(build_network(layers), x), infinite_ntk(layers, x), rtol=0, atol=0
    )
    with pytest.raises(ModelError, match="scales of its own"):
        infinite_ntk(build_network(layers), x, W_std=1.0)
    with pytest.raises(ModelError, match="own scales"):
        infinite_ntk(layers, x, W_std=1.0)


def test_vectors_need_no_flatten():
    x = images()
    expected = infinite_ntk(mlp(), x, W_std=1.2, b_std=0.1)
    found = infinite_ntk(mlp()[1:], x.flatten(1), W_std=1.2, b_std=0.1)
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


def test_each_layer_may_have_its_own_standard_deviations():
    x = images()
    alike = infinite_ntk(mlp(), x, W_std=1.2, b_std=0.1)
    assert torch.equal(infinite_ntk(mlp(), x, W_std=(1.2, 1.2, 1.2), b_std=0.1), alike)
    readout = infinite_ntk(mlp(), x, W_std=(1.2, 1.2, 1.0))
    torch.testing.assert_close(readout, infinite_ntk(mlp(), x, W_std=1.2) / 1.44)
    with pytest.raises(ModelError, match="3 layers with weights"):
        infinite_ntk(mlp(), x, W_std=(1.2, 1.2))
    with pytest.raises(ModelError, match="give W_std too"):
        infinite_ntk(mlp(), x, b_std=0.1)


@pytest.mark.parametrize("network", [lambda: mlp(1000), lambda: cnn(150)])
def test_wide_networks_as_torch_initialises_them_agree(network):
    torch.manual_seed(0)
    x = images()
    drawn = torch.stack([empirical_ntk(network().double(), x) for _ in range(6)])
    off = (drawn.mean(0) - infinite_ntk(network(), x)).norm()
    assert drawn.std(0).norm() / 6**0.5 < 0.08 * drawn.mean(0).norm()
    assert off < 3 * drawn.std(0).norm() / 6**0.5


@pytest.mark.parametrize(
    ("module", "says"),
    [
        (nn.BatchNorm2d(2), "1 = BatchNorm2d"),
        (nn.ConvTranspose2d(2, 2, 3, padding=1), "1 = ConvTranspose2d"),
        (nn.MaxPool2d(2), "1 = MaxPool2d"),
        (nn.Dropout(0.5), "at random.*\n.*module 1 = .*\n.*eval"),
        (nn.Linear(6, 6).requires_grad_(False), "frozen"),
        (nn.Flatten(0), "1 = Flatten"),
    ],
)
def test_what_is_not_known_is_refused_by_name(module, says):
    network = nn.Sequential(nn.Conv2d(2, 2, 3, padding=1), module, nn.Flatten(), nn.Linear(96, 3))
    with pytest.raises(ModelError, match=says):
        infinite_ntk(network, images())


def test_shared_weights_and_networks_of_other_kinds_are_refused():
    once = nn.Linear(96, 96)
    with pytest.raises(ModelError, match=r"used twice\n.*module 1"):
        infinite_ntk(nn.Sequential(nn.Flatten(), once, nn.ReLU(), once), images())
    with pytest.raises(ModelError, match="weights that are used twice"):
        infinite_ntk(nn.LSTM(3, 3), images())


def _hooked():
    layer = nn.ReLU()
    layer.register_forward_hook(lambda module, args, output: 3 * output)
    return layer


@pytest.mark.parametrize(
    ("modules", "match"),
    [
        ((nn.ReLU(), nn.Linear(4, 8), nn.ReLU()), "not Gaussian"),
        ((nn.Linear(4, 8), nn.Tanh(), nn.ReLU()), "kinks"),
        ((nn.Linear(4, 8), _hooked()), "hooks"),
    ],
)
def test_what_has_another_limit_is_refused(modules, match):
    network = nn.Sequential(*modules, nn.Linear(8, 1))
    with pytest.raises(ModelError, match=match):
        infinite_ntk(network, torch.randn(3, 4), W_std=1.5, b_std=0.1)


@pytest.mark.parametrize("std", [np.float32(1.5), torch.tensor(1.5), np.array([1.5, 1.5])])
def test_standard_deviations_of_numpy_and_torch_are_numbers(std):
    network = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 1))
    x = torch.randn(3, 2)
    assert torch.equal(infinite_ntk(network, x, W_std=std), infinite_ntk(network, x, W_std=1.5))
