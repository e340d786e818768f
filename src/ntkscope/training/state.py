"""All that training needs to go on: parameters, optimiser, step. Kept by safetensors, never pickled."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import torch
from safetensors.torch import load, save
from torch import Tensor

from ntkscope.config.runs import OptimizerSpec
from ntkscope.models import Architecture, StackedNetwork


@dataclass
class TrainingState:
    """Networks of all seeds between two steps.

    Attributes:
        step: global step: number of updates made.
        stacks: the seeds, in order, as one or more stacked networks.
        optimizers: one a stack.
        diverged_step: int64 [S]; first snapshot step at which a seed was not finite, −1: none.
    """

    step: int
    stacks: list[StackedNetwork]
    optimizers: list[torch.optim.Optimizer]
    diverged_step: np.ndarray

    def parameters(self) -> dict[str, Tensor]:
        """Name → [S, …], on the CPU."""
        parts = [stack.parameter_dict() for stack in self.stacks]
        return {n: torch.cat([p[n].detach().cpu() for p in parts]) for n in parts[0]}

    def optimizer_tensors(self) -> dict[str, Tensor]:
        """`name/slot` → [S, …] for every tensor of the optimisers (momentum, moments, step counts)."""
        parts = [
            {
                f"{name}/{slot}": _per_network(value, stack.models)
                for name, parameter in stack.parameter_dict().items()
                for slot, value in optimizer.state[parameter].items()
                if isinstance(value, Tensor)
            }
            for stack, optimizer in zip(self.stacks, self.optimizers, strict=True)
        ]
        return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}

    def to_bytes(self) -> bytes:
        """A checkpoint."""
        tensors = {f"parameters/{n}": t.contiguous() for n, t in self.parameters().items()}
        tensors |= {f"optimizer/{n}": t.contiguous() for n, t in self.optimizer_tensors().items()}
        about = {"step": self.step, "diverged_step": self.diverged_step.tolist()}
        tensors["about"] = torch.frombuffer(
            bytearray(json.dumps(about).encode()), dtype=torch.uint8
        )
        return save(tensors)


def new_state(
    layers: Architecture,
    parameters: dict[str, Tensor],
    optimizer: OptimizerSpec,
    sizes: list[int],
    device: torch.device,
    *,
    step: int = 0,
    optimizer_tensors: dict[str, Tensor] | None = None,
    diverged_step: np.ndarray | None = None,
) -> TrainingState:
    """A state from stacked parameters [S, …] and, when going on, the optimisers' tensors."""
    stacks, optimizers, start = [], [], 0
    for size in sizes:
        mine = slice(start, start + size)
        stack = StackedNetwork(layers, {n: t[mine].to(device) for n, t in parameters.items()})
        chosen = _optimizer(optimizer, stack)
        _restore(chosen, stack, {n: t[mine] for n, t in (optimizer_tensors or {}).items()})
        stacks.append(stack)
        optimizers.append(chosen)
        start += size
    if diverged_step is None:
        diverged_step = np.full(start, -1, dtype=np.int64)
    return TrainingState(step, stacks, optimizers, diverged_step)


def state_from_bytes(
    content: bytes,
    layers: Architecture,
    optimizer: OptimizerSpec,
    sizes: list[int],
    device: torch.device,
) -> TrainingState:
    """A checkpoint made by `TrainingState.to_bytes`."""
    tensors = load(content)
    about = json.loads(bytes(tensors.pop("about").numpy()))
    split: dict[str, dict[str, Tensor]] = {"parameters": {}, "optimizer": {}}
    for name, tensor in tensors.items():
        group, _, rest = name.partition("/")
        split[group][rest] = tensor
    return new_state(
        layers,
        split["parameters"],
        optimizer,
        sizes,
        device,
        step=about["step"],
        optimizer_tensors=split["optimizer"],
        diverged_step=np.array(about["diverged_step"], dtype=np.int64),
    )


def _optimizer(spec: OptimizerSpec, stack: StackedNetwork) -> torch.optim.Optimizer:
    rate, decay = spec.learning_rate, spec.weight_decay
    if spec.kind == "adam":
        return torch.optim.Adam(stack.parameters(), lr=rate, weight_decay=decay, foreach=True)
    return torch.optim.SGD(
        stack.parameters(), lr=rate, momentum=spec.momentum, weight_decay=decay, foreach=True
    )


def _per_network(value: Tensor, models: int) -> Tensor:
    """An optimiser's tensor with its network axis; scalars (step counts) are one a stack."""
    return value.detach().cpu() if value.ndim else value.detach().cpu().expand(models).clone()


def _restore(
    optimizer: torch.optim.Optimizer, stack: StackedNetwork, tensors: dict[str, Tensor]
) -> None:
    for name, value in tensors.items():
        parameter_name, _, slot = name.rpartition("/")
        parameter = stack.parameter(parameter_name)
        assert parameter is not None
        is_scalar = slot == "step"
        optimizer.state[parameter][slot] = (
            value[0].clone() if is_scalar else value.to(parameter.device).clone()
        )
