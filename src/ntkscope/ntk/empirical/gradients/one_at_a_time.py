"""Per-sample gradients by plain autograd, one sample after the other: slow, and right.

It asks nothing of a model but that `torch.autograd.grad` can go back through one sample's outputs:
branches on values, sparse gradients, recurrent kernels, operations without a batched derivative,
complex parameters and derivatives inside the forward pass are all the same to it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def gradients_one_at_a_time(
    model: nn.Module, names: list[str], x: Tensor, output_vectors: Tensor
) -> dict[str, Tensor]:
    """Gradients of ⟨v_r, f(x_n)⟩ with respect to named parameters.

    Args:
        model: maps [1, …] to [1, K].
        names: of its parameters.
        x: inputs [N, …].
        output_vectors: v [R, K].

    Returns:
        name → [N, R, P] in the dtype of `output_vectors`; P counts the real and the imaginary part
        of a complex parameter, whose kernel is the real part of the Hermitian product.
    """
    parameters = dict(model.named_parameters())
    chosen = [parameters[name] for name in names]
    each = [_of_one(model, chosen, x[i : i + 1], output_vectors) for i in range(len(x))]
    return {
        name: torch.stack(rows) for name, rows in zip(names, zip(*each, strict=True), strict=True)
    }


def _of_one(
    model: nn.Module, parameters: list[nn.Parameter], x: Tensor, output_vectors: Tensor
) -> list[Tensor]:
    """[R, P] of each parameter."""
    with torch.enable_grad():
        y: Tensor = model(x.clone())
    if not y.requires_grad:
        return [
            dense_real(torch.zeros_like(p), output_vectors).expand(len(output_vectors), -1)
            for p in parameters
        ]
    rows = [
        torch.autograd.grad(
            y,
            parameters,
            vector.to(y).unsqueeze(0),
            retain_graph=True,
            allow_unused=True,
            materialize_grads=True,
        )
        for vector in output_vectors
    ]
    return [
        torch.stack([dense_real(g, output_vectors) for g in column])
        for column in zip(*rows, strict=True)
    ]


def dense_real(gradient: Tensor, like: Tensor) -> Tensor:
    """A gradient as a vector [P] of `like`'s dtype and device; of a complex one both parts."""
    found = gradient.detach()
    if found.layout != torch.strided:
        found = found.to_dense()
    if found.is_complex():
        found = torch.view_as_real(found.resolve_conj())
    return found.reshape(-1).to(like)
