"""One module as a stack of one network: what `StackedNetwork` is to networks of known layers.

One by one was at least as fast as all at once (`torch.func.stack_module_state` and `vmap`), for 5
seeds and batch 64 on one core. Time per step, at once / one by one: MLP of width 64: 0.9, 256: 1.2,
1024: 1.8; residual CNN with GroupNorm on 8×8×1: 1.2, on 28×28×1: 5.1, on 32×32×3: 5.3. And it is
right for batch norm, dropout and any control flow.
"""

from __future__ import annotations

import random

import numpy as np
import torch
from torch import Tensor, nn

from ntkscope.errors import ModelError
from ntkscope.models.definition import constants, trained_parameters
from ntkscope.seeds import RandomStream, torch_seed


class SingleNetwork(nn.Module):
    """A module with a leading axis of one network on inputs, outputs and parameters.

    Args:
        network: any module, [B, …] to [B, K].
        seed: of the random numbers in its forward pass (dropout), with the step.
        outputs: K; None: as it comes.
        function: of the user that made it, for errors.
    """

    models = 1

    def __init__(
        self,
        network: nn.Module,
        seed: int,
        outputs: int | None = None,
        function: str | None = None,
    ) -> None:
        super().__init__()
        self.network, self.seed = network, seed
        self.outputs, self.function = outputs, function

    def parameter_dict(self) -> dict[str, Tensor]:
        """Name → [1, …], views of the trained parameters."""
        return {n: p.detach().unsqueeze(0) for n, p in trained_parameters(self.network).items()}

    def differentiable(self) -> dict[str, Tensor]:
        """Name → [1, …], through which gradients flow to the trained parameters."""
        return {n: p.unsqueeze(0) for n, p in trained_parameters(self.network).items()}

    def constant_dict(self) -> dict[str, Tensor]:
        """Name → [1, …], views of buffers and of parameters that are not trained."""
        return {n: value.unsqueeze(0) for n, value in constants(self.network).items()}

    def gradients(self) -> dict[str, Tensor]:
        """Name → [1, …]; zero of what takes no part in the output."""
        return {
            n: (torch.zeros_like(p) if p.grad is None else p.grad).unsqueeze(0)
            for n, p in trained_parameters(self.network).items()
        }

    def begin_step(self, step: int) -> None:
        """Train mode, with the random numbers of a step: the same after a kill."""
        self.network.train()
        seed = torch_seed(self.seed, RandomStream.FORWARD, step)
        torch.manual_seed(seed)
        random.seed(seed)
        np.random.seed([seed % 2**32, seed >> 32])

    def forward(self, x: Tensor) -> Tensor:
        """Inputs [1, B, …] to logits [1, B, K].

        Raises:
            ModelError: the network's output is of another shape.
        """
        out: Tensor = self.network(x[0])
        if self.outputs is not None and getattr(out, "shape", None) != (x.shape[1], self.outputs):
            found = list(out.shape) if isinstance(out, Tensor) else type(out).__name__
            mode = "in training" if self.network.training else "evaluated"
            raise ModelError(
                f"the network's output for inputs {list(x[0].shape)} is {found}, not "
                f"{[x.shape[1], self.outputs]}, {mode}",
                where=self.function,
                remedy="let its forward pass return [N, outputs] at every call, in training as in "
                "evaluation, whatever N is",
            )
        return out.unsqueeze(0)
