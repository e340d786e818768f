"""All that training needs to go on: parameters, optimiser, step. Kept by safetensors."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import torch
from safetensors.torch import load, save
from torch import Tensor

from ntkscope.config.specs import OptimizerSpec
from ntkscope.models import Architecture, StackedNetwork
from ntkscope.training.optimizers import Optimizer, Slots

Named = dict[str, Tensor]


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
    optimizers: list[Optimizer]
    diverged_step: np.ndarray

    def parameters(self) -> Named:
        """Name → [S, …], copies on the CPU."""
        parts = [stack.parameter_dict() for stack in self.stacks]
        return {n: torch.cat([p[n].detach() for p in parts]).cpu() for n in parts[0]}

    def optimizer_tensors(self) -> Named:
        """`slot|name` → [S, …] for every tensor of the optimisers."""
        parts = [optimizer.slots for optimizer in self.optimizers]
        return {
            f"{slot}|{name}": torch.cat([part[slot][name] for part in parts]).cpu()
            for slot, named in parts[0].items()
            for name in named
        }

    def to_bytes(self) -> bytes:
        """A checkpoint."""
        tensors = {f"parameters/{n}": t for n, t in self.parameters().items()}
        tensors |= {f"optimizer/{n}": t for n, t in self.optimizer_tensors().items()}
        about = {"step": self.step, "diverged_step": self.diverged_step.tolist()}
        return save(tensors, metadata={"about": json.dumps(about)})


def new_state(
    layers: Architecture,
    parameters: Named,
    optimizer: OptimizerSpec,
    sizes: list[int],
    device: torch.device,
    *,
    step: int = 0,
    optimizer_tensors: Named | None = None,
    diverged_step: np.ndarray | None = None,
) -> TrainingState:
    """A state from parameters [S, …] and, when going on, the optimisers' `slot|name` → [S, …]."""
    stacks, optimizers, start = [], [], 0
    for size in sizes:
        mine = slice(start, start + size)
        stack = StackedNetwork(layers, {n: t[mine].to(device) for n, t in parameters.items()})
        slots: Slots = {}
        for key, tensor in (optimizer_tensors or {}).items():
            slot, _, name = key.partition("|")
            slots.setdefault(slot, {})[name] = tensor[mine].to(device, copy=True)
        stacks.append(stack)
        optimizers.append(Optimizer(optimizer, dict(stack.parameter_dict()), slots))
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
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    about = json.loads(header["__metadata__"]["about"])
    groups: dict[str, Named] = {"parameters": {}, "optimizer": {}}
    for name, tensor in load(content).items():
        group, _, rest = name.partition("/")
        groups[group][rest] = tensor
    return new_state(
        layers,
        groups["parameters"],
        optimizer,
        sizes,
        device,
        step=about["step"],
        optimizer_tensors=groups["optimizer"],
        diverged_step=np.array(about["diverged_step"], dtype=np.int64),
    )
