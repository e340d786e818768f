"""Infinite width of traced modules: against neural-tangents, the fast way, and wide networks."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from ntkscope.ntk import infinite_kernels
from ntkscope.ntk.infinite import GlobalSelfAttention

STORED = json.loads(
    (Path(__file__).parents[2] / "oracles" / "neural_tangents_graphs.json").read_text()
)
W_STD, B_STD = STORED["weight_std"], STORED["bias_std"]


def stored_inputs(kind):
    x = torch.tensor(STORED["inputs"][kind], dtype=torch.float64)
    return x.movedim(-1, 1) if kind == "images" else x


def error(found, expected):
    expected = torch.as_tensor(expected, dtype=torch.float64)
    return ((found.double() - expected).abs().max() / expected.abs().max()).item()


class Residual(nn.Sequential):
    def forward(self, x):
        return x + super().forward(x)


class Along(nn.Module):
    """The mean over tokens."""

    def forward(self, x):
        return x.mean(1)


class Sine(nn.Module):
    def forward(self, x):
        return torch.sin(1.7 * x + 0.3)


class Absolute(nn.Module):
    def forward(self, x):
        return x.abs()


def plain_norm(width):
    return nn.LayerNorm(width, elementwise_affine=False)


def as_neural_tangents(name, w=7):
    def d(inputs=w):
        return nn.Linear(inputs, w)

    def c(inputs=w, size=3, **how):
        return nn.Conv2d(inputs, w, size, **({"padding": size // 2} | how))

    def attention():
        return GlobalSelfAttention(w, w, bias=False)

    relu = nn.ReLU()
    found = {
        "residual": lambda: (
            d(6), Residual(relu, d()), Residual(relu, d(), nn.Sequential(Erf(), d())), relu
        ),
        "leaky": lambda: (d(6), nn.LeakyReLU(0.2), d(), Absolute()),
        "sine": lambda: (d(6), Sine()),
        "gelu": lambda: (d(6), nn.GELU()),
        "norm": lambda: (d(6), plain_norm(w), relu, d(), plain_norm(w)),
        "resnet": lambda: (
            c(2), Residual(relu, c(), nn.ReLU(), c()), relu, c(stride=2, padding=0),
            Residual(relu, c(size=1)), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        ),
        "pools": lambda: (
            c(2), relu, nn.AvgPool2d(3, 2), c(), nn.ReLU(inplace=True), nn.Flatten(),
        ),
        "attention": lambda: (
            d(3), Residual(attention()), plain_norm(w), Residual(d(), relu, d()), attention(),
            Along(),
        ),
    }[name]()  # fmt: skip
    readout = nn.Linear(28 if name == "pools" else w, w)
    return nn.Sequential(*found, readout)


class Erf(nn.Module):
    def forward(self, x):
        return x.erf()


def stds(network):
    """Those of neural-tangents, in which one attention has no biases."""
    return {"W_std": W_STD, "b_std": B_STD, "normal_biases": True}


@pytest.mark.parametrize("name", STORED["cases"])
def test_equals_neural_tangents(name):
    case, network = STORED["cases"][name], as_neural_tangents(name)
    x = stored_inputs(case["inputs"])
    if name == "pools":
        assert x.shape[2:] == (6, 5)
        network[-1] = nn.Linear(7 * 2 * 2, 7)
    found = infinite_kernels(network, x[:3], x[3:], **stds(network))
    tolerance = 1e-9 if name == "leaky" else 1e-10  # an absolute value, by quadrature
    assert error(found.nngp, case["nngp"]) < tolerance
    assert error(found.ntk, case["ntk"]) < tolerance
