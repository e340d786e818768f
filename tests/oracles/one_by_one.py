"""The NTK of anything that torch can differentiate: one sample, one output, one pass at a time."""

import torch
from torch import Tensor, nn


def jacobian(model: nn.Module, x: Tensor) -> Tensor:
    """[N, K, P], real: of a complex parameter the real and the imaginary part."""
    learn, rows = [p for p in model.parameters() if p.requires_grad], []
    for i in range(len(x)):
        outputs = model(x[i : i + 1])[0]
        rows.append(torch.stack([_gradient(output, learn) for output in outputs]))
    return torch.stack(rows).detach()


def _gradient(output: Tensor, learn: list[nn.Parameter]) -> Tensor:
    found = torch.autograd.grad(
        output, learn, retain_graph=True, allow_unused=True, materialize_grads=True
    )
    return torch.cat([_real(g).flatten().double() for g in found])


def _real(g: Tensor) -> Tensor:
    g = g.to_dense() if g.is_sparse else g
    return torch.view_as_real(g) if g.is_complex() else g


def full_ntk(model: nn.Module, x1: Tensor, x2: Tensor | None = None) -> Tensor:
    """[N, K, M, K]."""
    a = jacobian(model, x1)
    b = a if x2 is None else jacobian(model, x2)
    return torch.einsum("nkp,mlp->nkml", a, b)
