"""Kernels of no samples at all: empty, and of the right shape."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ntkscope.ntk.empirical.last_resort import kernel_dtype
from ntkscope.ntk.empirical.outputs import called
from ntkscope.ntk.empirical.plan import layers_that_learn
from ntkscope.ntk.empirical.state import preserve_state
from ntkscope.ntk.empirical.validation import count_outputs


def kernels_without_samples(
    model: nn.Module, x1: Tensor, x2: Tensor | None, kind: str
) -> dict[str, Tensor]:
    """Of each module that has parameters of its own, as of `engine.compute_kernels`.

    Args:
        model: of which only K is read, and that only for kinds whose shape it is in.
        x1, x2: inputs, of which at least one has no samples; x2 None: x1.
        kind: `kinds.EMPIRICAL_KINDS`.

    Raises:
        ModelError: the model does not take an empty batch, where there is no other.
    """
    n, m = len(x1), len(x1 if x2 is None else x2)
    shape: tuple[int, ...] = (n, m)
    if kind in ("full", "diagonal"):
        some = x1 if n or x2 is None else x2
        with preserve_state(model):
            K = count_outputs(model, some[:2]) if len(some) else called(model, x1).shape[1]
        shape = (n, K, m, K) if kind == "full" else (n, m, K)
    like = next(p for p in model.parameters() if p.requires_grad)
    empty = torch.empty(shape, dtype=kernel_dtype(model), device=like.device)
    return {layer.name: empty.clone() for layer in layers_that_learn(model) if layer.owns}
