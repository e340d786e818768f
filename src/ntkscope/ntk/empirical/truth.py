"""Gradients of one sample by plain back-propagation: what everything else is held against.

By `backward()` into parameters of its own: it reaches those that `torch.autograd.grad` does not
see, fires no hook of the caller's parameters, and leaves their gradients alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from ntkscope.errors import ModelError
from ntkscope.ntk.empirical.gradients.autograd import without_fused_attention

Named = dict[str, Tensor]  # parameter's name → gradient


def true_gradients(
    model: nn.Module, names: list[str], x: Tensor, output_vectors: Tensor
) -> tuple[Tensor, Iterator[Named]]:
    """Outputs of one sample, and the gradients of ⟨v_r, f(x)⟩, one r after the other.

    Args:
        model: maps [N, …] to [N, K].
        names: of trainable parameters.
        x: [1, …]; a copy goes into the model.
        output_vectors: v [R, K].

    Returns:
        [1, K] without a graph, and for every r: name → a gradient in the parameter's shape.

    Raises:
        ModelError: autograd records nothing of the forward pass.
    """
    with torch.enable_grad(), without_fused_attention(), parameters_of_its_own(model) as fresh:
        y = model(x.clone())
        if not y.requires_grad:
            raise ModelError(
                "autograd records nothing of the model's forward pass",
                where=type(model).__name__,
                remedy="take no_grad, inference_mode or detach out of the model's forward",
            )
    return y.detach(), _one_by_one(model, {name: fresh[name] for name in names}, y, output_vectors)


def _one_by_one(
    model: nn.Module, fresh: dict[str, nn.Parameter], y: Tensor, output_vectors: Tensor
) -> Iterator[Named]:
    named = dict(model.named_parameters())
    for number, v in enumerate(output_vectors):
        with torch.enable_grad():
            y.backward(v.to(y).expand_as(y), retain_graph=number < len(output_vectors) - 1)
        yield {name: _taken(p, named[name]) for name, p in fresh.items()}


def _taken(p: nn.Parameter, original: nn.Parameter) -> Tensor:
    """A gradient, of the fresh parameter and of the original where it was used all the same."""
    if p.grad is not None and original.grad is None and not p.grad.is_sparse:
        alone, p.grad = p.grad, None
        return alone
    found = torch.zeros_like(p).detach()
    for gradient in (p.grad, original.grad):
        if gradient is not None:
            found = found + (gradient.to_dense() if gradient.is_sparse else gradient)
    p.grad = original.grad = None
    return found


@contextmanager
def parameters_of_its_own(model: nn.Module) -> Iterator[dict[str, nn.Parameter]]:
    """Inside, the model has other parameters on the same memory: first name → parameter."""
    fresh = {id(p): nn.Parameter(p.detach(), p.requires_grad) for p in model.parameters()}
    names = {id(p): name for name, p in model.named_parameters()}
    places = [
        (module, attr, p)
        for module in model.modules()
        for attr, p in module._parameters.items()
        if p is not None
    ]
    try:
        for module, attr, p in places:
            setattr(module, attr, fresh[id(p)])
        yield {names[key]: p for key, p in fresh.items()}
    finally:
        for module, attr, p in places:
            setattr(module, attr, p)
