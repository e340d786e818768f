"""Networks as they are written today: residual ones, and transformers of torch's own parts."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.cases import VOCABULARY, Case

_PATCH, _HEADS, _STAGES = 4, 3, 4


def network_of_today(case: Case) -> nn.Module:
    """The case's network, float32, in eval mode; its weights are the same in every process."""
    torch.manual_seed(1)
    y, x, channels = case.shape
    W, K = case.width, case.outputs
    if case.network == "resnet18":
        return ResNet18(channels, W, K).eval()
    if case.network == "skips":
        return Skips(channels, W, K).eval()
    if case.network == "vit":
        return VisionTransformer(channels, y * x // _PATCH**2, W, case.depth, K).eval()
    return Language(y, W, case.depth, K).eval()


class _Residual(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        stride = 1 if inputs == outputs else 2
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.skip = nn.Sequential()
        if stride == 2:
            self.skip.append(nn.Conv2d(inputs, outputs, 1, 2, bias=False))
            self.skip.append(nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """[N, inputs, y, x] to [N, outputs, y, x], or half of y and x."""
        inner = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(inner + self.skip(x))


class ResNet18(nn.Module):
    """He et al. 2016, in the form for images of 32×32 pixels."""

    def __init__(self, channels: int, width: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, width, 3, 1, 1, bias=False)
        self.bn = nn.BatchNorm2d(width)
        sizes = [width * 2**stage for stage in range(_STAGES)]
        pairs = [
            pair for a, b in zip([width, *sizes], sizes, strict=False) for pair in ((a, b), (b, b))
        ]
        self.blocks = nn.Sequential(*(_Residual(a, b) for a, b in pairs))
        self.readout = nn.Linear(sizes[-1], outputs)

    def forward(self, x: Tensor) -> Tensor:
        """[N, channel, y, x] to [N, K]."""
        z: Tensor = self.readout(self.blocks(F.relu(self.bn(self.conv(x)))).mean((2, 3)))
        return z


class Skips(nn.Module):
    """Three convolutions, one of them beside a skip, and max pooling."""

    def __init__(self, channels: int, width: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        self.conv3 = nn.Conv2d(width, 2 * width, 3, padding=1)
        self.readout = nn.Linear(2 * width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """[N, channel, y, x] to [N, K]."""
        z = F.max_pool2d(F.relu(self.conv1(x)), 2)
        z = z + F.relu(self.conv2(z))
        pooled = F.max_pool2d(F.relu(self.conv3(z)), 2).mean((2, 3))
        found: Tensor = self.readout(pooled)
        return found


class _Attention(nn.Module):
    """Of one's own, with one projection for queries, keys and values; causal."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.project, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """[N, T, width] to the same."""
        heads = self.project(x).unflatten(2, (3, _HEADS, -1)).permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(*heads, is_causal=True)
        found: Tensor = self.out(attended.transpose(1, 2).flatten(2))
        return found


class _Block(nn.Module):
    def __init__(self, width: int, own: bool) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.own = own
        self.attend = (
            _Attention(width) if own else nn.MultiheadAttention(width, _HEADS, batch_first=True)
        )
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        """[N, T, width] to the same."""
        z = self.norm1(x)
        x = x + (self.attend(z) if self.own else self.attend(z, z, z, need_weights=False)[0])
        return x + self.mlp(self.norm2(x))


class VisionTransformer(nn.Module):
    """Dosovitskiy et al. 2021, small, by `nn.MultiheadAttention`; the tokens' mean is read."""

    def __init__(self, channels: int, tokens: int, width: int, depth: int, outputs: int) -> None:
        super().__init__()
        self.patches = nn.Conv2d(channels, width, _PATCH, _PATCH)
        self.positions = nn.Parameter(0.02 * torch.randn(1, tokens, width))
        self.blocks = nn.Sequential(*(_Block(width, own=False) for _ in range(depth)))
        self.norm, self.readout = nn.LayerNorm(width), nn.Linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """[N, channel, y, x] to [N, K]."""
        z = self.blocks(self.patches(x).flatten(2).mT + self.positions)
        found: Tensor = self.readout(self.norm(z).mean(1))
        return found


class Language(nn.Module):
    """A causal transformer with learned positions, of which the last token is read."""

    def __init__(self, length: int, width: int, depth: int, outputs: int) -> None:
        super().__init__()
        self.tokens, self.places = nn.Embedding(VOCABULARY, width), nn.Embedding(length, width)
        self.blocks = nn.Sequential(*(_Block(width, own=True) for _ in range(depth)))
        self.norm, self.readout = nn.LayerNorm(width), nn.Linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """[N, T] of tokens to [N, K]."""
        z = self.tokens(x) + self.places(torch.arange(x.shape[1], device=x.device))
        found: Tensor = self.readout(self.norm(self.blocks(z))[:, -1])
        return found
