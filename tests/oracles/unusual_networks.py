"""Networks that no formula fits and few transforms do: each maps [N, …] to [N, K], in float64."""

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

WIDTH, TOKENS, WORDS = 6, 5, 9


class Net(nn.Module):
    """A forward of its own, f(net, x), of some parts."""

    def __init__(self, f, **parts):
        super().__init__()
        self.f = f
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x):
        return self.f(self, x)


def _head(inputs=WIDTH, outputs=2):
    return nn.Linear(inputs, outputs)


def _words(**how):
    return nn.Embedding(WORDS, WIDTH, **how)


class Sign(torch.autograd.Function):
    """With a gradient of its own, in the old form that no transform takes."""

    @staticmethod
    def forward(ctx, x):
        return x.sign()

    @staticmethod
    def backward(ctx, g):
        return g


def _real_tokens(net, t):
    z, real = net.e(t), t > 2
    out = torch.zeros_like(z)
    out[real] = torch.tanh(net.a(z[real]))
    return net.h(out.sum(1))


def _steps(net, x):
    n, h = (3 * x[:, 0].sigmoid()).long() + 1, x
    for i in range(int(n.max())):
        h = torch.where((i < n)[:, None], torch.tanh(net.a(h)), h)
    return net.h(h)


def _experts(net, x):
    which, out = net.gate(x).argmax(1), torch.zeros_like(x)
    for number, expert in enumerate(net.experts):
        mine = which == number
        if mine.any():
            out[mine] = torch.tanh(expert(x[mine]))
    return net.h(out * net.gate(x).softmax(1).max(1, keepdim=True).values)


def _ragged(net, t):
    lengths = (t > 2).sum(1).clamp(min=1)
    packed = nn.utils.rnn.pack_padded_sequence(
        net.e(t), lengths, batch_first=True, enforce_sorted=False
    )
    return net.h(net.r(packed)[1][0][-1])


def _physics(enable):
    def f(net, x):
        with torch.set_grad_enabled(enable or torch.is_grad_enabled()):
            x = x.detach().requires_grad_()
            u = net.h(torch.tanh(net.a(x)))[:, :1]
            (slope,) = torch.autograd.grad(u.sum(), x, create_graph=True)
            (curved,) = torch.autograd.grad(slope[:, 0].sum(), x, create_graph=True)
            return torch.cat([u, slope[:, :1] + curved[:, 1:2]], 1)

    return f


def _generated_weight(net, x):
    weight = net.makes(net.code).view(WIDTH, WIDTH)
    return net.h(torch.tanh(nn.functional.linear(x, weight)))


def _generated_layer(net, x):
    net.a.weight = net.makes(net.code).view(WIDTH, WIDTH)
    return net.h(torch.tanh(net.a(x)))


def _without_weight():
    layer = nn.Linear(WIDTH, WIDTH)
    del layer.weight
    return layer


def _spectral(net, x):
    return net.h(torch.fft.irfft(torch.fft.rfft(x) * net.w, n=WIDTH))


def _mixed(net, x):
    return net.h(torch.tanh(net.a(x)).float())


def _positions(net, t):
    return net.h(torch.tanh(net.e(t) + net.p(torch.arange(t.shape[1])))[:, -1])


def _complex(*shape):
    return nn.Parameter(torch.randn(*shape, dtype=torch.cdouble))


_VECTORS = {
    "steps as the data ask": lambda: Net(_steps, a=nn.Linear(WIDTH, WIDTH), h=_head()),
    "routed experts": lambda: Net(
        _experts,
        gate=nn.Linear(WIDTH, 3),
        experts=nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(3)),
        h=_head(),
    ),
    "physics-informed": lambda: Net(_physics(False), a=nn.Linear(WIDTH, 8), h=_head(8)),
    "physics-informed, enabled": lambda: Net(_physics(True), a=nn.Linear(WIDTH, 8), h=_head(8)),
    "generated weight": lambda: Net(
        _generated_weight,
        makes=nn.Linear(3, WIDTH**2),
        code=nn.Parameter(torch.randn(3)),
        h=_head(),
    ),
    "generated weight of a layer": lambda: Net(
        _generated_layer,
        makes=nn.Linear(3, WIDTH**2),
        code=nn.Parameter(torch.randn(3)),
        a=_without_weight(),
        h=_head(),
    ),
    "complex parameters": lambda: Net(_spectral, w=_complex(WIDTH // 2 + 1), h=_head()),
    "complex layers": lambda: Net(
        lambda net, x: net.h(net.a(x.to(torch.cdouble)).abs()),
        a=nn.Linear(WIDTH, 4, dtype=torch.cdouble),
        h=_head(4),
    ),
    "checkpoint": lambda: Net(
        lambda net, x: net.h(checkpoint(net.a, x, use_reentrant=False)),
        a=nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.Tanh(), nn.PReLU()),
        h=_head(),
    ),
    "a gradient of its own": lambda: Net(
        lambda net, x: net.h(net.p(Sign.apply(net.a(x)))),
        a=nn.Linear(WIDTH, WIDTH),
        p=nn.PReLU(),
        h=_head(),
    ),
    "shape from the batch": lambda: Net(
        lambda net, x: net.h(net.a(x).view(len(x), 2, -1).flatten(1)),
        a=nn.Linear(WIDTH, WIDTH),
        h=_head(),
    ),
    "DataParallel": lambda: nn.DataParallel(
        nn.Sequential(nn.Linear(WIDTH, 4), nn.PReLU(), nn.Linear(4, 2))
    ),
}
_SEQUENCES = {
    "LSTM": lambda: Net(
        lambda net, x: net.h(net.r(x)[0][:, -1]),
        r=nn.LSTM(WIDTH, WIDTH, 2, batch_first=True),
        h=_head(),
    ),
    "GRU both ways": lambda: Net(
        lambda net, x: net.h(net.r(x)[0].mean(1)),
        r=nn.GRU(WIDTH, 4, batch_first=True, bidirectional=True),
        h=_head(8),
    ),
}
_TOKENS = {
    "real tokens only": lambda: Net(_real_tokens, e=_words(), a=nn.Linear(WIDTH, WIDTH), h=_head()),
    "ragged sequences": lambda: Net(
        _ragged, e=_words(), r=nn.LSTM(WIDTH, WIDTH, batch_first=True), h=_head()
    ),
    "learned positions": lambda: Net(
        _positions, e=_words(), p=nn.Embedding(TOKENS, WIDTH), h=_head()
    ),
    "EmbeddingBag": lambda: Net(
        lambda net, t: net.h(net.e(t)), e=nn.EmbeddingBag(WORDS, WIDTH, mode="mean"), h=_head()
    ),
    "EmbeddingBag max": lambda: Net(
        lambda net, t: net.h(net.e(t)), e=nn.EmbeddingBag(WORDS, WIDTH, mode="max"), h=_head()
    ),
} | {
    f"embedding {how}": lambda how=how: Net(
        lambda net, t: net.h(torch.tanh(net.e(t)).mean(1)), e=_words(**how), h=_head()
    )
    for how in (
        {"sparse": True},
        {"padding_idx": 1},
        {"sparse": True, "padding_idx": 1},
        {"max_norm": 0.5},
        {"scale_grad_by_freq": True},
    )
}
NAMES = (*_VECTORS, *_SEQUENCES, *_TOKENS)


def unusual(name, seed=0):
    """A network in eval mode, and inputs [7, …] and [4, …]."""
    torch.manual_seed(seed)
    make = (_VECTORS | _SEQUENCES | _TOKENS)[name]
    model = make().double().eval()
    if name in _TOKENS:
        x = torch.randint(1, WORDS, (11, TOKENS))
        x[:2] = x[:2].clamp(min=3)  # the first samples have real tokens only
    else:
        size = (11, TOKENS, WIDTH) if name in _SEQUENCES else (11, WIDTH)
        x = torch.randn(size, dtype=torch.float64)
    return model, x[:7], x[7:]
