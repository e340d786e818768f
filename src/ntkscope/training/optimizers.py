"""SGD and Adam by torch's functional forms, with their tensors in plain view for checkpoints.

The forms are those behind `torch.optim.SGD` and `torch.optim.Adam`; the classes themselves import
torch's compiler (2 s a process), which a job of a few seconds cannot afford.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.optim.adam import adam
from torch.optim.sgd import sgd

from ntkscope.config.specs import OptimizerSpec

_BETAS, _EPS = (0.9, 0.999), 1e-8  # torch's defaults

Slots = dict[str, dict[str, Tensor]]


class Optimizer:
    """Updates a stack's parameters in place.

    Args:
        spec: kind and constants.
        parameters: name → [M, …].
        slots: slot → name → tensor, to go on from; None: the beginning. `momentum` [M, …] for SGD
            with momentum; `mean`, `square` [M, …] and `count` [M] for Adam.
    """

    def __init__(
        self, spec: OptimizerSpec, parameters: Mapping[str, Tensor], slots: Slots | None = None
    ) -> None:
        self.spec, self.parameters = spec, parameters
        self.slots = slots if slots else _fresh(spec, parameters)

    @torch.no_grad()
    def step(self, gradients: Mapping[str, Tensor], factor: float) -> None:
        """One update with the parameters' gradients, at `factor` times the learning rate."""
        names = list(self.parameters)
        values = [self.parameters[n] for n in names]
        rate = self.spec.learning_rate * factor
        update = self._adam if self.spec.kind == "adam" else self._sgd
        update(names, values, [gradients[n] for n in names], rate)

    def _sgd(
        self, names: list[str], values: list[Tensor], gradients: list[Tensor], rate: float
    ) -> None:
        momenta = self.slots.get("momentum", {})
        buffers: list[Tensor | None] = [momenta.get(n) for n in names]
        sgd(
            values,
            gradients,
            buffers,
            foreach=True,
            weight_decay=self.spec.weight_decay,
            momentum=self.spec.momentum,
            lr=rate,
            dampening=0.0,
            nesterov=False,
            maximize=False,
        )
        if self.spec.momentum:
            self.slots["momentum"] = {
                n: b for n, b in zip(names, buffers, strict=True) if b is not None
            }

    def _adam(
        self, names: list[str], values: list[Tensor], gradients: list[Tensor], rate: float
    ) -> None:
        counts = [self.slots["count"][n] for n in names]
        adam(
            values,
            gradients,
            [self.slots["mean"][n] for n in names],
            [self.slots["square"][n] for n in names],
            [],
            [c[0] for c in counts],
            foreach=True,
            amsgrad=False,
            beta1=_BETAS[0],
            beta2=_BETAS[1],
            lr=rate,
            weight_decay=self.spec.weight_decay,
            eps=_EPS,
            maximize=False,
        )
        for count in counts:
            count[1:] = count[0]


def _fresh(spec: OptimizerSpec, parameters: Mapping[str, Tensor]) -> Slots:
    if spec.kind == "sgd":
        return {}
    models = next(iter(parameters.values())).shape[0]
    return {
        "mean": {n: torch.zeros_like(p) for n, p in parameters.items()},
        "square": {n: torch.zeros_like(p) for n, p in parameters.items()},
        "count": {n: torch.zeros(models) for n in parameters},
    }
