"""Small networks with every kind of layer and every way of using one; name → (model, inputs)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Block(nn.Module):
    """A transformer's block, pre-norm, with attention in one packed layer."""

    def __init__(self, width, heads):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.heads = heads

    def forward(self, x):
        qkv = self.qkv(self.norm1(x)).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        x = x + self.out(F.scaled_dot_product_attention(*qkv).transpose(1, 2).flatten(2))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class VisionTransformer(nn.Module):
    """Patches, a class token and positions that are parameters of the model itself."""

    def __init__(self, shared):
        super().__init__()
        self.embed = nn.Conv2d(2, 6, 2, 2)
        self.token = nn.Parameter(torch.randn(1, 1, 6))
        self.position = nn.Parameter(torch.randn(1, 5, 6))
        block = Block(6, 2)
        self.blocks = nn.Sequential(block, block if shared else Block(6, 2))
        self.norm, self.head = nn.LayerNorm(6), nn.Linear(6, 3)

    def forward(self, x):
        x = self.embed(x).flatten(2).mT
        x = torch.cat([self.token.expand(len(x), -1, -1), x], 1) + self.position
        return self.head(self.norm(self.blocks(x))[:, 0])


class Residual(nn.Module):
    """Convolutions (one of them grouped), each with its norm, around a sum."""

    def __init__(self, norm):
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(2, 4, 3, padding=1, bias=False), norm(4)
        self.conv2, self.norm2 = nn.Conv2d(4, 4, 3, padding=1, bias=False, groups=2), norm(4)
        self.down, self.head = nn.Conv2d(4, 4, 1, 2), nn.Linear(4, 3)

    def forward(self, x):
        x = F.relu(self.norm1(self.conv1(x)))
        x = F.relu(x + self.norm2(self.conv2(x)), inplace=True)
        return self.head(self.down(x).mean((2, 3)))


class Language(nn.Module):
    """Tokens to logits; `tied`: the readout's weight is the embedding's."""

    def __init__(self, tied):
        super().__init__()
        self.embed, self.block = nn.Embedding(7, 4, padding_idx=0), Block(4, 2)
        self.head = nn.Linear(4, 7)
        if tied:
            self.head.weight = self.embed.weight

    def forward(self, x):
        return self.head(self.block(self.embed(x)).mean(1))


class Attention(nn.Module):
    """`nn.MultiheadAttention`, which uses its readout's weight without calling it."""

    def __init__(self, batch_first):
        super().__init__()
        self.inner = nn.Linear(3, 4)
        self.attend = nn.MultiheadAttention(4, 2, batch_first=batch_first)
        self.head = nn.Linear(4, 2)
        self.batch_first = batch_first

    def forward(self, x):
        x = self.inner(x) if self.batch_first else self.inner(x.transpose(0, 1))
        x = x + self.attend(x, x, x, need_weights=False)[0]
        return self.head(x.mean(1 if self.batch_first else 0))


class Custom(nn.Module):
    """A parameter of its own, beside a layer that is called as usual."""

    def __init__(self):
        super().__init__()
        self.linear, self.gain = nn.Linear(4, 3), nn.Parameter(torch.randn(3))

    def forward(self, x):
        return torch.tanh(self.linear(x)) * self.gain.exp()


class UsedTwice(nn.Module):
    """A layer's weight is used by its forward, and beside it by hand."""

    def __init__(self):
        super().__init__()
        self.linear, self.head = nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, x):
        return self.head(torch.tanh(self.linear(x)) @ self.linear.weight)


class Recurrent(nn.Module):
    """One layer called again and again, on vectors."""

    def __init__(self):
        super().__init__()
        self.inner, self.head = nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, x):
        for _ in range(3):
            x = x + torch.tanh(self.inner(x))
        return self.head(x)


class Folded(nn.Module):
    """A layer sees samples and tokens folded into one axis, and constant positions."""

    def __init__(self):
        super().__init__()
        self.inner, self.head = nn.Linear(3, 4), nn.Linear(4, 2)
        self.places = nn.Embedding(4, 4)

    def forward(self, x):
        tokens = self.inner(x.flatten(0, 1)).unflatten(0, x.shape[:2])
        tokens = torch.tanh(tokens + self.places(torch.arange(x.shape[1])))
        return self.head(tokens.mean(1))


def _image(*layers):
    return nn.Sequential(*layers, nn.Flatten(), nn.LazyLinear(3))


def _frozen(model, *names):
    for name in names:
        model.get_parameter(name).requires_grad_(False)
    return model


def _tied():
    model = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))
    model[2].weight = model[0].weight
    return model


_VECTORS, _IMAGES, _SIGNALS = (4,), (2, 4, 4), (2, 6)
_MAKERS = {
    "readout alone": (lambda: nn.Linear(4, 3), _VECTORS),
    "vectors": (lambda: nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)), _VECTORS),
    "no bias": (
        lambda: nn.Sequential(nn.Linear(4, 5, bias=False), nn.Tanh(), nn.Linear(5, 3)),
        _VECTORS,
    ),
    "one output": (lambda: nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 1)), _VECTORS),
    "in-place relu": (
        lambda: nn.Sequential(nn.Linear(4, 5), nn.ReLU(inplace=True), nn.Linear(5, 3)),
        _VECTORS,
    ),
    "frozen": (
        lambda: _frozen(
            nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 4), nn.Linear(4, 3)),
            "0.weight",
            "0.bias",
            "2.weight",
            "3.bias",
        ),
        _VECTORS,
    ),
    "conv1d": (lambda: _image(nn.Conv1d(2, 4, 3, 2, 1, groups=2), nn.GELU()), _SIGNALS),
    "conv1d circular": (
        lambda: _image(nn.Conv1d(2, 3, 3, padding=1, padding_mode="circular"), nn.Tanh()),
        _SIGNALS,
    ),
    "conv2d stride": (lambda: _image(nn.Conv2d(2, 3, (2, 3), (2, 1)), nn.Tanh()), _IMAGES),
    "conv2d same": (lambda: _image(nn.Conv2d(2, 3, (2, 3), padding="same"), nn.ELU()), _IMAGES),
    "conv2d dilated": (
        lambda: _image(nn.Conv2d(2, 3, 2, padding=(1, 2), dilation=(2, 1)), nn.Tanh()),
        _IMAGES,
    ),
    "conv2d reflect": (
        lambda: _image(nn.Conv2d(2, 3, 3, padding=1, padding_mode="reflect"), nn.Tanh()),
        _IMAGES,
    ),
    "conv2d depthwise": (
        lambda: _image(nn.Conv2d(2, 4, 3, groups=2), nn.Tanh(), nn.AvgPool2d(2)),
        _IMAGES,
    ),
    "straight, flattened": (
        lambda: nn.Sequential(
            nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.GELU(), nn.AvgPool2d((2, 1))),
            nn.Flatten(),
            nn.Dropout(0.5),
            nn.Linear(24, 4),
            nn.Identity(),
            nn.Sigmoid(),
            nn.Linear(4, 3),
        ),
        _IMAGES,
    ),
    "straight, globally pooled": (
        lambda: nn.Sequential(
            nn.Conv2d(2, 4, 3, padding=(2, 1), dilation=(2, 1)),
            nn.AvgPool2d(2),
            nn.ReLU(inplace=True),
            nn.Conv2d(4, 6, 2, padding=1, groups=2, bias=False),
            nn.SiLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(6, 3),
        ),
        _IMAGES,
    ),
    "straight, pooled last": (
        lambda: nn.Sequential(
            nn.AvgPool2d(2),
            nn.Conv2d(2, 4, 1),
            nn.ELU(),
            nn.AvgPool2d(2),
            nn.Tanh(),
            nn.Flatten(),
            nn.Linear(4, 3),
        ),
        _IMAGES,
    ),
    "straight, many channels": (
        lambda: nn.Sequential(
            nn.Conv2d(2, 44, 2),
            nn.Tanh(),
            nn.Conv2d(44, 3, (2, 3), (1, 2), padding=(2, 1), dilation=(2, 1)),
            nn.LeakyReLU(0.1),
            nn.Flatten(),
            nn.Linear(30, 2),
        ),
        _IMAGES,
    ),
    "straight, norms": (
        lambda: _frozen(
            nn.Sequential(
                nn.Conv2d(2, 4, 3, padding=1, bias=False),
                nn.BatchNorm2d(4),
                nn.ReLU(inplace=True),
                nn.MaxPool2d((2, 1)),
                nn.Conv2d(4, 3, 2, padding=1),
                nn.BatchNorm2d(3, affine=False),
                nn.Tanh(),
                nn.BatchNorm2d(3),
                nn.AdaptiveAvgPool2d(1),
                nn.Flatten(),
                nn.Linear(3, 4),
                nn.BatchNorm1d(4),
                nn.GELU(),
                nn.Linear(4, 3),
            ),
            "7.bias",
            "11.weight",
        ),
        _IMAGES,
    ),
    "straight, norm and pooling on top": (
        lambda: nn.Sequential(
            nn.Conv2d(2, 4, 3, padding=1),
            nn.BatchNorm2d(4),
            nn.SiLU(),
            nn.MaxPool2d(2),
            nn.BatchNorm2d(4),
            nn.MaxPool2d((1, 2)),
            nn.Flatten(),
            nn.Linear(8, 3),
        ),
        _IMAGES,
    ),
    "straight, norm and global pooling": (
        lambda: nn.Sequential(
            nn.Conv2d(2, 4, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(4, 3, 3, padding=1, bias=False),
            nn.BatchNorm2d(3),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d((1, 1)),
            nn.Flatten(),
            nn.Linear(3, 3),
        ),
        _IMAGES,
    ),
    "straight and linear": (
        lambda: nn.Sequential(nn.Linear(4, 5), nn.Linear(5, 4), nn.Softplus(), nn.Linear(4, 2)),
        _VECTORS,
    ),
    "conv3d": (
        lambda: _image(nn.Unflatten(1, (1, 2)), nn.Conv3d(1, 2, 2), nn.Tanh()),
        _IMAGES,
    ),
    "batch norm 1d": (
        lambda: nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2)),
        _VECTORS,
    ),
    "norm on top": (lambda: nn.Sequential(nn.Linear(4, 3), nn.LayerNorm(3)), _VECTORS),
    "rms norm": (
        lambda: nn.Sequential(nn.Linear(4, 4), nn.RMSNorm(4), nn.Tanh(), nn.Linear(4, 2)),
        _VECTORS,
    ),
    "layer norm of images": (lambda: _image(nn.LayerNorm([4, 4]), nn.Tanh()), _IMAGES),
    "instance norm": (
        lambda: _image(nn.Conv2d(2, 3, 2), nn.InstanceNorm2d(3, affine=True), nn.Tanh()),
        _IMAGES,
    ),
    "residual batch norm": (lambda: Residual(nn.BatchNorm2d), _IMAGES),
    "residual group norm": (lambda: Residual(lambda width: nn.GroupNorm(2, width)), _IMAGES),
    "vision transformer": (lambda: VisionTransformer(shared=False), _IMAGES),
    "shared block": (lambda: VisionTransformer(shared=True), _IMAGES),
    "language": (lambda: Language(tied=False), "tokens"),
    "language tied": (lambda: Language(tied=True), "tokens"),
    "attention": (lambda: Attention(batch_first=True), (5, 3)),
    "attention, batch second": (lambda: Attention(batch_first=False), (5, 3)),
    "custom parameter": (Custom, _VECTORS),
    "weight used by hand too": (UsedTwice, _VECTORS),
    "recurrent": (Recurrent, _VECTORS),
    "tied": (_tied, _VECTORS),
    "weight norm": (
        lambda: nn.Sequential(
            nn.utils.parametrizations.weight_norm(nn.Linear(4, 4)), nn.Tanh(), nn.Linear(4, 2)
        ),
        _VECTORS,
    ),
    "folded": (Folded, (4, 3)),
}
NAMES = tuple(_MAKERS)


def network(name: str, seed: int = 0, samples: int = 5) -> tuple[nn.Module, Tensor, Tensor]:
    """A float64 network in eval mode, and two sets of inputs, of `samples` and of 3."""
    make, shape = _MAKERS[name]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = make()
        count = samples + 3
        x = torch.randint(0, 7, (count, 5)) if shape == "tokens" else torch.randn(count, *shape)
        model.eval()(x)  # lazy layers get their sizes
        for parameter in model.parameters():
            parameter.data += 0.2 * torch.randn_like(parameter)
        for module in model.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                module.running_mean.normal_()
                module.running_var.uniform_(0.5, 2)
    model = model.double()
    x = x if shape == "tokens" else x.double()
    return model, x[:samples], x[samples:]
