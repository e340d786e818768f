"""
The infinite limit
==================

As a network gets wider in the NTK parametrisation, its kernel at initialisation approaches a
limit that needs no sampling.
"""

import matplotlib.pyplot as plt
import torch
from torch import nn

import ntkscope

torch.manual_seed(0)
x = torch.randn(20, 32, dtype=torch.float64)


def network(width):
    """Two hidden layers of the NTK parametrisation: W ~ N(0, 2 / fan_in), no biases."""
    sizes = [(32, width), (width, width), (width, 1)]
    first, second, last = (nn.Linear(*size, bias=False) for size in sizes)
    layers = [first, nn.ReLU(), second, nn.ReLU(), last]
    return nn.Sequential(*layers).double()


limit = ntkscope.infinite_ntk(network(1), x, W_std=2**0.5)


# %%
# The empirical kernel in that parametrisation: each layer's gradient counts 2 / fan_in.
def empirical(width):
    """The NTK in the NTK parametrisation: a plain module's, layer by layer, rescaled."""
    model = network(width)
    scales = {}
    for name, layer in model.named_children():
        if isinstance(layer, nn.Linear):
            scale = 2 / layer.in_features
            nn.init.normal_(layer.weight, std=scale**0.5)
            scales[name] = scale
    layers = ntkscope.empirical_ntk(model, x, by_layer=True)
    return sum(scales[name.partition(".")[0]] * kernel for name, kernel in layers.items())


widths = [16, 32, 64, 128, 256, 512, 1024]
errors = [
    [float((empirical(width) - limit).norm() / limit.norm()) for _ in range(5)] for width in widths
]

# %%
# The distance falls like one over the square root of the width.
figure, axis = plt.subplots(figsize=(5, 3.6))
middle = torch.tensor(errors).median(1).values
axis.loglog(widths, errors, "o", color="C0", alpha=0.4)
axis.loglog(widths, middle, color="C0")
law = [float(middle[0]) * (widths[0] / width) ** 0.5 for width in widths]
axis.loglog(widths, law, "--", color="grey")
axis.set(
    xlabel="width",
    ylabel="relative distance to the limit",
    title="Five draws a width; dashed: width$^{-1/2}$",
    xticks=widths,
    xticklabels=widths,
    yticks=(ticks := [0.1, 0.2, 0.5]),
    yticklabels=ticks,
)
axis.minorticks_off()
figure.tight_layout()

# %%
# Modules with residual connections, norms and attention have limits too.


class Residual(nn.Module):
    """A residual block between two linear layers."""

    def __init__(self):
        super().__init__()
        self.first, self.inside = nn.Linear(32, 8), nn.Linear(8, 8)
        self.last = nn.Linear(8, 1)

    def forward(self, x):
        """Of one sample or many."""
        x = self.first(x)
        return self.last(torch.relu(x + self.inside(torch.tanh(x))))


print(ntkscope.infinite_ntk(Residual(), x, W_std=1.0, b_std=0.1)[:3, :3])
