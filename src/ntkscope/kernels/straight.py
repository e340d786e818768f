"""The passes through networks that are straight: known layers one after another, each used once.

Nothing has to be recorded then: all cotangents go back together through a formula a layer. Down
to the first layer below the readout what flows back is a product c_r ∘ s(x) of something that does
not depend on the sample and something that does not depend on the output. It is multiplied out
where it has to be; and where c is the same at all positions, the sum over outputs of a trace NTK is
taken first: Σ_r ⟨c_r ∘ s, c_r ∘ s'⟩ = ⟨‖c‖ ∘ s, ‖c‖ ∘ s'⟩, a product R times as cheap.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.grad import conv2d_input
from torch.nn.modules import module as torch_module

from ntkscope.kernels.recording import Call
from ntkscope.models.network import Elementwise, ScaledConv2d, ScaledLinear
from ntkscope.products import product

Module = Any  # a module whose class is one of the tables below

_LINEAR = (nn.Linear, ScaledLinear)
_CONVOLUTION = (nn.Conv2d, ScaledConv2d)
_NOTHING = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)  # in eval mode
_ELEMENTWISE = (
    Elementwise,
    nn.ReLU,
    nn.Tanh,
    nn.Sigmoid,
    nn.GELU,
    nn.SiLU,
    nn.ELU,
    nn.LeakyReLU,
    nn.Softplus,
)
_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def straight_steps(model: nn.Module, x: Tensor) -> list[nn.Module] | None:
    """The layers in order; None for a network that is, or may be, anything else.

    Args:
        model: a sequence, or a sequence of sequences, of known classes, without hooks.
        x: some inputs, to see the shapes.
    """
    steps = _unrolled(model)
    if not steps or len({id(step) for step in steps}) < len(steps):
        return None
    if any(getattr(torch_module, f"_global{name}") for name in _HOOKS):
        return None
    if type(steps[-1]) not in _LINEAR:
        return None
    with torch.no_grad():
        for step in steps:
            y = step(x)
            if not _has_shapes(step, x, y):
                return None
            x = y
    return steps


def _unrolled(module: nn.Module) -> list[nn.Module] | None:
    if any(getattr(module, name) for name in _HOOKS) or "forward" in vars(module):
        return None
    if type(module) is not nn.Sequential:
        return [module] if _is_known(module) else None
    found: list[nn.Module] = []
    for child in module:
        steps = _unrolled(child)
        if steps is None:
            return None
        found += steps
    return found


def _is_known(module: Module) -> bool:
    kind = type(module)
    if kind in _CONVOLUTION:
        return module.padding_mode == "zeros" and not isinstance(module.padding, str)
    if kind is nn.AvgPool2d:
        plain = not module.ceil_mode and module.divisor_override is None
        disjoint = _two(module.stride) == _two(module.kernel_size)
        return plain and disjoint and not any(_two(module.padding))
    if kind is nn.AdaptiveAvgPool2d:
        return _two(module.output_size) == (1, 1)
    if kind is nn.Flatten:
        return (module.start_dim, module.end_dim) == (1, -1)
    if kind in _NOTHING:
        return kind is nn.Identity or not module.training
    if kind in _ELEMENTWISE:  # derivatives are taken at the inputs; of relu, at the outputs
        return kind is nn.ReLU or not getattr(module, "inplace", False)
    return kind in _LINEAR


def _has_shapes(step: Module, a: Tensor, y: Tensor) -> bool:
    """Whether the formulas are of inputs of such a shape."""
    kind = type(step)
    if kind in _LINEAR:
        return a.ndim == 2
    if kind in _CONVOLUTION or kind is nn.AdaptiveAvgPool2d:
        return a.ndim == 4
    if kind is nn.AvgPool2d:
        covered = tuple(n * k for n, k in zip(y.shape[2:], _two(step.kernel_size), strict=True))
        return a.ndim == 4 and a.shape[2:] == covered
    return True


def _two(size: int | tuple[int, int]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else (size[0], size[1])


@dataclass
class _Passed:
    """A step, what entered it [n, …], and what it made of it."""

    step: Module
    inputs: Tensor
    outputs: Tensor


@dataclass
class _Flow:
    """What flows back to a step's output, [n, R, …], in factors.

    Attributes:
        of: [1, R, …] where it is the same for all samples (`shared`), else [n, R, …].
        shared: no sample has entered it so far.
        slopes: [n, 1, …], still to be multiplied with it.
        even: `of` is the same at all positions of the image.
        window: each number is still to be spread over such a window, as its mean.
    """

    of: Tensor
    shared: bool = True
    slopes: Tensor | None = None
    even: bool = True
    window: tuple[int, int] | None = None

    @property
    def alike(self) -> bool:
        """Whether the whole is the same for all samples."""
        return self.shared and self.slopes is None

    def spread(self) -> _Flow:
        """With no window left."""
        if self.window is None:
            return self
        return _Flow(_spread(self.of, self.window), self.shared, even=False)

    def times(self, slopes: Tensor) -> _Flow:
        """Multiplied by slopes [n, 1, …]."""
        if self.window is not None and not self.shared:
            return _Flow(_spread(self.of, self.window, slopes), shared=False)
        flow = self.spread()
        if not flow.shared:
            return _Flow(flow.of.mul_(slopes), shared=False)
        both = slopes if flow.slopes is None else flow.slopes * slopes
        return _Flow(flow.of, True, both, flow.even)

    def whole(self) -> Tensor:
        """[n, R, …] in one, or [1, R, …] where no sample has entered."""
        flow = self.spread()
        return flow.of if flow.slopes is None else flow.of * flow.slopes

    def single(self) -> Tensor | None:
        """One cotangent [n, 1, …] with the summed Gram matrix of all, where there is one."""
        if self.slopes is None or not self.even:
            return None
        first = self.of[..., :1, :1] if self.of.ndim > 3 else self.of
        norm: Tensor = first.norm(dim=1, keepdim=True)
        return self.slopes * norm


def _spread(g: Tensor, window: tuple[int, int], slopes: Tensor | None = None) -> Tensor:
    """Each of [n, R, channel, y, x] over its window, as its mean; times slopes [n, 1, …]."""
    high, wide = window
    each = (g / (high * wide)).permute(0, 1, 3, 4, 2)[:, :, :, None, :, None]
    shape = (*each.shape[:3], high, each.shape[4], wide, each.shape[6])
    if slopes is None:
        found = each.expand(shape).contiguous()
    else:
        by_window = slopes.permute(0, 1, 3, 4, 2).unflatten(3, (-1, wide)).unflatten(2, (-1, high))
        found = each * by_window
    return found.flatten(4, 5).flatten(2, 3).permute(0, 1, 4, 2, 3)


def _channels_last(g: Tensor) -> Tensor:
    """[n, R, channel, y, x] in an order of memory that convolutions and patches like."""
    return g.permute(0, 1, 3, 4, 2).contiguous().permute(0, 1, 4, 2, 3)


def straight_passes(
    steps: list[nn.Module], x: Tensor, starts: Tensor, wanted: set[int], *, summed: bool
) -> tuple[list[Call], list[Tensor]]:
    """The calls of the wanted layers, from the top down, and what flows back to each.

    Args:
        steps: of `straight_steps`.
        x: samples [n, …].
        starts: cotangents [R, K].
        wanted: ids of the modules whose calls are wanted.
        summed: only sums over cotangents of Gram matrices are wanted: where one cotangent has the
            same, it stands for all.

    Returns:
        The calls, and gradients [n, R, …], [n, 1, …] or, at the readout, [1, R, K].
    """
    passed = _there(steps, x)
    calls: list[Call] = []
    flows: list[Tensor] = []
    flow = _Flow(starts.unsqueeze(0))
    for number, each in reversed(list(enumerate(passed))):
        if id(each.step) in wanted:
            top = number == len(passed) - 1
            g = flow.single() if summed and not top else None
            if g is None:
                whole = flow.whole()
                flow = _Flow(whole, flow.alike)
                g = whole if top else whole.expand(len(x), *whole.shape[1:])
            calls.append(Call(each.step, each.inputs, each.outputs.shape, top))
            flows.append(g)
        if len(calls) == len(wanted):
            break
        flow = _back(each, flow)
    return calls, flows


def _there(steps: list[nn.Module], x: Tensor) -> list[_Passed]:
    passed = []
    if x.ndim == 4:
        x = x.contiguous(memory_format=torch.channels_last)
    for step in steps:
        y = _linear(step, x) if type(step) in _LINEAR else step(x)
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


def _back(passed: _Passed, flow: _Flow) -> _Flow:
    step, a = passed.step, passed.inputs
    kind = type(step)
    if kind in _ELEMENTWISE:
        return flow.times(_slopes(passed).unsqueeze(1))
    if kind in _NOTHING:
        return flow
    if kind is nn.Flatten:
        return _unflattened(flow.spread(), a.shape[1:])
    if kind in _LINEAR:
        g = flow.whole()
        back = product(g.flatten(0, 1), _weight(step).T).unflatten(0, g.shape[:2])
    elif kind in _CONVOLUTION:
        g = flow.whole()
        back = _convolved_back(step, g, a.shape[1:])
    else:
        return _pooled(flow, passed)
    return _Flow(back, flow.alike, even=back.ndim == 3)


def _slopes(passed: _Passed) -> Tensor:
    """φ' as autograd has it."""
    step, z, y = passed.step, passed.inputs, passed.outputs
    if type(step) is nn.ReLU or getattr(step, "kind", None) == "relu":
        return y.sign()
    with torch.enable_grad():
        z = z.detach().requires_grad_()
        (slopes,) = torch.autograd.grad(step(z).sum(), z)
    return slopes


def _unflattened(flow: _Flow, shape: torch.Size) -> _Flow:
    of = flow.of.unflatten(2, shape)
    slopes = None if flow.slopes is None else flow.slopes.unflatten(2, shape)
    if len(shape) == 3:
        of, slopes = _channels_last(of), None if slopes is None else _channels_last(slopes)
    return _Flow(of, flow.shared, slopes, flow.even and math.prod(shape[1:]) == 1)


def _pooled(flow: _Flow, passed: _Passed) -> _Flow:
    (y, x), (small_y, small_x) = passed.inputs.shape[2:], passed.outputs.shape[2:]
    window = (y // small_y, x // small_x)
    if flow.alike and (small_y, small_x) == (1, 1):
        of = (flow.whole() / (y * x)).expand(-1, -1, -1, y, x)
        return _Flow(of, True, even=True)
    return _Flow(flow.whole(), flow.alike, even=False, window=window)


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
