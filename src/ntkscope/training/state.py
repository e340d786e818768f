"""All that training needs to go on: parameters, constants, optimiser, step. Kept by safetensors."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from safetensors.torch import load, save
from torch import Tensor

from ntkscope.config.specs import RunSpec
from ntkscope.models import Definition
from ntkscope.training.optimizers import Optimizer, Slots
from ntkscope.training.stacking import Stack, make_stack

Named = dict[str, Tensor]


@dataclass
class TrainingState:
    """Networks of all seeds between two steps.

    Attributes:
        step: global step: number of updates made.
        stacks: the seeds, in order, as one or more stacks of networks.
        optimizers: one a stack.
        diverged_step: int64 [S]; first snapshot step at which a seed was not finite, −1: none.
    """

    step: int
    stacks: list[Stack]
    optimizers: list[Optimizer]
    diverged_step: np.ndarray

    def parameters(self) -> Named:
        """Name → [S, …] of what is trained, copies on the CPU."""
        return _together([stack.parameter_dict() for stack in self.stacks])

    def constants(self) -> Named:
        """Name → [S, …] of buffers and of parameters that are not trained, copies on the CPU."""
        return _together([stack.constant_dict() for stack in self.stacks])

    def optimizer_tensors(self) -> Named:
        """`slot|name` → [S, …] for every tensor of the optimisers."""
        parts: list[Mapping[str, Tensor]] = []
        for optimizer in self.optimizers:
            slots = optimizer.slots.items()
            parts.append({f"{slot}|{n}": t for slot, named in slots for n, t in named.items()})
        return _together(parts)

    def to_bytes(self) -> bytes:
        """A checkpoint."""
        tensors = {f"parameters/{n}": t for n, t in self.parameters().items()}
        tensors |= {f"constants/{n}": t for n, t in self.constants().items()}
        tensors |= {f"optimizer/{n}": t for n, t in self.optimizer_tensors().items()}
        about = {"step": self.step, "diverged_step": self.diverged_step.tolist()}
        return save(tensors, metadata={"about": json.dumps(about)})


def _together(parts: list[Mapping[str, Tensor]]) -> Named:
    return {n: torch.cat([p[n].detach() for p in parts]).cpu() for n in parts[0]}


def new_state(
    run: RunSpec,
    definition: Definition,
    tensors: Named,
    sizes: list[int],
    device: torch.device,
    *,
    step: int = 0,
    optimizer_tensors: Named | None = None,
    diverged_step: np.ndarray | None = None,
) -> TrainingState:
    """A state from parameters and constants, name → [S, …], of seeds in stacks of these sizes.

    When going on, also from the optimisers' `slot|name` → [S, …].
    """
    stacks, optimizers, start, dtype = [], [], 0, getattr(torch, run.precision)
    for size in sizes:
        mine = slice(start, start + size)
        of_stack = {n: t[mine] for n, t in tensors.items()}
        stack = make_stack(definition, of_stack, run.seeds[mine], dtype, device)
        slots: Slots = {}
        for key, tensor in (optimizer_tensors or {}).items():
            slot, _, name = key.partition("|")
            slots.setdefault(slot, {})[name] = tensor[mine].to(device, copy=True)
        stacks.append(stack)
        optimizers.append(Optimizer(run.optimizer, stack.parameter_dict(), slots))
        start += size
    if diverged_step is None:
        diverged_step = np.full(start, -1, dtype=np.int64)
    return TrainingState(step, stacks, optimizers, diverged_step)


def read_checkpoint(content: bytes) -> tuple[dict[str, Any], Mapping[str, Named]]:
    """What a checkpoint says `about` itself, and its tensors: group → name in it → tensor."""
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    groups: defaultdict[str, Named] = defaultdict(dict)
    for name, tensor in load(content).items():
        group, _, rest = name.partition("/")
        groups[group][rest] = tensor
    return json.loads(header["__metadata__"]["about"]), groups


def state_from_bytes(
    content: bytes, run: RunSpec, definition: Definition, sizes: list[int], device: torch.device
) -> TrainingState:
    """A checkpoint made by `TrainingState.to_bytes`."""
    about, groups = read_checkpoint(content)
    return new_state(
        run,
        definition,
        groups["parameters"] | groups["constants"],
        sizes,
        device,
        step=about["step"],
        optimizer_tensors=groups["optimizer"],
        diverged_step=np.array(about["diverged_step"], dtype=np.int64),
    )
