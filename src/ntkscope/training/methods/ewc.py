"""Elastic weight consolidation: parameters that mattered to the tasks before are held back.

Kirkpatrick et al. (2017), in the online form of Schwarz et al. (2018) with γ = 1: the loss has
½ strength · Σ_i F_i (θ_i − θ*_i)², θ* the parameters at the end of the task before, F the sum over
the tasks before of the diagonal of the Fisher information at their ends, the mean over images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from ntkscope.training.methods import plain
from ntkscope.training.stacking import Stack

_STEPS = 4  # batches at the end of a task whose images the Fisher information is the mean over


class Method(plain.Method):
    """`plain` with the quadratic penalty; keeps F."""

    def penalty(self, stack: Stack, seeds: slice) -> Tensor | None:
        """½ strength · Σ F (θ − θ*)² of each network; None in the first task."""
        if not self.start.kept:
            return None
        total: Tensor | None = None
        for name, value in stack.differentiable().items():
            fisher, anchor = self.start.kept[name][seeds], self.start.parameters[name][seeds]
            term = (fisher * (value - anchor).square()).flatten(1).sum(1)
            total = term if total is None else total + term
        return None if total is None else total * (self.run.method.strength / 2)

    def end_task(self, stacks: Sequence[Stack]) -> dict[str, Tensor]:
        """F of the tasks before and of this one."""
        parts, first = [], 0
        for stack in stacks:
            seeds = slice(first, first + stack.models)
            parts.append(self._fisher(stack, seeds))
            first += stack.models
        found = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
        return {n: f + self.start.kept[n] if self.start.kept else f for n, f in found.items()}

    def _fisher(self, stack: Stack, seeds: slice) -> Mapping[str, Tensor]:
        """The diagonal over a task's last images: E over the network's own labels, one by one."""
        stack.eval()
        parameters = stack.differentiable()
        fisher = {name: torch.zeros_like(value) for name, value in parameters.items()}
        steps = range(max(0, len(self._batches) - _STEPS), len(self._batches))
        images = torch.cat([self._batches(step)[0][seeds] for step in steps], 1)
        for image in images.split(1, dim=1):
            outputs = stack(image).squeeze(1)
            weights = torch.ones_like(outputs)  # mse: a Gaussian of unit variance
            if self.run.loss == "cross_entropy":
                outputs = outputs.log_softmax(1)
                weights = outputs.detach().exp()
            for output, weight in zip(outputs.T, weights.T, strict=True):
                gradients = torch.autograd.grad(
                    output.sum(), list(parameters.values()), retain_graph=True, allow_unused=True
                )
                for name, gradient in zip(parameters, gradients, strict=True):
                    if gradient is not None:
                        scale = weight.reshape(-1, *[1] * (gradient.ndim - 1))
                        fisher[name] += scale * gradient.square() / images.shape[1]
        return {name: value.detach() for name, value in fisher.items()}
