"""A step of training for all seeds: one by one, under vmap, and as one stacked network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import functional_call, grad, stack_module_state, vmap

from benchmarks.gpu.timing import by_turns
from ntkscope.config.specs import ModelSpec
from ntkscope.models import StackedNetwork, build_network, initial_parameters
from ntkscope.models.zoo import architecture

_RATE = 0.01


@dataclass(frozen=True)
class Training:
    """A network, and how many seeds of it learn at once."""

    spec: ModelSpec
    shape: tuple[int, int, int]
    seeds: int = 5
    batch: int = 64

    @property
    def name(self) -> str:
        """As printed."""
        return f"{self.spec.kind} width {self.spec.width}, {self.seeds} seeds"


def trainings(quick: bool) -> list[Training]:
    """What is measured."""
    if quick:
        return [Training(ModelSpec(kind="cnn", depth=2, width=4), (8, 8, 1), 2, 4)]
    dense = [ModelSpec(kind="mlp", depth=2, width=width) for width in (64, 256, 1024)]
    images = [
        ModelSpec(kind="cnn", depth=2, width=32),
        ModelSpec(kind="myrtle5", depth=5, width=64),
    ]
    return [
        *(Training(spec, (28, 28, 1)) for spec in dense),
        *(Training(spec, (32, 32, 3)) for spec in images),
    ]


def training_rows(device: torch.device, quick: bool) -> list[dict[str, Any]]:
    """A row for each network: milliseconds a step of all seeds, and how often one by one is that.

    Raises:
        AssertionError: the ways lead to different parameters.
    """
    rows = []
    for training in trainings(quick):
        steps = ways(training, device)
        losses = [step() for step in (*steps.values(), *steps.values())]
        for loss in losses[len(steps) :]:  # after a step
            torch.testing.assert_close(loss, losses[-1], rtol=1e-3, atol=1e-3)
        seconds = by_turns(device, steps, 3 if quick else 30)
        row: dict[str, Any] = {"training": training.name}
        row |= {f"{name}_ms": 1e3 * each for name, each in seconds.items()}
        row |= {f"{name}_gain": seconds["one_by_one"] / seconds[name] for name in list(steps)[1:]}
        rows.append(row)
    return rows


def ways(training: Training, device: torch.device) -> Mapping[str, Callable[[], Tensor]]:
    """Functions that do one step of SGD for all seeds, and give their losses before it."""
    layers = architecture(training.spec, training.shape, 10)
    y, x, channels = training.shape
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(training.batch, channels, y, x, generator=generator).to(device)
    labels = torch.randint(10, (training.batch,), generator=generator).to(device)
    networks = [build_network(layers, seed).to(device) for seed in range(training.seeds)]
    drawn = [initial_parameters(layers, seed) for seed in range(training.seeds)]
    together = {name: torch.stack([each[name] for each in drawn]).to(device) for name in drawn[0]}
    stack = StackedNetwork(layers, together)
    state, _ = stack_module_state([build_network(layers, s) for s in range(training.seeds)])
    state = {name: value.detach().to(device) for name, value in state.items()}
    optimizers = [_sgd(network.parameters()) for network in (*networks, stack)]

    def one_by_one() -> Tensor:
        losses = []
        for network, optimizer in zip(networks, optimizers, strict=False):
            losses.append(F.cross_entropy(network(inputs), labels))
            _step(losses[-1], optimizer)
        return torch.stack(losses).detach()

    def under_vmap() -> Tensor:
        gradients, losses = vmap(grad(_loss, has_aux=True), (0, None, None, None))(
            state, networks[0], inputs, labels
        )
        torch._foreach_add_(list(state.values()), list(gradients.values()), alpha=-_RATE)
        return losses.detach()

    def stacked() -> Tensor:
        every = inputs.expand(training.seeds, *inputs.shape)
        logits = stack(every).transpose(1, 2)
        losses = F.cross_entropy(logits, labels.expand(training.seeds, -1), reduction="none").mean(
            1
        )
        _step(losses.sum(), optimizers[-1])
        return losses.detach()

    return {"one_by_one": one_by_one, "vmap": under_vmap, "stacked": stacked}


def _loss(
    state: dict[str, Tensor], network: torch.nn.Module, inputs: Tensor, labels: Tensor
) -> tuple[Tensor, Tensor]:
    loss = F.cross_entropy(functional_call(network, state, (inputs,)), labels)
    return loss, loss


def _sgd(parameters: Any) -> torch.optim.SGD:
    return torch.optim.SGD(parameters, lr=_RATE, foreach=True)


def _step(loss: Tensor, optimizer: torch.optim.SGD) -> None:
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
