"""Networks that train together: their parameters, those kept so far, and the optimiser."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from ntkscope.config.curve_specs import LearningSpec
from ntkscope.config.specs import OptimizerSpec
from ntkscope.models import Architecture, StackedNetwork
from ntkscope.training.learning_curve.scalar_losses import scalar_loss
from ntkscope.training.optimizers import Optimizer
from ntkscope.training.state import Named

_GROUPS = ("present", "kept", "momentum")


class LiveNetworks:
    """A stack between two steps.

    Args:
        layers: of the networks.
        learning: loss and optimiser.
        tensors: `present/{parameter}` → [M, …], of the device and dtype to train in; going on, also
            `kept/…`, the parameters of least validation error, and `momentum/…`.
    """

    def __init__(self, layers: Architecture, learning: LearningSpec, tensors: Named) -> None:
        self.layers, self.learning = layers, learning
        groups: dict[str, Named] = {group: {} for group in _GROUPS}
        for key, tensor in tensors.items():
            group, _, name = key.partition("/")
            groups[group][name] = tensor
        self.stack = StackedNetwork(layers, groups["present"])
        self.kept = groups["kept"] or {n: t.clone() for n, t in groups["present"].items()}
        slots = {"momentum": groups["momentum"]} if groups["momentum"] else None
        self.optimizer = Optimizer(_sgd(learning), self.stack.parameter_dict(), slots)

    def tensors(self) -> Named:
        """What they are made of again, `{group}/{parameter}` → [M, …]."""
        momentum = self.optimizer.slots.get("momentum", {})
        named: list[Mapping[str, Tensor]] = [self.stack.parameter_dict(), self.kept, momentum]
        return {
            f"{group}/{name}": tensor.detach()
            for group, of_group in zip(_GROUPS, named, strict=True)
            for name, tensor in of_group.items()
        }

    def update(self, inputs: Tensor, targets: Tensor) -> None:
        """One step of every network on its own batch, inputs [M, B, …] and targets [M, B].

        Their losses are summed: no network's gradient sees another.
        """
        self.stack.zero_grad()
        outputs = self.stack(inputs).squeeze(2)
        scalar_loss(self.learning.loss, outputs, targets).mean(1).sum().backward()
        self.optimizer.step(self.stack.gradients(), 1.0)

    def present(self, row: int) -> Named:
        """One network's parameters, name → […], views."""
        return {n: p.detach()[row] for n, p in self.stack.parameter_dict().items()}

    def keep(self, row: int) -> None:
        """One network's present parameters become those kept."""
        for name, parameter in self.present(row).items():
            self.kept[name][row] = parameter

    def only(self, rows: Sequence[int]) -> LiveNetworks:
        """Some of the networks, in this order."""
        first = next(iter(self.kept.values()))
        index = torch.tensor(rows, device=first.device)
        chosen = {key: tensor.index_select(0, index) for key, tensor in self.tensors().items()}
        return LiveNetworks(self.layers, self.learning, chosen)


def _sgd(learning: LearningSpec) -> OptimizerSpec:
    return OptimizerSpec(
        kind="sgd",
        learning_rate=learning.learning_rate,
        momentum=learning.momentum,
        weight_decay=learning.weight_decay,
        schedule="constant",
    )
