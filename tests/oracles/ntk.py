"""The NTK by its definition: one backward pass a sample and output, one dot product a pair."""

import torch
from torch import Tensor, nn


def jacobian(model: nn.Module, x: Tensor) -> Tensor:
    """[N, K, P]."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    rows = []
    for sample in x:
        outputs = model(sample.unsqueeze(0))[0]
        for output in outputs:
            gradients = torch.autograd.grad(output, parameters, retain_graph=True)
            rows.append(torch.cat([g.flatten() for g in gradients]))
    return torch.stack(rows).unflatten(0, (len(x), -1))


def ntk(model: nn.Module, x1: Tensor, x2: Tensor, kind: str) -> Tensor:
    """[N, M]; [N, K, M, K] (kind full); [N, M, K] (kind diagonal)."""
    return of_kind(torch.einsum("nkp,mlp->nkml", jacobian(model, x1), jacobian(model, x2)), kind)


def of_kind(full: Tensor, kind: str) -> Tensor:
    """A kernel from that of kind full."""
    outputs = full.shape[1]
    if kind == "full":
        return full
    if kind == "diagonal":
        return torch.einsum("nkmk->nmk", full)
    if kind == "trace":
        return torch.einsum("nkmk->nm", full) / outputs
    return full.sum((1, 3)) / outputs
