"""Watch the kernel of a small ResNet on digits while its task changes: five lines more than a loop.

Run `python examples/watch.py`: it writes `watch.png`, and says what watching cost.
"""

import sys

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn

import ntkscope


class Block(nn.Module):
    """A residual block."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = (nn.Conv2d(width, width, 3, padding=1) for _ in range(2))
        self.norm = nn.BatchNorm2d(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """X + f(x)."""
        return x + self.second(torch.relu(self.norm(self.first(x))))


def main(file: str = "watch.png", steps: int = 400, width: int = 16) -> ntkscope.Watch:
    """Train on the digits 0 to 4, then on 5 to 9."""
    torch.manual_seed(0)
    digits = load_digits()
    x = torch.from_numpy(digits.images[:, None].astype("float32") / 16)
    y = torch.from_numpy(digits.target)
    model = nn.Sequential(
        nn.Conv2d(1, width, 3, padding=1), Block(width), Block(width), nn.ReLU(),
        nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Dropout(0.1), nn.Linear(4 * width, 5),
    )  # fmt: skip
    optimiser = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    tasks = [torch.nonzero(y < 5)[:, 0], torch.nonzero(y >= 5)[:, 0]]
    probe = tasks[0][:60]
    watch = ntkscope.Watch(model, x[probe], y[probe], overhead=0.3)  # 1
    watch.step(0)  # 2: the network as initialised
    for step in range(1, 2 * steps + 1):
        task = tasks[step > steps]
        batch = task[torch.randint(len(task), (128,))]
        loss = nn.functional.cross_entropy(model(x[batch]), y[batch] % 5)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        watch.step(step, loss=loss)  # 3
        if step == steps:
            watch.boundary(step)  # 4
    watch.plot(file)  # 5
    return watch


if __name__ == "__main__":
    watched = main(*sys.argv[1:2])
    print(watched)
    velocity = watched.dataset().velocity.isel(seed=0)
    print(f"largest velocity: step {int(velocity.step[np.nanargmax(velocity)])}")
