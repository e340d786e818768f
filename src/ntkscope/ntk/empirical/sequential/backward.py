"""The passes through a straight network: all cotangents go back together, a formula a layer."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.grad import conv2d_input

from ntkscope.ntk.empirical.gradients.convolution import takes_rows
from ntkscope.ntk.empirical.gradients.fast_ops import both_ways
from ntkscope.ntk.empirical.gradients.hooks import Call
from ntkscope.ntk.empirical.sequential.cotangent import Flow, channels_last
from ntkscope.ntk.empirical.sequential.recognise import (
    CONVOLUTION,
    ELEMENTWISE,
    LINEAR,
    NORM,
    NOTHING,
    Module,
)
from ntkscope.runtime.matmul import product


@dataclass
class _Passed:
    """A step, what entered it [n, …], and what it made of it."""

    step: Module
    inputs: Tensor
    outputs: Tensor


def sequential_passes(
    steps: list[nn.Module], x: Tensor, output_vectors: Tensor, wanted: set[int], *, summed: bool
) -> tuple[list[Call], list[Tensor]]:
    """The calls of the wanted layers, from the top down, and what flows back to each.

    Args:
        steps: of `sequential_layers`.
        x: samples [n, …].
        output_vectors: cotangents [R, K].
        wanted: ids of the modules whose calls are wanted.
        summed: only sums over cotangents of Gram matrices are wanted: where one cotangent has the
            same, it stands for all.

    Returns:
        The calls, and gradients [n, R, …], [n, 1, …] or, at the readout, [1, R, K].
    """
    passed = _there(steps, x)
    calls: list[Call] = []
    flows: list[Tensor] = []
    flow = Flow(output_vectors.unsqueeze(0))
    for number, each in reversed(list(enumerate(passed))):
        if id(each.step) in wanted:
            top = number == len(passed) - 1
            g = flow.single() if summed and not top else None
            if g is None:
                whole = flow.whole()
                flow = Flow(whole, flow.alike)
                g = whole if top else whole.expand(len(x), *whole.shape[1:])
            calls.append(Call(each.step, each.inputs, each.outputs.shape, top))
            flows.append(g)
        if len(calls) == len(wanted):
            break
        below = passed[number - 1].step  # there is one, since a call is still wanted
        last = len(wanted) - len(calls) == 1 and id(below) in wanted
        flow = _back(each, flow, bottom=last and _wants_outputs_inside(below))
    return calls, flows


def _wants_outputs_inside(module: nn.Module) -> bool:
    """Whether a layer's gradients are made of matrices [positions, outputs · channels]."""
    return type(module) in CONVOLUTION and not takes_rows(module)


def _there(steps: list[nn.Module], x: Tensor) -> list[_Passed]:
    passed = []
    if x.ndim == 4:
        x = x.contiguous(memory_format=torch.channels_last)
    for step in steps:
        y = _linear(step, x) if type(step) in LINEAR else step(x)
        passed.append(_Passed(step, x, y))
        x = y
    return passed


def _weight(module: Module) -> Tensor:
    scale = getattr(module, "weight_scale", 1.0)
    weight: Tensor = module.weight.detach()
    return weight if scale == 1.0 else weight * scale


def _linear(module: Module, x: Tensor) -> Tensor:
    z = product(x, _weight(module))
    if module.bias is not None:
        z.add_(module.bias.detach(), alpha=getattr(module, "bias_scale", 1.0))
    return z


def _back(passed: _Passed, flow: Flow, *, bottom: bool) -> Flow:
    """Through a step; bottom: only the gradients of a convolution just below are wanted still."""
    step, a = passed.step, passed.inputs
    kind = type(step)
    if kind in ELEMENTWISE:
        return flow.times(_slopes(passed).unsqueeze(1), inside=bottom)
    if kind in NOTHING:
        return flow
    if kind in NORM:
        return flow.scaled(_factor(step, a))
    if kind is nn.Flatten:
        return _unflattened(flow.spread(), a.shape[1:])
    if kind in LINEAR:
        g = flow.whole()
        back = product(g.flatten(0, 1), _weight(step).T).unflatten(0, g.shape[:2])
    elif kind in CONVOLUTION:
        g = flow.whole()
        back = _convolved_back(step, g, a.shape[1:])
    else:
        return _pooled(flow, passed)
    return Flow(back, flow.alike, even=back.ndim == 3)


def _slopes(passed: _Passed) -> Tensor:
    """φ' as autograd has it."""
    step, z, y = passed.step, passed.inputs, passed.outputs
    if type(step) is nn.ReLU or getattr(step, "kind", None) == "relu":
        return y.sign()
    with torch.enable_grad():
        z = z.detach().requires_grad_()
        (slopes,) = torch.autograd.grad(step(z).sum(), z)
    return slopes


def _factor(norm: Module, a: Tensor) -> Tensor:
    """What it multiplies each channel with: [C], or [C, 1, 1]."""
    factor: Tensor = (norm.running_var.to(a.dtype) + norm.eps).rsqrt()
    if norm.weight is not None:
        factor = factor * norm.weight.detach()
    return factor.view(-1, *(1 for _ in a.shape[2:]))


def _unflattened(flow: Flow, shape: torch.Size) -> Flow:
    of = flow.of.unflatten(2, shape)
    slopes = None if flow.slopes is None else flow.slopes.unflatten(2, shape)
    if len(shape) == 3:
        of, slopes = channels_last(of), None if slopes is None else channels_last(slopes)
    return Flow(of, flow.shared, slopes, flow.even and math.prod(shape[1:]) == 1)


def _pooled(flow: Flow, passed: _Passed) -> Flow:
    (y, x), (small_y, small_x) = passed.inputs.shape[2:], passed.outputs.shape[2:]
    window = (y // small_y, x // small_x)
    if type(passed.step) is nn.MaxPool2d:
        spread = Flow(flow.whole(), flow.alike, even=False, window=window)
        return spread.times(_chosen(passed.step, passed.inputs).unsqueeze(1))
    if flow.alike and (small_y, small_x) == (1, 1):
        of = (flow.whole() / (y * x)).expand(-1, -1, -1, y, x)
        return Flow(of, True, even=True)
    return Flow(flow.whole(), flow.alike, even=False, window=window)


def _chosen(pooling: Module, a: Tensor) -> Tensor:
    """How often its share of the mean each number's window has it: not at all, or as the whole."""
    _, at = F.max_pool2d(a, pooling.kernel_size, pooling.stride, return_indices=True)
    found = a.new_zeros(*a.shape[:2], a[0, 0].numel())
    found.scatter_(2, at.flatten(2), float(math.prod(both_ways(pooling.kernel_size))))
    return found.view(a.shape)


def _convolved_back(module: Module, g: Tensor, shape: torch.Size) -> Tensor:
    found: Tensor = conv2d_input(
        (len(g) * g.shape[1], *shape),
        _weight(module).contiguous(memory_format=torch.channels_last),
        g.flatten(0, 1),
        module.stride,
        module.padding,
        module.dilation,
        module.groups,
    )
    return found.view(*g.shape[:2], *shape)
