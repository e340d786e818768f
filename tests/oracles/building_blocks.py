"""Parts of random networks: each maps a form of features to one, as people write modules.

Forms: `vector` [N, 6], `sequence` [N, 4, 6], `image` [N, 4, 6, 6]; `ids` [N, 4] are read only.
"""

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrizations
from torch.utils.checkpoint import checkpoint

from tests.oracles.unusual_networks import Net, Sign, _experts, _physics, _steps

WIDTH, TOKENS, WORDS, CHANNELS, SIDE = 6, 4, 9, 4, 6


def _linear(**how):
    return nn.Linear(WIDTH, WIDTH, **how)


def _parameter(*shape):
    return nn.Parameter(torch.randn(*shape) / 2)


def _of_norm(norm):
    """With statistics and scales that are not those of a new layer."""
    for tensor in (*norm.parameters(), getattr(norm, "running_mean", None)):
        if tensor is not None:
            nn.init.normal_(tensor, 0.5, 0.5)
    if getattr(norm, "running_var", None) is not None:
        nn.init.uniform_(norm.running_var, 0.5, 2)
    return norm


class Doubled(nn.Linear):
    """A layer's subclass with a forward of its own."""

    def forward(self, x):
        return 2 * super().forward(x) + x


class Counting(nn.Module):
    """Makes buffers and attributes while it runs, and changes them in place."""

    def __init__(self):
        super().__init__()
        self.inner, self.seen = _linear(), []
        self.register_buffer("calls", torch.zeros(()))
        self.register_buffer("last", None)

    def forward(self, x):
        self.calls += 1
        self.last = x.detach()
        self.seen.append(len(x))
        self.newest = x.detach().mean()
        return torch.tanh(self.inner(x))


class LowRank(nn.Module):
    """LoRA: a frozen weight, and a product of two that learns."""

    def __init__(self):
        super().__init__()
        self.base = _linear().requires_grad_(False)
        self.down, self.up = _parameter(2, WIDTH), _parameter(WIDTH, 2)

    def forward(self, x):
        return self.base(x) + x @ (self.up @ self.down).T


def _hooked():
    layer = _linear()
    layer.register_forward_hook(lambda module, args, y: torch.tanh(y) + args[0])
    return layer


def _generated():
    return Net(
        lambda net, x: F.linear(x, net.makes(net.code).view(WIDTH, WIDTH)),
        makes=nn.Linear(2, WIDTH**2),
        code=_parameter(2),
    )


def _sorted(net, x):
    order = x[:, 0].argsort()
    return net.a(x[order])[order.argsort()]


def _by_hand(net, x):
    return F.linear(torch.tanh(net.a(x)), net.a.weight.t())


def _in_place(net, x):
    y = net.a(x)
    y += net.shift
    y[:, 1:3] *= 2
    return F.relu_(y)


def _filled(net, x):
    out = x.new_zeros(len(x), WIDTH)
    out[:, :3] = net.a(x)[:, 3:]
    out[:, 3:] = x[:, :3] * net.scale
    return out


def _mixture():
    return Net(
        _experts,
        gate=nn.Linear(WIDTH, 3),
        experts=nn.ModuleList(map(_fresh, range(3))),
        h=_linear(),
    )


def _fresh(_):
    return _linear()


def _memory(net, x):
    return F.softmax(x @ net.keys.T, 1) @ net.values


def _distances(net, x):
    return torch.exp(-torch.cdist(x, net.centres))


def _cell(net, x):
    h, c = net.r(x, (x, x))
    return net.r(h, (x, c))[0]


def _outer_product(net, x):
    return torch.einsum("ni,ijk,nk->nj", x, net.w, torch.tanh(x))


def _spectral(net, x):
    return torch.fft.irfft(torch.fft.rfft(x) * net.w, n=WIDTH)


def _folded(net, x):
    return net.a(x.reshape(-1, 2)).reshape(len(x), WIDTH)


VECTOR = {
    "linear": lambda: nn.Sequential(_linear(), nn.Tanh()),
    "linear without bias": lambda: _linear(bias=False),
    "layer norm": lambda: _of_norm(nn.LayerNorm(WIDTH)),
    "RMS norm": lambda: _of_norm(nn.RMSNorm(WIDTH, eps=1e-5)),
    "batch norm": lambda: _of_norm(nn.BatchNorm1d(WIDTH)),
    "group norm": lambda: _of_norm(nn.GroupNorm(2, WIDTH)),
    "PReLU": nn.PReLU,
    "PReLU of channels": lambda: nn.PReLU(WIDTH),
    "bilinear": lambda: Net(lambda net, x: net.b(x, x), b=nn.Bilinear(WIDTH, WIDTH, WIDTH)),
    "in place": lambda: Net(_in_place, a=_linear(), shift=_parameter(WIDTH)),
    "filled in place": lambda: Net(_filled, a=_linear(), scale=_parameter(3)),
    "gain": lambda: Net(
        lambda net, x: x * net.gain.exp() + net.shift, gain=_parameter(WIDTH), shift=_parameter(1)
    ),
    "weight again by hand": lambda: Net(_by_hand, a=_linear()),
    "layer by hand": lambda: Net(lambda net, x: F.linear(x, net.a.weight, net.a.bias), a=_linear()),
    "weight norm": lambda: parametrizations.weight_norm(_linear()),
    "spectral norm": lambda: parametrizations.spectral_norm(_linear()),
    "low rank": LowRank,
    "generated weight": _generated,
    "routed experts": _mixture,
    "steps as the data ask": lambda: Net(_steps, a=_linear(), h=_linear()),
    "physics-informed": lambda: Net(
        lambda net, x: net.out(net.inner(x)),
        inner=Net(_physics(True), a=_linear(), h=_linear()),
        out=nn.Linear(2, WIDTH),
    ),
    "a gradient of its own": lambda: Net(
        lambda net, x: Sign.apply(net.a(x)) * net.a.bias, a=_linear()
    ),
    "complex": lambda: Net(_spectral, w=nn.Parameter(torch.randn(4, dtype=torch.cfloat))),
    "counting": Counting,
    "cell": lambda: Net(_cell, r=nn.LSTMCell(WIDTH, WIDTH)),
    "memory": lambda: Net(_memory, keys=_parameter(3, WIDTH), values=_parameter(3, WIDTH)),
    "distances": lambda: Net(_distances, centres=_parameter(WIDTH, WIDTH)),
    "half detached": lambda: Net(
        lambda net, x: net.a(x) + net.b(x).detach(), a=_linear(), b=_linear()
    ),
    "sorted batch": lambda: Net(_sorted, a=_linear()),
    "three factors": lambda: Net(_outer_product, w=_parameter(WIDTH, WIDTH, WIDTH)),
    "subclass": lambda: Doubled(WIDTH, WIDTH),
    "hooked": _hooked,
    "unused": lambda: Net(lambda net, x: x, a=_linear()),
    "folded": lambda: Net(_folded, a=nn.Linear(2, 2)),
    "dropout": lambda: nn.Dropout(0.3),
    "GELU": nn.GELU,
    "in-place ReLU": lambda: nn.Sequential(_linear(), nn.ReLU(inplace=True)),
    "to a sequence": lambda: Net(lambda net, x: x[:, None] * net.w, w=_parameter(TOKENS, WIDTH)),
}


def _attend(net, x, **how):
    if net.mask is not None:
        how["attn_mask"] = net.mask
    return net.att(x, x, x, need_weights=net.weights, **how)[0]


def _padded_attention(net, x):
    return _attend(net, x, key_padding_mask=(x[..., 0] < -1) & (torch.arange(TOKENS) > 0))


def _attention(f=_attend, mask=False, weights=False, **how):
    net = Net(f, att=nn.MultiheadAttention(WIDTH, 2, batch_first=True, **how))
    net.mask, net.weights = torch.ones(TOKENS, TOKENS).triu(1).bool() if mask else None, weights
    return net


def _positions_first(net, x):
    return net.att(*(x.transpose(0, 1),) * 3)[0].transpose(0, 1)


def _dot_products(net, x):
    q, k, v = net.qkv(x).chunk(3, 2)
    return F.scaled_dot_product_attention(q, k, v, is_causal=True)


def _class_token(net, x):
    return torch.cat([net.token.expand(len(x), 1, WIDTH), x[:, 1:]], 1)


def _convolved(net, x):
    return net.c(x.mT).mT


def _recurrent(net, x):
    return net.o(net.r(x)[0])


def _to_batch(net, x):
    return net.a(x.flatten(0, 1)).unflatten(0, x.shape[:2])


def _encoder():
    return nn.TransformerEncoderLayer(WIDTH, 2, 8, dropout=0.0, batch_first=True)


SEQUENCE = {
    "linear": lambda: nn.Sequential(_linear(), nn.Tanh()),
    "layer norm": lambda: _of_norm(nn.LayerNorm(WIDTH)),
    "layer norm of all": lambda: _of_norm(nn.LayerNorm((TOKENS, WIDTH))),
    "attention": _attention,
    "attention with a mask": lambda: _attention(mask=True, weights=True),
    "attention with padding": lambda: _attention(_padded_attention, bias=False),
    "attention, more keys": lambda: _attention(add_bias_kv=True),
    "attention, tokens first": lambda: Net(_positions_first, att=nn.MultiheadAttention(WIDTH, 3)),
    "dot products": lambda: Net(_dot_products, qkv=nn.Linear(WIDTH, 3 * WIDTH)),
    "encoder layer": _encoder,
    "convolution": lambda: Net(_convolved, c=nn.Conv1d(WIDTH, WIDTH, 3, padding=1)),
    "convolution of each channel": lambda: Net(
        _convolved, c=nn.Conv1d(WIDTH, WIDTH, 3, padding="same", groups=WIDTH)
    ),
    "LSTM": lambda: Net(_recurrent, r=nn.LSTM(WIDTH, 4, batch_first=True), o=nn.Linear(4, WIDTH)),
    "GRU both ways": lambda: Net(
        _recurrent, r=nn.GRU(WIDTH, 3, batch_first=True, bidirectional=True), o=_linear()
    ),
    "positions": lambda: Net(lambda net, x: x + net.p, p=_parameter(TOKENS, WIDTH)),
    "embedded positions": lambda: Net(
        lambda net, x: x + net.p(torch.arange(TOKENS)), p=nn.Embedding(TOKENS, WIDTH)
    ),
    "class token": lambda: Net(_class_token, token=_parameter(1, 1, WIDTH)),
    "folded into the batch": lambda: Net(_to_batch, a=_linear()),
    "instance norm": lambda: Net(_convolved, c=_of_norm(nn.InstanceNorm1d(WIDTH, affine=True))),
    "mixing of tokens": lambda: Net(_convolved, c=nn.Linear(TOKENS, TOKENS)),
    "bilinear": lambda: Net(lambda net, x: net.b(x, x.flip(1)), b=nn.Bilinear(WIDTH, WIDTH, WIDTH)),
    "to an image": lambda: Net(
        lambda net, x: x.unsqueeze(2) * net.w, w=_parameter(CHANNELS, SIDE, SIDE)
    ),
    "last": lambda: Net(lambda net, x: x[:, -1]),
    "largest": lambda: Net(lambda net, x: x.amax(1)),
}


def _convolution(inputs=CHANNELS, outputs=CHANNELS, size=3, padding=1, **how):
    return nn.Conv2d(inputs, outputs, size, padding=padding, **how)


def _u_net(net, x):
    low = torch.relu(net.down(x))
    return net.join(torch.cat([x, net.up(low)], 1))


def _squeezed(net, x):
    return x * torch.sigmoid(net.a(x.mean((2, 3))))[:, :, None, None]


def _patches(net, x):
    return net.p(x).flatten(2).mT[:, :TOKENS]


IMAGE = {
    "convolution": lambda: nn.Sequential(_convolution(), nn.ReLU()),
    "circular": lambda: _convolution(padding_mode="circular", bias=False),
    "groups": lambda: _convolution(groups=2),
    "each channel": lambda: _convolution(groups=CHANNELS, dilation=2, padding=2),
    "one by one": lambda: _convolution(size=1, padding=0),
    "batch norm": lambda: _of_norm(nn.BatchNorm2d(CHANNELS)),
    "group norm": lambda: _of_norm(nn.GroupNorm(2, CHANNELS)),
    "instance norm": lambda: _of_norm(nn.InstanceNorm2d(CHANNELS, affine=True)),
    "layer norm": lambda: _of_norm(nn.LayerNorm((CHANNELS, SIDE, SIDE))),
    "PReLU of channels": lambda: nn.PReLU(CHANNELS),
    "transposed": lambda: nn.Sequential(
        _convolution(stride=2), nn.ConvTranspose2d(CHANNELS, CHANNELS, 2, 2)
    ),
    "U-Net": lambda: Net(
        _u_net,
        down=_convolution(stride=2),
        up=nn.ConvTranspose2d(CHANNELS, 2, 4, 2, 1),
        join=_convolution(CHANNELS + 2, CHANNELS),
    ),
    "pooled and enlarged": lambda: nn.Sequential(
        nn.MaxPool2d(2), nn.Upsample(scale_factor=2), _convolution()
    ),
    "shuffled pixels": lambda: nn.Sequential(
        _convolution(CHANNELS, CHANNELS, 2, 0, stride=2),
        nn.Conv2d(CHANNELS, 16, 1),
        nn.PixelShuffle(2),
    ),
    "squeezed": lambda: Net(_squeezed, a=nn.Linear(CHANNELS, CHANNELS)),
    "channels last": lambda: _convolution().to(memory_format=torch.channels_last),
    "residual in place": lambda: Net(
        lambda net, x: F.relu(net.c(x).add_(x), inplace=True), c=_convolution()
    ),
    "patches": lambda: Net(_patches, p=nn.Conv2d(CHANNELS, WIDTH, 3, 3)),
    "flat": lambda: nn.Sequential(nn.Flatten(), nn.Linear(CHANNELS * SIDE**2, WIDTH)),
    "mean": lambda: Net(lambda net, x: net.a(x.mean((2, 3))), a=nn.Linear(CHANNELS, WIDTH)),
}

BLOCKS = {"vector": VECTOR, "sequence": SEQUENCE, "image": IMAGE}
LEADS_TO = {
    ("vector", "to a sequence"): "sequence",
    ("sequence", "to an image"): "image",
    ("sequence", "last"): "vector",
    ("sequence", "largest"): "vector",
    ("image", "patches"): "sequence",
    ("image", "flat"): "vector",
    ("image", "mean"): "vector",
}
"""Forms that a block ends in, where they are others."""

MIXING = {
    "batch mean": lambda net, x: x - x.mean(0, keepdim=True),
    "noise": lambda net, x: x + torch.randn_like(x),
    "neighbour": lambda net, x: x + x.roll(1, 0),
    "size of the batch": lambda net, x: x * len(x),
}
"""Steps after which no sample is by itself."""

READERS = {
    "embedding": lambda: nn.Embedding(WORDS, WIDTH),
    "padded": lambda: nn.Embedding(WORDS, WIDTH, padding_idx=1),
    "sparse": lambda: nn.Embedding(WORDS, WIDTH, sparse=True),
    "of bounded norm": lambda: nn.Embedding(WORDS, WIDTH, max_norm=1.0),
    "one-hot": lambda: Net(
        lambda net, t: net.a(F.one_hot(t, WORDS).to(net.a.weight)),
        a=nn.Linear(WORDS, WIDTH, bias=False),
    ),
    "by place": lambda: Net(lambda net, t: net.table[t], table=_parameter(WORDS, WIDTH)),
    "bag": lambda: Net(
        lambda net, t: net.bag(t)[:, None] * net.w,
        bag=nn.EmbeddingBag(WORDS, WIDTH),
        w=_parameter(TOKENS, WIDTH),
    ),
}
"""From ids [N, 4] to a sequence."""


def _routed(m, x):
    out, mine = x.clone(), x.flatten(1)[:, 0] > 0
    out[mine] = m(x[mine])
    return out


def _residual_in_place(m, x):
    y = m(x)
    y += x
    return y


def _both(m, x):
    a, b = m(torch.cat([x, -x])).chunk(2)
    return a * 2 + b


WRAPS = {
    "plain": lambda m, x: m(x),
    "residual": lambda m, x: x + m(x),
    "residual in place": _residual_in_place,
    "gated": lambda m, x: torch.sigmoid(x) * m(x),
    "twice": lambda m, x: m(x) + m(2 * x),
    "again": lambda m, x: m(torch.tanh(m(x))),
    "beside a constant": lambda m, x: m(x) + x.detach(),
    "in two parts": lambda m, x: torch.cat([m(x[: len(x) // 2]), m(x[len(x) // 2 :])]),
    "routed": _routed,
    "checkpoint": lambda m, x: checkpoint(m, x, use_reentrant=False),
    "re-entrant checkpoint": lambda m, x: checkpoint(m, x, use_reentrant=True),
    "one by one": lambda m, x: torch.cat([m(some) for some in x.split(1)]),
    "backwards": lambda m, x: m(x.flip(0)).flip(0),
    "with its negative": _both,
    "repeated": lambda m, x: m(x.repeat_interleave(2, 0)).unflatten(0, (-1, 2)).mean(1),
    "vmap": lambda m, x: torch.vmap(lambda one: m(one[None])[0])(x),
    "samples last": lambda m, x: m(x.movedim(0, -1).contiguous().movedim(-1, 0)),
}
"""How a block that keeps the form is called."""
