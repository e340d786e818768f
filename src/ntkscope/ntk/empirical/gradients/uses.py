"""Where parameters are used, whichever module owns them: each use as the call of a layer.

Inside `Uses` every operation of torch is looked at. Tensors made of parameters alone (views,
slices, products of factors, normalised weights) are followed; where such a tensor meets the
samples, the operation is a use, and is recorded as a call of the layer that does the same
(`use_layers`). The gradients of a use flow on from that tensor to the parameters by autograd.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, field
from functools import cache
from types import FunctionType
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import get_gradient_edge
from torch.nn import functional as F

from ntkscope.ntk.empirical.gradients.fast_ops import FasterBackward
from ntkscope.ntk.empirical.gradients.hooks import Layout, Recorded
from ntkscope.ntk.empirical.gradients.use_layers import (
    SPREADING,
    Used,
    layer_of,
    spread_layer,
    tensors_in,
)

_SAMPLED = "_ntkscope_sampled"  # attribute of tensors that depend on the samples
_LOOKS = frozenset(  # at what is no number: half of all that is called
    {
        Tensor.shape.__get__,  # type: ignore[attr-defined]
        Tensor.ndim.__get__,  # type: ignore[attr-defined]
        Tensor.dtype.__get__,  # type: ignore[attr-defined]
        Tensor.device.__get__,
        Tensor.is_nested.__get__,  # type: ignore[attr-defined]
        Tensor.requires_grad.__get__,  # type: ignore[attr-defined]
        Tensor.dim,
        Tensor.size,
        Tensor.is_contiguous,
    }
)
_CHECKS = {  # by which functions of torch see that they are looked at
    name: lambda *args, **kwargs: False
    for name in ("has_torch_function", "has_torch_function_unary", "has_torch_function_variadic")
}


class UnknownUseError(RuntimeError):
    """An operation on parameters that no layer does.

    Args:
        names: of the parameters.
    """

    def __init__(self, names: Set[str]) -> None:
        super().__init__(f"unknown or changing uses of {', '.join(sorted(names))}")
        self.names = names


@dataclass
class Use(Recorded):
    """A call of a layer that no module stands for.

    Attributes:
        weights: attribute of the layer → the tensor made of parameters that it is.
        parameters: by name, those wanted that these depend on.
        description: what it is, in words that are the same in every pass.
    """

    weights: dict[str, Tensor] = field(default_factory=dict)
    parameters: dict[str, Tensor] = field(default_factory=dict)
    description: str = ""

    def named(self, each: dict[str, Tensor]) -> dict[str, Tensor]:
        """Gradients of the wanted parameters from those of the layer's attributes [n, R, …]."""
        found: dict[str, Tensor] = {}
        for attr, gradient in each.items():
            for name, value in _pulled(self.weights[attr], gradient, self.parameters).items():
                found[name] = found[name] + value if name in found else value
        return found

    def whole(self) -> dict[str, str] | None:
        """Attribute → the parameter that it is, its elements in any order; None: it is none."""
        found = {}
        for attr, weight in self.weights.items():
            for name, p in self.parameters.items():
                if weight is p or (weight._base is p and _holds_each_once(weight, p)):
                    found[attr] = name
        return found if len(found) == len(self.weights) else None


def _holds_each_once(view: Tensor, p: Tensor) -> bool:
    return view.numel() == p.numel() and p.is_contiguous() and 0 not in view.stride()


def _pulled(weight: Tensor, gradient: Tensor, parameters: dict[str, Tensor]) -> dict[str, Tensor]:
    """From the gradients [n, R, shape of weight] those of parameters it is made of."""
    for name, p in parameters.items():
        if weight is p:
            return {name: gradient}
    n, names = len(gradient), list(parameters)
    back = torch.autograd.grad(
        weight,
        [parameters[name] for name in names],
        gradient.flatten(0, 1),
        retain_graph=True,
        allow_unused=True,
        is_grads_batched=True,
    )
    pairs = zip(names, back, strict=True)
    return {name: g.unflatten(0, (n, -1)) for name, g in pairs if g is not None}


class Uses(FasterBackward):
    """Inside, uses of some parameters are recorded.

    Args:
        model: whose forward pass is looked at.
        wanted: names of parameters whose uses are recorded.
        x: the samples, all tensors of them.
        layouts: of the uses in order, as far as they are known.

    Attributes:
        calls: in order.
    """

    def __init__(
        self,
        model: nn.Module,
        wanted: frozenset[str],
        x: list[Tensor],
        layouts: Sequence[Layout] = (),
    ) -> None:
        super().__init__(len(x[0]))
        self.calls: list[Use] = []
        self._unknown: set[str] = set()
        named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
        self._parameters = dict(named)
        self._names = {id(p): frozenset([name]) for name, p in named}
        self._wanted, self._samples, self._layouts = wanted, len(x[0]), layouts
        self._in_attention = False
        self._made: dict[int, Tensor] = {}  # of parameters alone; held, so that ids stay theirs
        for tensor in x:
            setattr(tensor, _SAMPLED, self._made)

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Call `func`, and note what it does to parameters."""
        kwargs = kwargs or {}
        if func in _LOOKS:
            return func(*args, **kwargs)
        tensors = tensors_in((args, kwargs))
        names = [self._names[id(t)] for t in tensors if id(t) in self._names]
        sampled = [t for t in tensors if self._is_sampled(t)]
        if not names:
            found = super().__torch_function__(func, types, args, kwargs)
            return self._marked(func, found, bool(sampled))
        every: frozenset[str] = frozenset().union(*names)
        wanted = every & self._wanted
        if sampled and not wanted:
            return super().__torch_function__(func, types, args, kwargs)
        if not sampled:
            found = func(*args, **kwargs)
            if wanted and func in SPREADING and self._is_spread(found, tensors[0]):
                self._record(spread_layer(tensors[0], found), found, wanted, func)
                return found
            return self._noted(found, every)
        body = _body(func)
        if body is not None:
            return self._entered(body, args, kwargs)
        layout = self._layout(sampled[0])
        used = layer_of(func, args, kwargs, self._names, sampled, self._samples, layout)
        found = super().__torch_function__(func, types, args, kwargs)
        self._record(used, found, wanted, func)
        return found

    def uses(self) -> list[tuple[str, Layout]]:
        """What they are, and where the samples are in each.

        Raises:
            UnknownUseError: of parameters with a use that no layer stands for.
        """
        for call in self.calls:
            if call.inputs._version != call.version:
                self._unknown |= call.parameters.keys()
        if self._unknown:
            raise UnknownUseError(self._unknown)
        return [(call.description, call.layout) for call in self.calls]

    def _entered(
        self, body: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        self._in_attention = True
        try:
            with self:
                return body(*args, **kwargs)
        finally:
            self._in_attention = False

    def _layout(self, a: Tensor) -> Layout | None:
        """Where the samples are in the inputs of the next use; None: where they seem to be."""
        if len(self.calls) < len(self._layouts):
            return self._layouts[len(self.calls)]
        if self._in_attention:  # torch has positions first there
            return "second" if a.ndim > 2 else "inner"
        return None

    def _is_sampled(self, tensor: Tensor) -> bool:
        if tensor.requires_grad:
            return id(tensor) not in self._names
        return getattr(tensor, _SAMPLED, None) is self._made

    def _is_spread(self, found: Tensor, before: Tensor) -> bool:
        """Whether a tensor has got an axis of samples."""
        n = self._samples
        return found.ndim > 1 and len(found) == n and (found.ndim > before.ndim or len(before) != n)

    def _marked(self, func: Callable[..., Any], found: Any, sampled: bool) -> Any:
        """The result of an operation without parameters; autograd tells of most that is sampled."""
        for t in tensors_in(found):
            spread = func in SPREADING and t.ndim > 1 and len(t) == self._samples
            if not t.requires_grad and (sampled or spread):
                setattr(t, _SAMPLED, self._made)
        return found

    def _noted(self, found: Any, names: frozenset[str]) -> Any:
        for t in tensors_in(found):
            if t.requires_grad and id(t) not in self._names:
                self._names[id(t)] = names
                self._made[id(t)] = t
        return found

    def _record(
        self, used: Used | None, found: Any, names: frozenset[str], func: Callable[..., Any]
    ) -> None:
        if used is None or not isinstance(found, Tensor) or not found.requires_grad:
            self._unknown |= names
            return
        a, edge = used.inputs.detach(), get_gradient_edge(found)
        own: dict[str, Tensor] = {name: self._parameters[name] for name in sorted(names)}
        description = f"{getattr(func, '__name__', func)} {list(own)} {len(a) / self._samples}"
        place = used.inputs._version, edge, used.layout, ()
        self.calls.append(
            Use(used.layer, a, found.shape, False, *place, used.weights, own, description)
        )


@cache
def _body(func: Callable[..., Any]) -> Callable[..., Any] | None:
    """What a function of torch written in Python does, operation by operation."""
    if func is not F.multi_head_attention_forward:
        return None
    assert isinstance(func, FunctionType)
    body = FunctionType(
        func.__code__,
        func.__globals__ | _CHECKS,
        func.__name__,
        func.__defaults__,
        func.__closure__,
    )
    body.__kwdefaults__ = func.__kwdefaults__
    return body
