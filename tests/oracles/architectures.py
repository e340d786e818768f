"""Networks of today, small and as torchvision has them; name → (model in eval mode, inputs)."""

import torch
import torch.nn.functional as F
import torchvision.models as vision
from torch import nn
from torch.nn.utils import parametrizations

from tests.oracles.networks import Block
from tests.oracles.unusual_networks import Net, _experts, _physics

OUTPUTS, WORDS, TOKENS = 2, 11, 6


class GPT(nn.Module):
    """Learned positions, causal attention, a readout that is the embedding."""

    def __init__(self, width=8, blocks=2):
        super().__init__()
        self.embed, self.place = nn.Embedding(WORDS, width), nn.Embedding(TOKENS, width)
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(width, 2, 16, 0.0, "gelu", batch_first=True, norm_first=True)
            for _ in range(blocks)
        )
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, WORDS, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, t):
        n = t.shape[1]
        h = self.embed(t) + self.place.weight[:n]
        mask = nn.Transformer.generate_square_subsequent_mask(n, dtype=h.dtype)
        for block in self.blocks:
            h = block(h, src_mask=mask)
        return self.head(self.norm(h))[:, -1, :4]


class ViT(nn.Module):
    """Patches, a class token, learned positions, packed attention."""

    def __init__(self, width=8, side=8):
        super().__init__()
        self.patches = nn.Conv2d(3, width, 4, 4)
        self.token = nn.Parameter(torch.randn(1, 1, width))
        self.places = nn.Parameter(torch.randn(1, 1 + (side // 4) ** 2, width))
        self.blocks = nn.Sequential(Block(width, 2), Block(width, 2))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, OUTPUTS)

    def forward(self, x):
        h = self.patches(x).flatten(2).mT
        h = torch.cat([self.token.expand(len(x), -1, -1), h], 1) + self.places
        return self.head(self.norm(self.blocks(h))[:, 0])


class LoRA(nn.Module):
    """A frozen layer beside a product of two that learns."""

    def __init__(self, width=8, rank=2):
        super().__init__()
        self.base = nn.Linear(width, width).requires_grad_(False)
        self.down, self.up = nn.Linear(width, rank, bias=False), nn.Linear(rank, width, bias=False)
        self.a, self.b = nn.Parameter(torch.randn(rank, width)), nn.Parameter(torch.randn(width, 2))
        self.head = nn.Linear(width, OUTPUTS).requires_grad_(False)

    def forward(self, x):
        h = torch.tanh(self.base(x) + 0.5 * self.up(self.down(x)))
        weight = self.base.weight + self.b @ self.a
        return self.head(torch.tanh(F.linear(h, weight)))


def _masked(net, t):
    h, padding = net.e(t), t == 0
    causal = torch.ones(TOKENS, TOKENS, dtype=torch.bool).triu(1)
    h = h + net.one(h, h, h, attn_mask=causal, need_weights=False)[0]
    h = h + net.two(h, h, h, key_padding_mask=padding & (torch.arange(TOKENS) > 0))[0]
    return net.h(h.mean(1))


class UNet(nn.Module):
    """Down and up again with transposed convolutions, and what was before beside it."""

    def __init__(self, width=4):
        super().__init__()
        self.first, self.down = nn.Conv2d(3, width, 3, 1, 1), nn.Conv2d(width, 8, 3, 2, 1)
        self.deep = nn.Sequential(nn.GroupNorm(2, 8), nn.SiLU(), nn.Conv2d(8, 8, 3, 1, 1))
        self.up = nn.ConvTranspose2d(8, width, 4, 2, 1, groups=2)
        self.last = nn.Conv2d(2 * width, OUTPUTS, 1)

    def forward(self, x):
        one = F.relu(self.first(x))
        low = self.deep(self.down(one))
        return self.last(torch.cat([one, self.up(F.relu(low, inplace=True))], 1)).mean((2, 3))


def _vectors(count):
    return torch.randn(count, 8)


def _images(count, side=8):
    return torch.randn(count, 3, side, side)


def _ids(count):
    return torch.randint(WORDS, (count, TOKENS))


def _normalised(norm):
    return nn.Sequential(norm(nn.Linear(8, 6)), nn.Tanh(), norm(nn.Linear(6, OUTPUTS)))


def _mixture():
    parts = {"gate": nn.Linear(8, 3), "experts": nn.ModuleList(nn.Linear(8, 8) for _ in range(3))}
    return Net(_experts, **parts, h=nn.Linear(8, OUTPUTS))


SMALL = {
    "ViT": (ViT, _images),
    "GPT, tied": (GPT, _ids),
    "LoRA": (LoRA, _vectors),
    "LSTM": (
        lambda: Net(
            lambda net, t: net.h(net.r(net.e(t))[0][:, -1]),
            e=nn.Embedding(WORDS, 8),
            r=nn.LSTM(8, 6, 2, batch_first=True),
            h=nn.Linear(6, OUTPUTS),
        ),
        _ids,
    ),
    "attention with masks": (
        lambda: Net(
            _masked,
            e=nn.Embedding(WORDS, 8),
            one=nn.MultiheadAttention(8, 2, batch_first=True),
            two=nn.MultiheadAttention(8, 4, batch_first=True, bias=False),
            h=nn.Linear(8, OUTPUTS),
        ),
        _ids,
    ),
    "weight norm": (lambda: _normalised(parametrizations.weight_norm), _vectors),
    "spectral norm": (lambda: _normalised(parametrizations.spectral_norm), _vectors),
    "U-Net": (UNet, _images),
    "mixture of experts": (_mixture, _vectors),
    "physics-informed": (
        lambda: Net(_physics(True), a=nn.Linear(8, 8), h=nn.Linear(8, OUTPUTS)),
        _vectors,
    ),
    "ResNet, narrow": (
        lambda: nn.Sequential(
            nn.Conv2d(3, 8, 3, 1, 1, bias=False),
            nn.BatchNorm2d(8),
            vision.resnet.BasicBlock(8, 8),
            vision.resnet.BasicBlock(
                8, 16, 2, nn.Sequential(nn.Conv2d(8, 16, 1, 2), nn.BatchNorm2d(16))
            ),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(16, OUTPUTS),
        ),
        _images,
    ),
    "DenseNet, narrow": (
        lambda: vision.DenseNet(4, (2, 2), 8, 2, num_classes=OUTPUTS),
        lambda count: _images(count, 16),
    ),
    "ConvNeXt, narrow": (
        lambda: vision.ConvNeXt(
            [vision.convnext.CNBlockConfig(8, 12, 1), vision.convnext.CNBlockConfig(12, None, 1)],
            layer_scale=0.5,
            num_classes=OUTPUTS,
        ),
        lambda count: _images(count, 16),
    ),
    "Swin, narrow": (
        lambda: vision.SwinTransformer(
            [4, 4], 8, [1, 2], [2, 2], [2, 2], num_classes=OUTPUTS, stochastic_depth_prob=0.0
        ),
        lambda count: _images(count, 16),
    ),
}
LARGE = {
    "ResNet-18": (lambda: vision.resnet18(num_classes=OUTPUTS), lambda n: _images(n, 32)),
    "DenseNet-121": (lambda: vision.densenet121(num_classes=OUTPUTS), lambda n: _images(n, 32)),
    "ConvNeXt-tiny": (lambda: vision.convnext_tiny(num_classes=OUTPUTS), lambda n: _images(n, 32)),
    "Swin-tiny": (lambda: vision.swin_t(num_classes=OUTPUTS), lambda n: _images(n, 32)),
}


def architecture(name, samples):
    """A network in float64, with statistics of its own, and inputs [samples, …]."""
    make, draw = (SMALL | LARGE)[name]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model, x = make(), draw(samples)
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.normal_(module.running_mean, 0, 0.1)
                nn.init.uniform_(module.running_var, 0.5, 1.5)
    return model.double().eval(), x.double() if x.is_floating_point() else x
