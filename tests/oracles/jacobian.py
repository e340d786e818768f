"""Exact NTKs of any network by its per-sample Jacobians: plain, and the reference for faster ways.

Torch's function transforms differentiate the network of one sample with respect to its
parameters; the kernel is the Jacobians' Gram matrix (Jacot et al. 2018, section 4), added up over
parameters and cotangents so that no more than one of each is in memory.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.func import vjp, vmap

from ntkscope.ntk.empirical.gradients.autograd import with_tensors
from ntkscope.ntk.empirical.validation import count_outputs
from ntkscope.ntk.kinds import output_vectors_of


def jacobian_layer_ntks(
    model: nn.Module, x1: Tensor, x2: Tensor | None, kind: str, chunk: int = 32
) -> Iterator[tuple[str, Tensor]]:
    """The NTK of each module that has parameters of its own; their sum is the model's NTK.

    Args:
        model: maps [N, …] to [N, K], each sample by itself.
        x1, x2: inputs; x2 None: x1.
        kind: trace, full or pseudo.
        chunk: samples differentiated at once.

    Yields:
        Module name and kernel [N, N2], or [N·K, N2·K] (kind full).
    """
    outputs = count_outputs(model, x1)
    output_vectors = output_vectors_of(
        kind, outputs, x1 if x1.is_floating_point() else _some_parameter(model)
    )
    for name, module in model.named_modules():
        own = {
            f"{name}.{p}" if name else p: v.detach()
            for p, v in module.named_parameters(recurse=False)
            if v.requires_grad
        }
        if own:
            left = _jacobian(model, own, x1, output_vectors, chunk)
            right = left if x2 is None else _jacobian(model, own, x2, output_vectors, chunk)
            yield name, _gram(left, right, kind)


def _some_parameter(model: nn.Module) -> Tensor:
    return next(p for p in model.parameters() if p.requires_grad)


def _jacobian(
    model: nn.Module, own: dict[str, Tensor], x: Tensor, output_vectors: Tensor, chunk: int
) -> Tensor:
    """[R, N, P]: R cotangents, P parameters of one module."""

    def of_one(sample: Tensor, start: Tensor) -> Tensor:
        def outputs(p: dict[str, Tensor]) -> Tensor:
            return with_tensors(model, p, sample.unsqueeze(0)).squeeze(0)

        gradients = vjp(outputs, own)[1](start)[0]
        return torch.cat([gradients[n].flatten() for n in own])

    per_sample = vmap(vmap(of_one, (0, None)), (None, 0), chunk_size=1)
    return torch.cat([per_sample(part, output_vectors) for part in x.split(chunk)], dim=1)


def _gram(left: Tensor, right: Tensor, kind: str) -> Tensor:
    if kind == "full":
        first, second = (j.transpose(0, 1).flatten(0, 1) for j in (left, right))
        return first @ second.T
    return (left @ right.mT).sum(0) / left.shape[0]
