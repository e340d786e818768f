"""What is done where no faster way fits a model or some of its samples: one sample at a time."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from ntkscope.errors import NtkscopeError
from ntkscope.ntk.empirical.backpropagation import Recorded
from ntkscope.ntk.empirical.budget import BytesPerSample
from ntkscope.ntk.empirical.plan import Plan
from ntkscope.runtime.logs import log


def one_at_a_time(plan: Plan) -> Plan:
    """The same kernel, every gradient by plain autograd of one sample (`gradients.one_at_a_time`).

    Gradients are held and multiplied as they are, so it takes more memory too.
    """
    item = plan.output_vectors.element_size()
    named = dict(plan.model.named_parameters())
    layers = [replace(layer, strategy="fallback", shape=None) for layer in plan.layers]
    for layer in layers:
        size = sum(real_size(named[name]) for name in layer.owns)
        layer.kept = BytesPerSample(per_output_vector=size * item)
    return replace(
        plan,
        layers=layers,
        vmap_safe=False,
        tied=set(),
        backpropagation=Recorded(plan.model, plan.tuning),
    )


class UnlikeTheProbeError(RuntimeError):
    """A batch passes layers in another way than the samples that the plan was made by."""


class MorePositionsError(UnlikeTheProbeError):
    """More positions of a layer have a gradient than in those samples."""


def at_every_position(plan: Plan) -> Plan:
    """The same, with all positions of all layers."""
    layers = [
        replace(layer, one_position=False, strategy="structured") if layer.one_position else layer
        for layer in plan.layers
    ]
    return replace(plan, layers=layers)


_FAILURES = (RuntimeError, ValueError, IndexError, KeyError, TypeError)
"""What torch and a model's own code raise where a transform or a formula does not fit them."""


def is_last_resort(plan: Plan) -> bool:
    """Whether nothing slower is left."""
    return not plan.vmap_safe and not plan.known


def may_fall_back(plan: Plan, error: Exception) -> bool:
    """Whether one sample at a time may do where a faster way ended in such an error."""
    return not is_last_resort(plan) and is_of_the_way(error)


def is_of_the_way(error: Exception) -> bool:
    """Whether an error may be of the way that was taken, and not of the model or the machine."""
    full = isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)
    if full or isinstance(error, NtkscopeError) or not isinstance(error, _FAILURES):
        return False
    log.info("one sample at a time: %s", str(error).splitlines()[0] if str(error) else repr(error))
    return True


def real_size(parameter: Tensor) -> int:
    """Its real numbers: a complex parameter counts twice."""
    return parameter.numel() * (2 if parameter.is_complex() else 1)


def is_of_one_dtype(model: nn.Module) -> bool:
    """Whether all that learns is real and of one dtype, as every formula takes it to be."""
    return {p.dtype for p in model.parameters() if p.requires_grad} == {kernel_dtype(model)}


def kernel_dtype(model: nn.Module) -> torch.dtype:
    """The real dtype that all trainable parameters can be converted to."""
    found: torch.dtype | None = None
    for p in model.parameters():
        if p.requires_grad:
            own = p.dtype.to_real() if p.is_complex() else p.dtype
            found = own if found is None else torch.promote_types(found, own)
    assert found is not None
    return found
