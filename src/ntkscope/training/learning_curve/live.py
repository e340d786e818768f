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

    MKL's batched products of two matrices or more have the same bits for each of them, however many
    they are, but one alone has others: a network that has lost its company goes on with a copy.

    Args:
        layers: of the networks.
        learning: loss and optimiser.
        tensors: `present/{parameter}` → [M, …], of the device and dtype to train in; going on, also
            `kept/…`, the parameters of least validation error, and `momentum/…`.
        in_company: whether such networks train in company; where they never do, one goes alone.
    """

    def __init__(
        self, layers: Architecture, learning: LearningSpec, tensors: Named, in_company: bool
    ) -> None:
        self.layers, self.learning, self.in_company = layers, learning, in_company
        self.models = len(next(iter(tensors.values())))
        groups: dict[str, Named] = {group: {} for group in _GROUPS}
        for key, tensor in tensors.items():
            group, _, name = key.partition("/")
            groups[group][name] = tensor if group == "kept" else self._with_copy(tensor)
        self.stack = StackedNetwork(layers, groups["present"])
        present = self.stack.parameter_dict()
        self.kept = groups["kept"] or {
            n: p.detach()[: self.models].clone() for n, p in present.items()
        }
        slots = {"momentum": groups["momentum"]} if groups["momentum"] else None
        self.optimizer = Optimizer(_sgd(learning), self.stack.parameter_dict(), slots)

    def tensors(self) -> Named:
        """What they are made of again, `{group}/{parameter}` → [M, …]."""
        momentum = self.optimizer.slots.get("momentum", {})
        named: list[Mapping[str, Tensor]] = [self.stack.parameter_dict(), self.kept, momentum]
        return {
            f"{group}/{name}": tensor.detach()[: self.models]
            for group, of_group in zip(_GROUPS, named, strict=True)
            for name, tensor in of_group.items()
        }

    def update(self, inputs: Tensor, targets: Tensor) -> None:
        """One step of every network on its own batch, inputs [M, B, …] and targets [M, B].

        Their losses are summed: no network's gradient sees another.
        """
        self.stack.zero_grad()
        outputs = self.stack(self._with_copy(inputs)).squeeze(2)
        targets = self._with_copy(targets)
        scalar_loss(self.learning.loss, outputs, targets).mean(1).sum().backward()
        self.optimizer.step(self.stack.gradients(), 1.0)

    def _with_copy(self, tensor: Tensor) -> Tensor:
        """[M, …], or twice the same of a network without the company that it may have."""
        return torch.cat([tensor, tensor]) if self.in_company and self.models == 1 else tensor

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
        return LiveNetworks(self.layers, self.learning, chosen, self.in_company)


def _sgd(learning: LearningSpec) -> OptimizerSpec:
    return OptimizerSpec(
        kind="sgd",
        learning_rate=learning.learning_rate,
        momentum=learning.momentum,
        weight_decay=learning.weight_decay,
        schedule="constant",
    )
