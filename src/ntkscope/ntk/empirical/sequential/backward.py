"""Forward and backward pass of a sequential network: all cotangents together, layer by layer."""

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
from ntkscope.ntk.empirical.sequential.cotangent import FactoredCotangent, channels_last
from ntkscope.ntk.empirical.sequential.recognise import (
    CONVOLUTION,
    ELEMENTWISE,
    LINEAR,
    NORM,
    NOTHING,
    Module,
)
from ntkscope.ntk.empirical.tuning import Tuning
from ntkscope.runtime.matmul import matmul_nt


@dataclass
class _Passed:
    """A layer with its input and its output [n, …]."""

    layer: Module
    inputs: Tensor
    outputs: Tensor


def sequential_passes(
    layers: list[nn.Module],
    x: Tensor,
    output_vectors: Tensor,
    wanted: set[int],
    *,
    collapse: bool,
    tuning: Tuning,
) -> tuple[list[Call], list[Tensor]]:
    """The calls of the wanted layers, from the top down, and the output gradient of each.

    Args:
        layers: of `recognise.sequential_layers`.
        x: samples [n, …].
        output_vectors: [R, K].
        wanted: ids of the modules whose calls are wanted.
        collapse: only sums over outputs of Gram matrices are wanted: where one cotangent has the
            same, it stands for all.
        tuning: decides how a convolution's gradients will be made.

    Returns:
        The calls, and gradients [n, R, …], [n, 1, …] or, at the readout, [1, R, K].
    """
    passed = _forward(layers, x)
    calls: list[Call] = []
    gradients: list[Tensor] = []
    cotangent = FactoredCotangent(output_vectors.unsqueeze(0))
    for number, each in reversed(list(enumerate(passed))):
        if id(each.layer) in wanted:
            top = number == len(passed) - 1
            g = cotangent.collapse_outputs() if collapse and not top else None
            if g is None:
                cotangent = cotangent.multiplied_out()
                dense = cotangent.output_factor
                g = dense if top else dense.expand(len(x), *dense.shape[1:])
            calls.append(Call(each.layer, each.inputs, each.outputs.shape, top))
            gradients.append(g)
        if len(calls) == len(wanted):
            break
        below = passed[number - 1].layer  # there is one, since a call is still wanted
        units = _units(output_vectors, tuning.many_outputs) if number == len(passed) - 1 else None
        last = len(wanted) - len(calls) == 1 and id(below) in wanted
        cotangent = _back(
            each, cotangent, bottom=last and _wants_outputs_inside(below, tuning), units=units
        )
    return calls, gradients


def _wants_outputs_inside(module: nn.Module, tuning: Tuning) -> bool:
    """Whether a layer's gradients are made of matrices [positions, outputs · channels]."""
    return type(module) in CONVOLUTION and not takes_rows(module, tuning)


def _forward(layers: list[nn.Module], x: Tensor) -> list[_Passed]:
    passed = []
    if x.ndim == 4:
        x = x.contiguous(memory_format=torch.channels_last)
    for layer in layers:
        y = _linear(layer, x) if type(layer) in LINEAR else layer(x)
        passed.append(_Passed(layer, x, y))
        x = y
    return passed


def _weight(module: Module) -> Tensor:
    scale = getattr(module, "weight_scale", 1.0)
    weight: Tensor = module.weight.detach()
    return weight if scale == 1.0 else weight * scale


def _linear(module: Module, x: Tensor) -> Tensor:
    z = matmul_nt(x, _weight(module))
    if module.bias is not None:
        z.add_(module.bias.detach(), alpha=getattr(module, "bias_scale", 1.0))
    return z


def _units(output_vectors: Tensor, many: int) -> slice | None:
    """Which outputs they are, if they are unit vectors of outputs in a row, and many."""
    R = len(output_vectors)
    if many >= R:
        return None
    first = int(output_vectors[0].argmax())
    ones = output_vectors[:, first : first + R].diagonal()
    is_units = len(ones) == R and bool((ones == 1).all())
    return slice(first, first + R) if is_units and output_vectors.count_nonzero() == R else None


def _back(
    passed: _Passed, cotangent: FactoredCotangent, *, bottom: bool, units: slice | None = None
) -> FactoredCotangent:
    """Through a layer.

    Args:
        passed: the layer.
        cotangent: of its output.
        bottom: only the gradients of a convolution just below are wanted still.
        units: of the readout, outputs whose unit vectors the cotangent is.
    """
    layer, a = passed.layer, passed.inputs
    kind = type(layer)
    if kind in ELEMENTWISE:
        return cotangent.times(_slopes(passed).unsqueeze(1), inside=bottom)
    if kind in NOTHING:
        return cotangent
    if kind in NORM:
        return cotangent.scaled(_factor(layer, a))
    if kind is nn.Flatten:
        return _unflattened(cotangent.spread(), a.shape[1:])
    if kind in LINEAR:
        g = cotangent.dense()
        if units is None:
            back = matmul_nt(g.flatten(0, 1), _weight(layer).T).unflatten(0, g.shape[:2])
        else:
            back = _weight(layer)[units].unsqueeze(0)
    elif kind in CONVOLUTION:
        g = cotangent.dense()
        back = _convolved_back(layer, g, a.shape[1:])
    else:
        return _pooled(cotangent, passed)
    return FactoredCotangent(
        back, cotangent.same_for_all_samples, same_at_all_positions=back.ndim == 3
    )


def _slopes(passed: _Passed) -> Tensor:
    """φ' as autograd has it."""
    layer, z, y = passed.layer, passed.inputs, passed.outputs
    if type(layer) is nn.ReLU or getattr(layer, "kind", None) == "relu":
        return y.sign()
    with torch.enable_grad():
        z = z.detach().requires_grad_()
        (slopes,) = torch.autograd.grad(layer(z).sum(), z)
    return slopes


def _factor(norm: Module, a: Tensor) -> Tensor:
    """What it multiplies each channel with: [C], or [C, 1, 1]."""
    factor: Tensor = (norm.running_var.to(a.dtype) + norm.eps).rsqrt()
    if norm.weight is not None:
        factor = factor * norm.weight.detach()
    return factor.view(-1, *(1 for _ in a.shape[2:]))


def _unflattened(cotangent: FactoredCotangent, shape: torch.Size) -> FactoredCotangent:
    factor, slopes = cotangent.output_factor.unflatten(2, shape), cotangent.sample_factor
    slopes = None if slopes is None else slopes.unflatten(2, shape)
    if len(shape) == 3:
        factor, slopes = channels_last(factor), None if slopes is None else channels_last(slopes)
    same = cotangent.same_at_all_positions and math.prod(shape[1:]) == 1
    return FactoredCotangent(factor, cotangent.shared, slopes, same)


def _pooled(cotangent: FactoredCotangent, passed: _Passed) -> FactoredCotangent:
    (y, x), (small_y, small_x) = passed.inputs.shape[2:], passed.outputs.shape[2:]
    window, dense = (y // small_y, x // small_x), cotangent.dense()
    same = cotangent.same_for_all_samples
    if type(passed.layer) is not nn.MaxPool2d and same and (small_y, small_x) == (1, 1):
        return FactoredCotangent((dense / (y * x)).expand(-1, -1, -1, y, x))
    spread = FactoredCotangent(dense, same, same_at_all_positions=False, window=window)
    if type(passed.layer) is nn.MaxPool2d:
        return spread.times(_chosen(passed.layer, passed.inputs).unsqueeze(1))
    return spread


def _chosen(pooling: Module, a: Tensor) -> Tensor:
    """How much of its window's mean gradient each element has: nothing, or all of the window's."""
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
