"""The same network in a finer dtype: where rounding is too coarse to prove anything.

What differs in float32 by more than rounding should, and by less than it could, is decided in
float64. A network in half precision is looked at, and its kernel taken, in float32 of the same
weights, and rounded once.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import overload

import torch
from torch import Tensor, nn

from ntkscope.errors import ModelError
from ntkscope.ntk.empirical.checked import Checked
from ntkscope.ntk.empirical.plan import Plan

HALF = (torch.float16, torch.bfloat16)


def half_dtype(model: nn.Module) -> torch.dtype | None:
    """The half precision that all parameters are in, if they are."""
    found = {p.dtype for p in model.parameters()}
    return found.pop() if len(found) == 1 and found <= set(HALF) else None


@overload
def cast(x: Tensor, dtype: torch.dtype) -> Tensor: ...
@overload
def cast(x: Tensor | None, dtype: torch.dtype) -> Tensor | None: ...
def cast(x: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    """Inputs in another dtype; whole numbers as they are."""
    return x.to(dtype) if x is not None and x.is_floating_point() else x


def cast_model(model: nn.Module, dtype: torch.dtype) -> nn.Module:
    """A copy of a model, with the same modes, in another dtype.

    Raises:
        ModelError: it cannot be copied.
    """
    gradients = [(p, p.grad) for p in model.parameters()]
    try:
        for p, _ in gradients:
            p.grad = None
        return copy.deepcopy(model).to(dtype)
    except Exception as error:
        raise ModelError(
            f"the model cannot be copied in {dtype}: {error}",
            where=type(model).__name__,
            remedy=f"give a model in {dtype}",
        ) from error
    finally:
        for p, gradient in gradients:
            p.grad = gradient


def moved(plan: Plan, model: nn.Module) -> Plan:
    """The same plan, made of a copy, for another copy: with its modules, in its dtype."""
    modules = dict(model.named_modules())
    like = next(p for p in model.parameters() if p.requires_grad)
    assert plan.backpropagation is not None
    return replace(
        plan,
        model=model,
        layers=[replace(layer, module=modules[layer.module_name]) for layer in plan.layers],
        output_vectors=plan.output_vectors.to(like.dtype),
        backpropagation=plan.backpropagation.moved(model),
        checked=Checked(),
    )


def rounded(kernel: Tensor, dtype: torch.dtype) -> Tensor:
    """A kernel in half precision.

    Raises:
        ModelError: it overflows there.
    """
    found = kernel.to(dtype)
    if bool((found.isinf() & kernel.isfinite()).any()):
        raise ModelError(
            f"the kernel overflows in {dtype}: its largest element is {kernel.abs().max():.3g}",
            where="kernel",
            remedy="take it of model.float(), with inputs in float32",
        )
    return found
