"""Self-attention that has an infinite-width limit in closed form."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ntkscope.errors import ModelError


class GlobalSelfAttention(nn.Module):
    """Softmax self-attention with tied keys and queries, dot products over their number d.

    As neural-tangents' layer of this name (Hron et al. 2020, "Infinite attention: NNGP and NTK for
    deep attention networks", section 3.2): with the usual 1/√d the dot products stay random as d
    grows, and no closed form is known; with 1/d they converge, to 0 if keys and queries were
    independent, hence the tied weights.

    Args:
        inputs: channels of a token.
        width: of keys, values and outputs, over all heads.
        heads: the limit is the same for any number.
        bias: of keys, values and outputs, which have standard deviations in this order.

    Raises:
        ModelError: heads that do not share out the width.

    Examples:
        >>> import torch
        >>> from torch import nn
        >>> from ntkscope import infinite_ntk
        >>> from ntkscope.ntk.infinite import GlobalSelfAttention
        >>> class Network(nn.Module):
        ...     def __init__(self, width):
        ...         super().__init__()
        ...         self.embed = nn.Linear(3, width)
        ...         self.attention = GlobalSelfAttention(width, width, heads=2)
        ...         self.readout = nn.Linear(width, 1)
        ...     def forward(self, x):  # [N, tokens, 3]
        ...         x = self.embed(x)
        ...         return self.readout((x + self.attention(x)).mean(1))
        >>> infinite_ntk(Network(8), torch.randn(5, 4, 3), W_std=1.0, b_std=0.1).shape
        torch.Size([5, 5])
    """

    def __init__(self, inputs: int, width: int, heads: int = 1, bias: bool = True) -> None:
        super().__init__()
        if width % heads:
            raise ModelError(
                f"width = {width} is no multiple of heads = {heads}",
                where="GlobalSelfAttention",
                remedy="give as many channels to each head",
            )
        self.heads = heads
        self.key = nn.Linear(inputs, width, bias)
        self.value = nn.Linear(inputs, width, bias)
        self.out = nn.Linear(width, width, bias)

    def forward(self, x: Tensor) -> Tensor:
        """[N, tokens, inputs] to [N, tokens, width]."""
        keys, values = (
            layer(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for layer in (self.key, self.value)
        )
        weights = torch.softmax(keys @ keys.mT / keys.shape[-1], -1)
        y: Tensor = self.out((weights @ values).transpose(1, 2).flatten(2))
        return y
