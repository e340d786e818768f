"""Layers without an infinite-width kernel say why, and what to use in their place."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ntkscope import infinite_ntk
from ntkscope.errors import ModelError

MODULES = {
    "MaxPool2d": (nn.MaxPool2d(2), "maximum.*closed form.*\n.*MaxPool2d.*\n.*average pooling"),
    "AdaptiveMaxPool2d": (nn.AdaptiveMaxPool2d(1), "maximum.*\n.*\n.*average pooling"),
    "LPPool2d": (nn.LPPool2d(2, 2), "norm.*\n.*\n.*average pooling"),
    "BatchNorm2d": (nn.BatchNorm2d(6), r"mixes samples.*\n.*\n.*eval\(\)"),
    "InstanceNorm2d": (nn.InstanceNorm2d(6), "stays random.*\n.*\n.*GroupNorm"),
    "LocalResponseNorm": (nn.LocalResponseNorm(2), "stays random.*\n.*\n.*LayerNorm"),
    "LayerNorm": (nn.LayerNorm((6, 4, 4)), r"positions too.*\n.*\n.*GroupNorm\(1"),
    "ConvTranspose2d": (nn.ConvTranspose2d(6, 6, 2), "place.*\n.*\n.*Upsample"),
    "PixelShuffle": (nn.PixelShuffle(2), "not alike.*\n.*\n.*Upsample"),
    "AlphaDropout": (nn.AlphaDropout(0.5), r"at random.*\n.*\n.*eval\(\)"),
    "PReLU": (nn.PReLU(), "learned.*\n.*\n.*LeakyReLU"),
    "RReLU": (nn.RReLU(), "random.*\n.*\n.*LeakyReLU"),
    "Hardshrink": (nn.Hardshrink(), "jumps.*\n.*\n.*Softshrink"),
    "Threshold": (nn.Threshold(0.1, 0.0), "jumps.*\n.*\n.*continuous"),
    "GLU": (nn.GLU(1), "multiplies.*\n.*\n.*SiLU"),
    "Softmax2d": (nn.Softmax2d(), "depend on each other.*\n.*\n.*logits"),
    "weight_norm": (
        nn.utils.parametrizations.weight_norm(nn.Conv2d(6, 6, 1)),
        "other parameters.*\n.*\n.*remove_parametrizations"),
    "LazyConv2d": (nn.LazyConv2d(6, 1), "sizes.*\n.*\n.*call the network once"),
}  # fmt: skip


@pytest.mark.parametrize("name", MODULES)
def test_modules(name):
    module, says = MODULES[name]
    network = nn.Sequential(nn.Conv2d(2, 6, 3), module, nn.Flatten(), nn.Linear(96, 1))
    with pytest.raises(ModelError, match=says):
        infinite_ntk(network, torch.randn(3, 2, 6, 6))


class Function(nn.Module):
    def __init__(self, function, **parts):
        super().__init__()
        self.function, self.a, self.b = function, nn.Linear(6, 6), nn.Linear(6, 6)
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x):
        return self.function(self, self.a(x))


CALLS = {
    "max_pool1d": (lambda m, h: F.max_pool1d(h, 2), "maximum.*\n.*max_pool1d.*\n.*average"),
    "amax": (lambda m, h: h.amax(1), "maximum.*\n.*\n.*a mean over positions"),
    "max": (lambda m, h: torch.max(h, 1).values, "maximum.*\n.*\n.*a mean over positions"),
    "softmax": (lambda m, h: h.softmax(-1), "depend on each other.*\n.*\n.*GlobalSelfAttention"),
    "attention": (lambda m, h: m.m(h, h, h)[0], "stay random.*\n.*\n.*GlobalSelfAttention"),
    "scaled_dot_product_attention": (
        lambda m, h: F.scaled_dot_product_attention(h, h, h),
        "stay random.*\n.*\n.*GlobalSelfAttention"),
    "encoder": (lambda m, h: m.t(h), "stay random.*\n.*\n.*GlobalSelfAttention"),
    "GRU": (lambda m, h: m.r(h)[0], "used twice.*\n.*\n.*Conv1d"),
    "LSTM": (lambda m, h: m.l(h)[0], "used twice.*\n.*\n.*Conv1d"),
    "Embedding": (lambda m, h: m.e(h), "one-hot.*\n.*\n.*nn.Linear"),
    "gate": (lambda m, h: h * m.b(h), "multiplies.*\n.*\n.*SiLU"),
    "matmul": (lambda m, h: h @ h.mT @ h, "multiplies.*\n.*\n.*GlobalSelfAttention"),
    "layer_norm": (lambda m, h: F.layer_norm(h, (6,)), "module only.*\n.*\n.*nn.LayerNorm"),
    "std": (lambda m, h: h / h.std(-1, keepdim=True), "module only.*\n.*\n.*nn.LayerNorm"),
    "chunk": (lambda m, h: h.chunk(2, -1)[0], "several signals.*\n.*\n.*torch.cat"),
    "sign": (lambda m, h: h.sign(), "jumps.*\n.*\n.*continuous"),
    "fft": (lambda m, h: torch.fft.rfft(h).real, "not known.*\n.*fft.*\n.*use Linear; Conv1d"),
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_calls(name):
    function, says = CALLS[name]
    network = Function(
        function, m=nn.MultiheadAttention(6, 2), t=nn.TransformerEncoderLayer(6, 2),
        r=nn.GRU(6, 6), l=nn.LSTM(6, 6), e=nn.Embedding(3, 6),
    )  # fmt: skip
    with pytest.raises(ModelError, match=says):
        infinite_ntk(network, torch.randn(3, 5, 6))


def test_tokens_are_told_to_be_one_hot():
    network = nn.Sequential(nn.Embedding(9, 6), nn.Flatten(), nn.Linear(30, 1))
    with pytest.raises(ModelError, match="one-hot"):
        infinite_ntk(network, torch.randint(9, (3, 5)))


def test_an_embedding_is_a_linear_layer_of_one_hot_tokens():
    """As `unknown` says: vectors from N(0, 1), whose covariance is 1 of equal tokens, 0 of others.

    NTK of a mean over tokens and a readout: twice the share of equal pairs, the gradients of either
    layer being as large.
    """
    tokens = torch.tensor([[0, 1], [1, 1], [2, 3]])

    class Along(nn.Module):
        def forward(self, x):
            return x.mean(1)

    network = nn.Sequential(nn.Linear(4, 6, bias=False), Along(), nn.Linear(6, 1))
    found = infinite_ntk(network, F.one_hot(tokens, 4).double(), W_std=[2.0, 1.0])
    shares = torch.tensor([[0.5, 0.5, 0.0], [0.5, 1.0, 0.0], [0.0, 0.0, 0.5]]).double()
    torch.testing.assert_close(found, 2 * shares)


@pytest.mark.parametrize("module", [nn.AlphaDropout(0.5), nn.FeatureAlphaDropout(0.5)])
def test_dropouts_of_every_kind_are_nothing_in_evaluation(module):
    x = torch.randn(3, 6).double()
    layers = nn.Linear(6, 6), nn.SELU(), nn.Linear(6, 1)
    plain = infinite_ntk(nn.Sequential(*layers), x)
    with_it = nn.Sequential(*layers[:2], module, layers[2]).eval()
    torch.testing.assert_close(infinite_ntk(with_it, x), plain)


def test_what_is_said_is_of_the_axis_where_it_came_furthest():
    """Samples [channels, places] or [tokens, channels]: which, the first layer tells."""

    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.read = nn.Conv1d(2, 6, 3), nn.Conv1d(6, 6, 1), nn.Linear(12, 1)

        def forward(self, x):
            return self.read(self.b(torch.relu(self.b(torch.relu(self.a(x))))).flatten(1))

    with pytest.raises(ModelError, match="used twice\n  where: module b"):
        infinite_ntk(Twice(), torch.randn(3, 2, 4, dtype=torch.float64))
