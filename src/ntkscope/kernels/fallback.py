"""Per-sample gradients of any parameters of any model, by torch's function transforms.

The parameters get a copy for each sample (a view of no size), the model is mapped over both, and
ordinary back-propagation then gives the gradient of each copy. Used for what no layer's formula
knows: parameters of one's own, attention's packed projections, a weight used in two places.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap


def any_gradients(
    model: nn.Module, names: list[str], x: Tensor, starts: Tensor
) -> dict[str, Tensor]:
    """Gradients of ⟨start_r, f(x_n)⟩ with respect to named parameters.

    Args:
        model: maps [N, …] to [N, K], each sample by itself.
        names: of its parameters.
        x: inputs [N, …].
        starts: cotangents [R, K].

    Returns:
        name → [N, R, P].
    """
    parameters = dict(model.named_parameters())
    with torch.enable_grad():
        copies = {n: parameters[n].detach().expand(len(x), *parameters[n].shape) for n in names}
        copies = {n: p.requires_grad_() for n, p in copies.items()}
        y = _each_with_its_own(model, copies, x)
    if not y.requires_grad:
        return {n: p.new_zeros(len(x), len(starts), p[0].numel()) for n, p in copies.items()}
    rows = [
        torch.autograd.grad(
            y,
            list(copies.values()),
            start.expand(len(x), -1),
            retain_graph=True,
            allow_unused=True,
            materialize_grads=True,
        )
        for start in starts
    ]
    return {
        name: torch.stack([g.flatten(1) for g in column], 1)
        for name, column in zip(copies, zip(*rows, strict=True), strict=True)
    }


def _each_with_its_own(model: nn.Module, copies: dict[str, Tensor], x: Tensor) -> Tensor:
    """[N, K], sample n with copy n of the parameters; one by one where vmap cannot."""
    rest = {n: t.detach() for n, t in (*model.named_parameters(), *model.named_buffers())}

    def one(own: dict[str, Tensor], sample: Tensor) -> Tensor:
        y: Tensor = functional_call(model, {**rest, **own}, (sample.unsqueeze(0),))
        return y.squeeze(0)

    try:
        return vmap(one)(copies, x)
    except (RuntimeError, ValueError):  # branches on values, in-place writes, …
        each = [one({name: p[i] for name, p in copies.items()}, s) for i, s in enumerate(x)]
        return torch.stack(each)
