"""Groups of channels and joined channels at infinite width: identities, and wide networks."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ntkscope import empirical_ntk, infinite_ntk
from ntkscope.errors import ModelError
from ntkscope.ntk import infinite_kernels


def images(n=3, shape=(2, 5, 5), seed=0):
    return 2 * torch.randn(n, *shape, generator=torch.Generator().manual_seed(seed)).double()


def close(one, other):
    for left, right in zip(one, other, strict=True):
        torch.testing.assert_close(left, right, rtol=1e-12, atol=0)


def around(conv, before, after):
    """A network with a convolution in it."""
    return nn.Sequential(
        nn.Conv2d(2, before, 3, padding=1), nn.ReLU(), conv, nn.ReLU(), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), nn.Linear(after, 1),
    )  # fmt: skip


@pytest.mark.parametrize("stds", [{}, {"W_std": 1.4, "b_std": 0.2}])
def test_each_group_is_a_convolution_of_its_channels(stds):
    grouped = around(nn.Conv2d(12, 8, 3, groups=4), 12, 8)
    alone = around(nn.Conv2d(3, 8, 3), 3, 8)
    close(infinite_kernels(grouped, images(), **stds), infinite_kernels(alone, images(), **stds))


@pytest.mark.parametrize("stds", [{}, {"W_std": 1.4, "b_std": 0.2}])
@pytest.mark.parametrize("several", [1, 2])
def test_a_depthwise_convolution_before_a_pointwise_one(several, stds):
    def network(conv, before, between):
        pair = nn.Sequential(conv, nn.Conv2d(between, 8, 1))
        return around(pair, before, 8)

    depthwise = network(nn.Conv2d(6, 6 * several, 3, groups=6), 6, 6 * several)
    alone = network(nn.Conv2d(1, 6 * several, 3), 1, 6 * several)
    found = infinite_kernels(depthwise, images(), **stds)
    close(found, infinite_kernels(alone, images(), **stds))


class Joined(nn.Module):
    """Of branches of 6 and 3 channels, one of them, or both."""

    def __init__(self, which, after=lambda x: x):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(4, 6), nn.Linear(4, 6), nn.Linear(6, 3)
        self.read = nn.Linear({"a": 6, "c": 3, "both": 9}[which], 2)
        self.which, self.after = which, after

    def forward(self, x):
        a, c = torch.tanh(self.a(x)), self.c(torch.relu(self.b(x)))
        if self.which == "both":
            return self.read(self.after(torch.cat([a, c], dim=-1)))
        return self.read(self.after(a if self.which == "a" else c))


@pytest.mark.parametrize("after", [lambda x: x, lambda x: 2 * x, lambda x: x[:, None].mean(1)])
def test_joined_channels_are_a_mean_by_their_number(after):
    x = images(shape=(4,))
    joined, one, other = (
        infinite_kernels(Joined(which, after), x, W_std=1.4) for which in ("both", "a", "c")
    )
    for both, a, c in zip(joined, one, other, strict=True):
        torch.testing.assert_close(both, (2 * a + c) / 3, rtol=1e-12, atol=0)


def test_what_acts_on_channels_alike_may_stand_before_or_behind():
    class Network(nn.Module):
        def __init__(self, way):
            super().__init__()
            self.a, self.b = nn.Conv2d(2, 4, 3), nn.Conv2d(4, 2, 1)
            self.norm = nn.ModuleList([nn.BatchNorm2d(w, eps=0.5) for w in (6, 4, 2)])
            self.last, self.read, self.way = nn.Conv2d(6, 5, 2), nn.Linear(20, 1), way

        def forward(self, x):
            a = self.a(x)
            return self.read(self.last(self.way(self, a, self.b(F.relu(a)))).flatten(1))

    def behind(m, a, b):
        return F.gelu(m.norm[0](torch.cat((a, torch.cat([b], dim=1).clone()), 1).transpose(2, 3)))

    def before(m, a, b):
        parts = [F.gelu(norm(x)) for norm, x in zip(m.norm[1:], (a, b), strict=True)]
        return torch.cat(parts, 1).transpose(2, 3)

    both = (infinite_kernels(Network(way).eval(), images(), W_std=1.4) for way in (behind, before))
    close(*both)


class Grouped(nn.Module):
    shape = (2, 5, 5)

    def __init__(self, w):
        super().__init__()
        self.a, self.b = nn.Conv2d(2, w, 3, padding=1), nn.Conv2d(w, w, 3, groups=4)
        self.c, self.read = nn.Conv2d(w, w, 2, groups=2), nn.Linear(w, 16)

    def forward(self, x):
        x = F.gelu(self.c(torch.relu(self.b(torch.relu(self.a(x))))))
        return self.read(x.mean((2, 3)))


class ConvNeXt(nn.Module):
    shape = (2, 6, 6)

    def __init__(self, w):
        super().__init__()
        self.stem, self.read = nn.Conv2d(2, w, 2, stride=2), nn.Linear(w, 16)
        self.depthwise, self.norm = nn.Conv2d(w, w, 3, padding=1, groups=w), nn.LayerNorm(w)
        self.wide, self.narrow = nn.Linear(w, 2 * w), nn.Linear(2 * w, w)
        self.other, self.point = nn.Conv2d(w, w, 3, padding=1, groups=w), nn.Conv2d(w, w, 1)

    def forward(self, x):
        x = self.stem(x)
        y = self.norm(self.depthwise(x).permute(0, 2, 3, 1))
        x = torch.relu(x + self.narrow(F.gelu(self.wide(y))).permute(0, 3, 1, 2))
        return self.read(torch.relu(self.point(x + self.other(x))).mean((2, 3)))


class DenseNet(nn.Module):
    shape = (2, 5, 5)

    def __init__(self, w):
        super().__init__()
        self.a, self.b = nn.Conv2d(2, w, 3, padding=1), nn.Conv2d(w, w // 2, 3, padding=1)
        self.c, self.d = nn.Conv2d(w + w // 2, w // 2, 3, padding=1), nn.Conv2d(2 * w, w, 1)
        self.norm, self.read = nn.BatchNorm2d(w + w // 2), nn.Linear(w, 16)

    def forward(self, x):
        x = self.a(x)
        x = torch.cat([x, self.b(torch.relu(x))], 1)
        x = torch.cat([x, self.c(torch.relu(self.norm(x)))], 1)
        return self.read(torch.relu(self.d(F.avg_pool2d(torch.relu(x), 2))).mean((2, 3)))


class Correlated(nn.Module):
    shape = (6,)

    def __init__(self, w):
        super().__init__()
        self.a, self.b, self.read = nn.Linear(6, w), nn.Linear(3 * w, w), nn.Linear(w, 16)

    def forward(self, x):
        h = self.a(x)
        return self.read(torch.tanh(self.b(torch.cat([h, torch.relu(h), h.cos()], -1))))


@pytest.mark.parametrize("make", [Grouped, ConvNeXt, DenseNet, Correlated])
def test_wide_networks_agree(make):
    torch.manual_seed(0)
    x, width, draws = images(3, make.shape), 64, 32
    limit = infinite_ntk(make(width).eval(), x)
    found = torch.stack(
        [empirical_ntk(make(width).double().eval(), x, verify="off") for _ in range(draws)]
    )
    spread = found.std(0).norm() / draws**0.5
    assert spread < 0.04 * limit.norm()
    assert (found.mean(0) - limit).norm() < 2.5 * spread + 0.5 / width * limit.norm()


class Function(nn.Module):
    def __init__(self, function, **parts):
        super().__init__()
        self.function, self.a, self.read = function, nn.Conv2d(2, 6, 3), nn.Linear(54, 1)
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x):
        return self.read(self.function(self, x, self.a(x)).flatten(1))


MOBILE = nn.Conv2d(6, 6, 3, padding=1, groups=6)
REFUSED = {
    "an activation of a depthwise convolution": (
        lambda m, x, h: torch.relu(m.d(torch.relu(h))), "one channel times a few weights"),
    "the same with a norm": (
        lambda m, x, h: torch.relu(m.n(m.d(torch.relu(h)))), "one channel times a few weights"),
    "groups of the inputs": (lambda m, x, h: m.g(x), "groups see different channels of the inp"),
    "groups of branches": (
        lambda m, x, h: m.g2(torch.cat([h, m.b(x)], 1)), "different branches"),
    "groups of a sum with branches": (
        lambda m, x, h: m.g2(torch.cat([h, m.b(x)], 1) + m.c(x)), "different branches"),
    "norms of branches": (lambda m, x, h: m.g3(torch.cat([h, m.b(x)], 1)), "different branches"),
    "an activation of a sum with branches": (
        lambda m, x, h: torch.relu(torch.cat([h, m.b(x)], 1) + m.c(x)), "several branches"),
    "inputs beside others": (
        lambda m, x, h: torch.cat([h, m.p(x)], 1), "joins the inputs"),
    "positions": (lambda m, x, h: torch.cat([h, m.b(x)], 2), "not that of the channels"),
    "two sizes": (lambda m, x, h: torch.cat([h, m.b(x)[:, :, :2]], 1), r"joins \(6, 3, 3\), \("),
    "a branch that another has": (
        lambda m, x, h: torch.cat([h, m.b(x)], 1) + torch.cat([m.b2(x), torch.relu(h)], 1),
        "correlated"),
    "something else": (lambda m, x, h: torch.cat([h, torch.zeros(3, 6, 3, 3)], 1), "by itself"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_another_limit_is_refused(name):
    function, says = REFUSED[name]
    network = Function(
        function, d=MOBILE, n=nn.BatchNorm2d(6), g=nn.Conv2d(2, 6, 3, groups=2),
        g2=nn.Conv2d(12, 6, 3, groups=2), g3=nn.GroupNorm(2, 12), b=nn.Conv2d(2, 6, 3),
        b2=nn.Conv2d(2, 6, 3), c=nn.Conv2d(2, 12, 3), p=nn.AvgPool2d(3, 1),
    ).eval()  # fmt: skip
    with pytest.raises(ModelError, match=says):
        infinite_ntk(network, images())
