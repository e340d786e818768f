"""Training loops that are watched, or not."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ntkscope import Watch

PROBE, CLASSES = 12, 3


def samples(count: int = 48) -> tuple[Tensor, Tensor]:
    """Images of three classes."""
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(count, 1, 4, 4, generator=generator)
    return x, torch.arange(count) % CLASSES


def network() -> nn.Module:
    """With all that evaluation mode changes."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Dropout(0.3),
        nn.Flatten(),
        nn.Linear(64, CLASSES),
    )


@dataclass
class Trained:
    """What is left of a training."""

    model: nn.Module
    optimiser: torch.optim.Optimizer
    losses: list[float]
    states: list[Any]
    watch: Watch | None


def train(
    watched: Callable[[nn.Module], Watch] | None,
    steps: int = 12,
    *,
    wrap: Callable[[nn.Module], nn.Module] = lambda model: model,
    accumulate: int = 1,
    autocast: bool = False,
) -> Trained:
    """A loop with shuffled batches, momentum, dropout, batch norm, and a task that changes."""
    random.seed(0)
    np.random.seed(0)
    inner = network()
    model, (x, y) = wrap(inner), samples()
    optimiser = torch.optim.Adam(model.parameters(), lr=0.02)
    loader = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(x, y), batch_size=8, shuffle=True
    )
    watch = watched(model) if watched else None
    losses: list[float] = []
    step = micro = 0
    while step < steps:
        for images, labels in loader:
            target = labels if step < steps // 2 else (labels + 1) % CLASSES
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
                loss = nn.functional.cross_entropy(model(images), target)
                if watch and accumulate > 1 and micro % accumulate == 0:
                    watch.step(step * 2)  # with gradients half accumulated
            loss.backward()
            micro += 1
            if micro % accumulate:
                continue
            optimiser.step()
            optimiser.zero_grad()
            losses.append(float(loss.detach()) + random.random() + np.random.rand())
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
                if watch:
                    watch.step(step * 2 + 1 if accumulate > 1 else step, loss=loss)
                    if step == steps // 2 - 1:
                        watch.boundary()
            step += 1
            if step == steps:
                break
    states = [torch.get_rng_state(), np.random.get_state()[1], random.getstate()]
    return Trained(inner, optimiser, losses, states, watch)


def make_watch(**options: Any) -> Callable[[nn.Module], Watch]:
    """A watch of a model on the first samples."""
    x, y = samples()
    return lambda model: Watch(model, x[:PROBE], y[:PROBE], **{"overhead": None, **options})
