"""What a kernel will take, from passes of a few samples that are timed."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from ntkscope.errors import ModelError
from ntkscope.ntk.empirical.gradients.autograd import autograd_gradients
from ntkscope.ntk.empirical.last_resort import is_of_the_way
from ntkscope.ntk.empirical.layer_gradients import forward_backward
from ntkscope.ntk.empirical.output_blocks import slowdown
from ntkscope.ntk.empirical.plan import Plan

_SAMPLES, _TRIES, _SHARES = 16, 2, (4, 16, 64)


@torch.no_grad()
def foresee(model: nn.Module, plan: Plan, x: Tensor) -> None:
    """Set a plan's `pass_seconds`, and its `budgets`: bytes, and times as long as with enough.

    Args:
        model: of the plan.
        plan: with its strategies.
        x: some of whose samples are passed, with one output vector and with two.
    """
    x = x[:_SAMPLES] if len(x) > 1 else torch.cat([x, x])
    try:
        plan.pass_seconds = sum(plan.samples) / len(x) * _seconds(model, plan, x)
    except Exception as error:
        if not is_of_the_way(error):
            raise
        return  # one sample at a time
    whole = sum(plan.samples) * plan.gradient_bytes
    for share in _SHARES:
        try:
            plan.budgets.append((whole // share, slowdown(plan, max(1, whole // share))))
        except ModelError:
            return


def _seconds(model: nn.Module, plan: Plan, x: Tensor) -> float:
    """Of a forward pass, and a backward pass for each output vector."""
    vectors = plan.output_vectors
    one = _least(partial(_passes, model, plan, x, vectors[:1]))
    if len(vectors) == 1:
        return one
    two = _least(partial(_passes, model, plan, x, vectors[:2]))
    return one + (len(vectors) - 1) * max(0.0, two - one)


def _passes(model: nn.Module, plan: Plan, x: Tensor, vectors: Tensor) -> None:
    forward_backward(plan, x, vectors, trace=plan.pairs == "trace")
    if plan.fallback_parameters:
        autograd_gradients(model, plan.fallback_parameters, x, vectors, plan.vmap_safe)


def _least(compute: Callable[[], None]) -> float:
    times = []
    for _ in range(_TRIES):
        began = time.perf_counter()
        compute()
        if torch.cuda.is_initialized():
            torch.cuda.synchronize()
        times.append(time.perf_counter() - began)
    return min(times)
