"""All that the training of a learning curve needs to go on. Kept by safetensors."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import torch
from safetensors.torch import save

from ntkscope.config.curve_specs import NetworksSpec
from ntkscope.models import Architecture
from ntkscope.training.learning_curve.live import LiveNetworks
from ntkscope.training.learning_curve.log import CurveLog
from ntkscope.training.state import read_checkpoint


@dataclass
class CurveState:
    """Between two steps of one group of networks.

    Attributes:
        log: of all networks.
        group: which group trains; those before it have ended.
        step: updates that it has made.
        indices: the members of the group that still train.
        live: their tensors, row by row; None: the group has not begun.
    """

    log: CurveLog
    group: int = 0
    step: int = 0
    indices: tuple[int, ...] = ()
    live: LiveNetworks | None = None

    def next_group(self) -> None:
        """Its networks have all ended."""
        self.group, self.step, self.live = self.group + 1, 0, None

    def to_bytes(self) -> bytes:
        """A checkpoint."""
        live = {} if self.live is None else self.live.tensors()
        tensors = {f"live/{name}": t.contiguous().cpu() for name, t in live.items()}
        tensors |= {f"log/{name}": t for name, t in self.log.tensors().items()}
        about: dict[str, Any] = {"group": self.group, "step": self.step, "indices": self.indices}
        about["in_company"] = self.live is not None and self.live.in_company
        return save(tensors, metadata={"about": json.dumps(about)})


def state_from_bytes(
    content: bytes, spec: NetworksSpec, layers: Architecture, device: torch.device
) -> CurveState:
    """A checkpoint made by `CurveState.to_bytes`."""
    about, groups = read_checkpoint(content)
    log = CurveLog(spec, {name: t.numpy() for name, t in groups["log"].items()})
    live = None
    if groups["live"]:
        tensors = {name: t.to(device, copy=True) for name, t in groups["live"].items()}
        live = LiveNetworks(layers, spec.learning, tensors, about["in_company"])
    return CurveState(log, about["group"], about["step"], tuple(about["indices"]), live)
