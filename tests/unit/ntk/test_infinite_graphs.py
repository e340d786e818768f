"""Infinite width of traced modules: against neural-tangents, the fast way, and wide networks."""

import doctest
import importlib
import json
import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ntkscope import empirical_ntk, infinite_ntk
from ntkscope.errors import ModelError
from ntkscope.ntk import infinite_kernels
from ntkscope.ntk.infinite import GlobalSelfAttention
from ntkscope.ntk.infinite.dual_activations import numeric_dual
from ntkscope.ntk.infinite.graph.activations import elementwise_module
from ntkscope.ntk.infinite.graph.kernels import graph_kernels
from ntkscope.ntk.infinite.graph.program import as_program

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
    assert error(found.nngp, case["nngp"]) < 1e-11
    assert error(found.ntk, case["ntk"]) < 1e-11


def of_graph(network, x, x2=None, stds=(None, None), tile=None):
    with torch.no_grad():
        program = as_program(network, x, stds, False)
        return graph_kernels(program, x, x2, ("nngp", "ntk"), tile)


SEQUENCES = {
    "mlp": ((6,), [nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 2)]),
    "cnn": (
        (2, 6, 4),
        [nn.Conv2d(2, 8, 3, padding=1), nn.ReLU(), nn.AvgPool2d(2),
         nn.Conv2d(8, 8, 5, padding=2, bias=False), nn.GELU(), nn.Flatten(), nn.Linear(48, 2)],
    ),
    "global": (
        (1, 5, 4),
        [nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
         nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("stds", [(None, None), (1.4, 0.2)])
@pytest.mark.parametrize("name", SEQUENCES)
def test_both_ways_agree_on_plain_sequences(name, stds):
    shape, layers = SEQUENCES[name]
    torch.manual_seed(0)
    x, network = torch.randn(4, *shape).double(), nn.Sequential(*layers)
    x[1], x[2] = x[3], 0
    expected = infinite_kernels(network, x, W_std=stds[0], b_std=stds[1])
    for found, whole in zip(of_graph(network, x, stds=stds), expected, strict=True):
        assert error(found, whole) < 1e-12
        assert torch.equal(found, found.T)
    for tiled, whole in zip(of_graph(network, x, x[:3], stds, 5), expected, strict=True):
        assert error(tiled, whole[:, :3]) < 1e-12


def test_an_activation_behind_flatten_is_the_one_before():
    torch.manual_seed(0)
    x, conv, read = torch.randn(3, 2, 4, 4), nn.Conv2d(2, 8, 3, padding=1), nn.Linear(128, 2)
    before = infinite_ntk(nn.Sequential(conv, nn.ReLU(), nn.Flatten(), read), x)
    assert torch.equal(infinite_ntk(nn.Sequential(conv, nn.Flatten(), nn.ReLU(), read), x), before)


CONVOLUTIONS = {
    "stride": nn.Conv2d(2, 3, 3, stride=2, padding=1),
    "valid": nn.Conv2d(2, 3, (3, 2), bias=False),
    "dilated": nn.Conv2d(2, 3, 2, dilation=2, padding=(1, 2)),
    "circular": nn.Conv2d(2, 3, 3, padding=2, padding_mode="circular"),
    "reflect": nn.Conv2d(2, 3, 3, padding="same", padding_mode="reflect"),
    "line": nn.Conv1d(2, 3, 4, stride=3, padding=2),
    "volume": nn.Conv3d(2, 3, 2, padding=(1, 0, 1)),
}


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_a_convolution_is_the_mean_over_its_weights(name):
    """Linear in weights, so that E[y y'] and the kernel are sums over unit weights."""
    conv = CONVOLUTIONS[name].double()
    shape = {"line": (2, 7), "volume": (2, 3, 2, 2)}.get(name, (2, 5, 4))
    x = torch.randn(3, *shape, generator=torch.Generator().manual_seed(0)).double()
    fan_in = conv.weight[0].numel()
    made = nn.utils.skip_init(type(conv), **{
        "in_channels": 2, "out_channels": fan_in, "bias": False, "stride": conv.stride,
        "kernel_size": conv.kernel_size, "padding": conv.padding, "dilation": conv.dilation,
        "padding_mode": conv.padding_mode,
    }).double()  # fmt: skip
    with torch.no_grad():
        made.weight.copy_(torch.eye(fan_in).view_as(made.weight))
        patches = made(x).flatten(2).transpose(1, 2)  # [N, P, fan-in]
    places, bias = patches.shape[1], float(conv.bias is not None)
    network = nn.Sequential(conv, nn.Flatten(), nn.Linear(3 * places, 1, bias=False))
    S = torch.einsum("npf,mpf->nm", patches, patches) / places
    variance = 1 / (3 * fan_in)
    nngp, ntk = of_graph(network, x)
    assert error(nngp, variance * (S + bias) / 3) < 1e-12
    width = 3 * places  # gradients of the readout's weights sum, those of the convolution's average
    assert error(ntk, width * variance * (S + bias) + (S + bias) / 3) < 1e-12


class Function(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def between(*middle, width=6, inputs=3, after=6):
    return nn.Sequential(nn.Linear(inputs, width), *middle, nn.Linear(after, 2))


def vectors(n=3):
    return torch.randn(n, 3, generator=torch.Generator().manual_seed(1)).double()


SAME_FUNCTIONS = {
    "swish by hand": (lambda z: z * torch.sigmoid(z), nn.SiLU()),
    "x + relu": (lambda z: 2 * (z + F.relu(z)) / 2 - z, nn.ReLU()),
    "leaky": (lambda z: F.relu(z) - 0.1 * F.relu(-z), nn.LeakyReLU(0.1)),
    "gelu": (lambda z: F.gelu(z, approximate="none"), nn.GELU()),
    "tanh of relu": (lambda z: torch.tanh(F.relu(z)), None),
    "in place": (lambda z: F.relu(z, inplace=True), nn.ReLU()),
    "square": (lambda z: z**2, Function(lambda z: z * z)),
    "softplus": (lambda z: torch.nn.functional.softplus(z, 2.0), nn.Softplus(2.0)),
    "nothing": (lambda z: F.dropout(z, 0.5, training=False).relu(), nn.ReLU()),
}


@pytest.mark.parametrize("name", SAME_FUNCTIONS)
def test_functions_of_one_preactivation_are_one_activation(name):
    function, module = SAME_FUNCTIONS[name]
    x = vectors()
    found = infinite_kernels(between(Function(function)), x, W_std=1.3, b_std=0.3)
    if module is not None:
        expected = infinite_kernels(between(module), x, W_std=1.3, b_std=0.3)
        for one, other in zip(found, expected, strict=True):
            assert error(one, other) < 1e-10
    assert not torch.allclose(found.ntk, infinite_ntk(between(), x, W_std=1.3, b_std=0.3))
    assert torch.linalg.eigvalsh(found.nngp)[0] > 0


ACTIVATIONS = [
    *(nn.ELU(0.7), nn.SELU(), nn.CELU(2.0), nn.Softsign(), nn.ReLU6(), nn.Hardtanh(-0.5, 1.5)),
    *(nn.Hardswish(), nn.Hardsigmoid(), nn.Softshrink(0.3), nn.LeakyReLU(0.2)),
    *(nn.Sigmoid(), nn.SiLU(), nn.Mish(), nn.Tanhshrink(), nn.LogSigmoid(), nn.GELU("tanh")),
]


@pytest.mark.parametrize("module", ACTIVATIONS, ids=lambda m: type(m).__name__)
def test_activations_equal_the_integral(module):
    """By a fine grid in two dimensions, which kinks spoil to 1e-4, and Price's theorem."""
    phi, known = elementwise_module(module)
    dual = known or numeric_dual(phi)
    q1, q2, rho = torch.tensor([1.0, 0.4]), torch.tensor([1.0, 3.0]), torch.tensor([-0.6, 0.8])
    q1, q2, rho = q1.double(), q2.double(), rho.double()
    s = (q1 * q2).sqrt()
    value, slope = dual.pair(rho * s, q1, q2)
    step = 1e-3
    up, down = (dual.pair((rho + sign * step) * s, q1, q2)[0] for sign in (1, -1))
    torch.testing.assert_close((up - down) / (2 * step * s), slope, rtol=1e-5, atol=1e-6)
    z = torch.linspace(-8, 8, 1601).double()
    w = (-(z**2) / 2).exp() * 0.01 / math.sqrt(2 * math.pi)
    for i in range(2):
        u, v = q1[i].sqrt() * z, q2[i].sqrt() * (rho[i] * z[:, None] + (1 - rho[i] ** 2).sqrt() * z)
        expected = w @ (module(u)[:, None] * module(v)) @ w
        assert abs(float(value[i] - expected)) < 2e-5
    for one, other in zip(dual.same(q1), dual.pair(q1, q1, q1), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-7, atol=1e-7)


class Parts(nn.Module):
    """A forward over layers a, b, c, d, read of width w."""

    def __init__(self, function, w=6, inputs=3, **parts):
        super().__init__()
        self.function = function
        for name in "abcd":
            setattr(self, name, nn.Linear(inputs if name == "a" else w, w))
        self.read = nn.Linear(w, 2)
        self.conv = nn.Conv1d(w, w, 1)
        self.free = nn.Parameter(torch.zeros(w))
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x):
        return self.function(self, x)


def with_sums(one, other):
    """Kernels of m.read of one(m, a(x)) and of other(m, a(x))."""
    torch.manual_seed(0)
    found = [
        infinite_kernels(
            Parts(lambda m, x, f=f: m.read(f(m, m.a(x)))), vectors(), W_std=1.3, b_std=0.2
        )
        for f in (one, other)
    ]
    return zip(*found, strict=True)


def test_what_two_sums_share_is_added_once():
    def again(m, h):
        return (h + m.b(h)) + (h + m.c(h))

    for left, right in with_sums(again, lambda m, h: 2 * h + m.b(h) + m.c(h)):
        assert error(left, right) < 1e-14
    for left, right in with_sums(lambda m, h: h + m.b(h) - h, lambda m, h: m.b(h)):
        assert error(left, right) < 1e-14


def test_sums_may_have_factors():
    sums = (
        (lambda m, h: torch.add(h, m.b(h), alpha=0.5), lambda m, h: h + m.b(h) * 0.5),
        (lambda m, h: torch.sub(m.b(h), h, alpha=2), lambda m, h: 2 * h - m.b(h)),
        (lambda m, h: h.sub(m.b(h), alpha=3).neg(), lambda m, h: h - (-3) * m.b(h)),
        (lambda m, h: (h - h.shape[1] ** 0.5 * m.b(h)) / 2, lambda m, h: h / 2 + 1.5**0.5 * m.b(h)),
        (lambda m, h: m.b(torch.tanh(1 - h)), lambda m, h: m.b(-torch.tanh(-(1 - h)))),
    )
    for one, other in sums:
        for left, right in with_sums(one, other):
            assert error(left, right) < 1e-14


def test_a_scaled_branch_counts_by_the_square():
    def scaled(m, x):
        h = m.a(x)
        return m.read(h - 0.5 * m.b(torch.relu(h)) / 2)

    x = vectors()
    nngp, ntk = infinite_kernels(Parts(scaled), x, W_std=1.0)
    base = infinite_kernels(Parts(lambda m, x: m.read(m.a(x))), x, W_std=1.0)
    branch = infinite_kernels(Parts(lambda m, x: m.read(m.b(m.a(x).relu()))), x, W_std=1.0)
    assert error(nngp, base.nngp + branch.nngp / 16) < 1e-14
    # the readout's gradient is the covariance; a parameter of both branches counts in each
    assert error(ntk, base.ntk + branch.ntk / 16) < 1e-14


def image(n=3):
    return torch.randn(n, 2, 4, 4, generator=torch.Generator().manual_seed(1)).double()


def test_tokens_patches_slices_and_sizes_are_seen_through():
    def patches():
        return nn.Conv2d(2, 6, 2, stride=2)

    def both(*forwards):
        made = [Parts(f, patch=patches()) for f in forwards]
        return zip(*[infinite_kernels(m, image()) for m in made], strict=True)

    def first_token(m, x):
        return m.read(m.patch(x).relu().flatten(2).mT[:, 0])

    def first_pixel(m, x):
        return m.read(m.patch(x[:, :, :2, :2]).relu().flatten(1))

    def by_tokens(m, x):
        return m.read(m.patch(x).relu().flatten(2).transpose(1, 2).mean(dim=1))

    def by_view(m, x):
        x = m.patch(x).relu()
        return m.read(x.view(x.shape[0], x.size(1), -1).permute(0, 2, 1).sum(1) / 4)

    def by_pool(m, x):
        return m.read(torch.flatten(F.adaptive_avg_pool2d(F.relu(m.patch(x)), (1, 1)), 1))

    for pair in ((first_token, first_pixel), (by_tokens, by_view), (by_tokens, by_pool)):
        for left, right in both(*pair):
            assert error(left, right) < 1e-14


def test_norms_without_learned_factors_are_divisions():
    """LayerNorm is cosine similarity; with factors and shifts its own NTK is K + 1."""

    def normed(m, x):
        return m.read(m.norm(m.a(x)))

    x = vectors()
    K = x @ x.T / 3
    cosine = K / torch.outer(K.diagonal().sqrt(), K.diagonal().sqrt())
    norms = (
        nn.LayerNorm(6, eps=0.0),
        nn.GroupNorm(2, 6, eps=0.0),
        nn.RMSNorm(6, eps=0.0),
        nn.LayerNorm(6, eps=0.0, elementwise_affine=False),
    )
    for norm in norms:
        nngp, ntk = infinite_kernels(Parts(normed, norm=norm), x, W_std=1.0)
        assert error(nngp, cosine) < 1e-13
        weight, bias = (getattr(norm, name, None) is not None for name in ("weight", "bias"))
        assert error(ntk, (2 + weight) * cosine + bias) < 1e-13
    batch = nn.BatchNorm1d(6, eps=1.0).eval()
    nngp, ntk = infinite_kernels(Parts(normed, norm=batch).eval(), x, W_std=1.0)
    assert error(nngp, K / 2) < 1e-13
    assert error(ntk, 3 * K / 2 + 1) < 1e-13


REFUSED = {
    "inputs in a sum": (lambda m, x, h: m.read(m.e(x) + x), "inputs themselves"),
    "norm beside its input": (lambda m, x, h: m.read(h + m.n(h)), "correlated"),
    "two means": (lambda m, x, h: m.read(h.relu() + m.e(x).relu()), "both branches have a mean"),
    "a product": (lambda m, x, h: m.read(h * m.e(x)), "multiplies two signals"),
    "an activation of a sum with a mean": (
        lambda m, x, h: m.read(torch.relu(h.relu() + m.b(h))), "not Gaussian"),
    "an activation of the inputs": (lambda m, x, h: m.read(m.e(torch.tanh(x))), "not Gaussian"),
    "a norm behind an activation": (lambda m, x, h: m.read(m.n(h.relu())), "not Gaussian"),
    "a parameter by itself": (lambda m, x, h: m.read(h + m.free), "by itself"),
    "a layer twice": (lambda m, x, h: m.read(m.b(m.b(h))), "used twice"),
    "a branch on values": (lambda m, x, h: m.read(h) if x.sum() > 0 else x, "torch.fx"),
    "a part without gradients": (
        lambda m, x, h: m.read(torch.no_grad()(m.b)(h)), "gradients are switched off"),
    "data without its history": (lambda m, x, h: m.read(h.data.relu()), "not known"),
    "a kink of a function": (lambda m, x, h: m.read(torch.relu(h.sin())), "kinks"),
    "softmax": (lambda m, x, h: m.read(h.softmax(-1)), "depend on each other\n.*method softmax"),
    "concatenation of samples": (
        lambda m, x, h: m.read(torch.cat([h, m.e(x)])), "function cat.*\n.*channels only"),
    "a mean of channels": (lambda m, x, h: m.read(h.mean(1, keepdim=True)), "method mean"),
    "dropout": (lambda m, x, h: m.read(F.dropout(h)), "at random"),
    "no readout": (lambda m, x, h: h.relu(), "no Gaussians"),
    "two outputs": (lambda m, x, h: (m.read(h), x), "one tensor"),
    "written in place and read again": (
        lambda m, x, h: m.read(m.b(F.relu(h, inplace=True)) + h), "read again"),
    "added in place and read again": (
        lambda m, x, h: m.read(m.b(h.add_(m.e(x))) + h), "read again"),
    "what dropout gave back, in place": (
        lambda m, x, h: m.read(F.relu(F.dropout(h, 0.5, False), inplace=True) + m.e(x) + h),
        "read again"),
    "what a module of dropout gave back, in place": (
        lambda m, x, h: m.read(F.relu(m.d(h), inplace=True) + m.e(x) + h), "read again"),
    "another size": (lambda m, x, h: m.read(h[:, :3]), "not known"),
    "attention": (lambda m, x, h: m.m(x, x, x)[0], "GlobalSelfAttention"),
    "prelu": (lambda m, x, h: m.read(m.p(h)), "PReLU"),
    "single channels as groups": (lambda m, x, h: m.read(m.g(h)), "single channels"),
    "trained statistics": (lambda m, x, h: m.read(m.s(h)), "untrained"),
    "a window that is too large": (
        lambda m, x, h: m.read(F.avg_pool1d(h[:, :, None], 3).flatten(1)), "it fails"),
    "a view that mixes samples": (lambda m, x, h: m.read(h.view(2, -1)), "function|method view"),
    "a convolution without room": (
        lambda m, x, h: m.read(m.wide(h[:, :, None]).flatten(1)), "window is larger"),
    "noise": (lambda m, x, h: m.read(h + torch.randn(3, 6)), "by itself"),
    "an embedding": (lambda m, x, h: m.read(m.t(x)), "Embedding"),
}  # fmt: skip


def parts(function, name):
    w = 3 if name == "inputs in a sum" else 6
    trained = nn.BatchNorm1d(6).eval()
    trained.running_var.fill_(2)
    return Parts(
        function, e=nn.Linear(3, w), read=nn.Linear(w, 2), n=nn.LayerNorm(6),
        m=nn.MultiheadAttention(3, 1), p=nn.PReLU(), g=nn.GroupNorm(6, 6), s=trained,
        t=nn.Embedding(3, 6), wide=nn.Conv1d(6, 6, 3), d=nn.Dropout2d().eval(),
    )  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_known_is_refused(name):
    function, says = REFUSED[name]
    network = parts(lambda m, x: function(m, x, m.a(x)), name)
    with pytest.raises(ModelError, match=says):
        infinite_ntk(network, vectors())


def test_tied_weights_of_two_layers_are_refused():
    network = between(nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 6))
    network[3].weight = network[1].weight
    with pytest.raises(ModelError, match="used twice"):
        infinite_ntk(network, vectors())


def test_a_network_and_its_inputs_are_left_as_they_were():
    class Remembers(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.kept = nn.Linear(3, 2), None

        def forward(self, x):
            self.kept = x
            return self.a(x)

    network, x = Remembers(), vectors()
    before = x.clone()
    assert infinite_ntk(network, x).shape == (3, 3)
    assert network.kept is None
    assert torch.equal(x, before)
    assert infinite_ntk(network, x.float()).dtype == torch.float32
    assert infinite_ntk(network, x, x[:0]).shape == (3, 0)
    assert infinite_ntk(network, x[:0]).shape == (0, 0)


class Transformer(nn.Module):
    def __init__(self, w):
        super().__init__()
        self.patch, self.read = nn.Conv2d(2, w, 2, stride=2), nn.Linear(w, 2)
        self.first, self.second, self.last = (nn.LayerNorm(w) for _ in range(3))
        self.attention = GlobalSelfAttention(w, w, heads=2)
        self.hidden = nn.Sequential(nn.Linear(w, 2 * w), nn.GELU(), nn.Linear(2 * w, w))

    def forward(self, x):
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = x + self.attention(self.first(x))
        x = x + self.hidden(self.second(x))
        return self.read(self.last(x).mean(dim=1))


class Block(nn.Module):
    def __init__(self, w):
        super().__init__()
        self.norm, self.other = nn.BatchNorm2d(w), nn.GroupNorm(2, w)
        self.conv = nn.Conv2d(w, w, 3, padding=1, bias=False)
        self.last = nn.Conv2d(w, w, 3, padding=1)

    def forward(self, x):
        return x + self.last(F.relu(self.other(self.conv(F.relu(self.norm(x))))))


def resnet(w):
    return nn.Sequential(
        nn.Conv2d(2, w, 3, stride=2, padding=1), Block(w), nn.Conv2d(w, w, 1, stride=2), Block(w),
        nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(w, 2),
    ).eval()  # fmt: skip


def functions(w):
    def forward(m, x):
        h = m.a(x)
        h = h + 0.5 * m.b(h * torch.sigmoid(h) + h)
        h = m.rms(F.elu(h) - m.c(F.hardtanh(h)))
        return m.read(h + m.d(h))

    return Parts(forward, w, inputs=4, rms=nn.RMSNorm(w))


WIDE = {"transformer": (Transformer, (2, 4, 4)), "resnet": (resnet, (2, 5, 5)),
        "functions": (functions, (4,))}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", WIDE)
def test_wide_networks_approach_the_limit_as_one_over_the_root_of_the_width(name):
    make, shape = WIDE[name]
    torch.manual_seed(0)
    x, distances = torch.randn(3, *shape).double(), []
    for width in (48, 192, 768 if name == "functions" else 384):
        limit = infinite_ntk(make(width), x)
        drawn = [empirical_ntk(make(width).double(), x, verify="off") for _ in range(10)]
        off = torch.stack([(K - limit).norm() / limit.norm() for K in drawn])
        mean = torch.stack(drawn).mean(0)
        spread = torch.stack(drawn).std(0).norm() / 10**0.5
        assert (mean - limit).norm() < 3 * spread + 0.5 / width * limit.norm()
        distances.append((math.log(width), math.log(off.mean())))
    (first, high), (last, low) = distances[0], distances[-1]
    assert -0.65 < (low - high) / (last - first) < -0.35


@pytest.mark.parametrize("module", ["api", "attention"])
def test_the_examples_run(module):
    found = doctest.testmod(importlib.import_module(f"ntkscope.ntk.infinite.{module}"))
    assert found.attempted > 5
    assert found.failed == 0


class WithItsNumberOfSamples(nn.Module):
    """Two layers, and something between them that may depend on how many samples there are."""

    def __init__(self, between):
        super().__init__()
        self.first, self.last, self.between = nn.Linear(6, 8), nn.Linear(8, 1), between

    def forward(self, x):
        return self.last(self.between(torch.relu(self.first(x)), x))


@pytest.mark.parametrize(
    "between",
    [
        lambda h, x: h / x.shape[0],
        lambda h, x: h * x.size(0),
        lambda h, x: h * (1 / x.shape[0]),
        lambda h, x: h / x.size(dim=0) ** 0.5,
        lambda h, x: h + x.size()[0],
    ],
)
def test_a_kernel_that_changes_with_the_number_of_samples_is_refused(between):
    x = torch.randn(5, 6, dtype=torch.float64)
    with pytest.raises(ModelError, match="no infinite-width kernel"):
        infinite_ntk(WithItsNumberOfSamples(between), x)


def test_the_number_of_samples_may_be_of_a_shape():
    x = torch.randn(5, 6, dtype=torch.float64)
    expected = infinite_ntk(WithItsNumberOfSamples(lambda h, x: h), x)
    for between in (
        lambda h, x: h.view(x.shape[0], -1),
        lambda h, x: h.view(x.size(0) * x.shape[1] // 6, h.size(1)),
    ):
        torch.testing.assert_close(infinite_ntk(WithItsNumberOfSamples(between), x), expected)
