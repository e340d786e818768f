"""Walks through the calls of a forward, and has each added to the steps or refused by its name."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from ntkscope.ntk.infinite.graph.activations import (
    elementwise_call,
    elementwise_module,
    writes,
)
from ntkscope.ntk.infinite.graph.builder import Builder
from ntkscope.ntk.infinite.graph.modules import DROPOUTS, of_module
from ntkscope.ntk.infinite.graph.probes import BATCH, SampleCount, averaged, rearranged, sizes
from ntkscope.ntk.infinite.graph.signal import Elementwise, Signal
from ntkscope.ntk.infinite.graph.unknown import unknown
from ntkscope.ntk.infinite.nonlinearity import Nonlinearity
from ntkscope.ntk.infinite.refusal import refused

_SUMS: dict[Any, float] = {
    **dict.fromkeys((operator.add, operator.iadd, torch.add, "add", "add_"), 1.0),
    **dict.fromkeys((operator.sub, operator.isub, torch.sub, "sub", "sub_"), -1.0),
}
_PRODUCTS = (operator.mul, operator.imul, torch.mul, "mul", "mul_")
_QUOTIENTS = (operator.truediv, operator.itruediv, torch.div, "div", "div_")
_POWERS = (operator.pow, torch.pow, "pow")
_JOINS = (torch.cat, torch.concat, torch.concatenate)
_NEGATIVES = (operator.neg, torch.neg, "neg")
_IN_PLACE = (operator.iadd, operator.isub, operator.imul, operator.itruediv)
_RESHAPES = (
    *(torch.flatten, torch.reshape, torch.transpose, torch.permute, torch.squeeze, torch.movedim),
    *("flatten", "reshape", "view", "transpose", "permute", "squeeze", "unsqueeze", "movedim"),
    *("contiguous", "unflatten", torch.unsqueeze, "swapaxes", torch.flip, "flip", "select"),
    *("narrow", torch.narrow, torch.select, operator.getitem, getattr, "clone"),
)
_MEANS = (
    *(torch.mean, "mean", torch.sum, "sum", F.avg_pool2d, F.adaptive_avg_pool2d, F.interpolate),
    *(F.avg_pool1d, F.adaptive_avg_pool1d),
)
_VIEWS = ("T", "mT")
_DROPOUTS = (F.dropout, F.dropout1d, F.dropout2d, F.dropout3d)

Value = Any  # a Signal, an Elementwise, or what a forward computes of shapes


class Translation:
    """One walk.

    Args:
        network: whose modules the graph calls.
        graph: of its forward.
        build: gets the steps.
    """

    def __init__(self, network: nn.Module, graph: fx.Graph, build: Builder) -> None:
        self.network, self.graph, self.build = network, graph, build
        self._values: dict[fx.Node, Value] = {}
        self._order = {node: place for place, node in enumerate(graph.nodes)}
        self._memory: dict[fx.Node, set[fx.Node]] = {}
        self._used: set[int] = set()

    def result(self) -> Signal:
        """What the forward returns.

        Raises:
            ModelError: a call that is not known, or an output that is no vector of Gaussians.
        """
        for node in self.graph.nodes:
            self.build.where = _named(node)
            if node.op == "output":
                (value,) = node.args
                return self._checked(fx.node.map_arg(value, self._values.__getitem__))
            self._values[node] = self._of(node)
        raise refused("forward", "it returns nothing", "let it return [N, K]")

    def _of(self, node: fx.Node) -> Value:
        if node.op == "placeholder":
            return node.args[0] if node.args else self.build.inputs
        if node.op == "get_attr":
            raise refused(
                f"{node.target}, in the network's forward",
                "a parameter, buffer or other tensor is used by itself",
                "use it through a known layer; positions and tokens that are learned are not known",
            )
        args = fx.node.map_arg(node.args, self._values.__getitem__)
        kwargs = fx.node.map_arg(node.kwargs, self._values.__getitem__)
        if not any(isinstance(a, Signal | Elementwise) for a in _leaves((args, kwargs))):
            return self._constant(node, args, kwargs)
        if node.op == "call_module":
            return self._module(node, args, kwargs)
        self._check_in_place(node, args, kwargs)
        found = self._call(node, node.target, args, kwargs)
        if found is None:
            raise self.build.refused(*unknown(node.target))
        return found

    def _constant(self, node: fx.Node, args: Any, kwargs: Any) -> Value:
        """Arithmetic with sizes."""
        target: Any = node.target
        known = getattr(target, "__module__", None) in ("_operator", "builtins", "math")
        if node.op == "call_function" and known and _is_plain((args, kwargs)):
            return self.build.tried(lambda _: target(*args, **kwargs))(torch.empty(0))
        raise self.build.refused("it is not of the inputs", "leave it out of the network")

    def _module(self, node: fx.Node, args: Any, kwargs: Any) -> Value:
        module = self.network.get_submodule(str(node.target))
        build = self.build
        description = str(module)
        description = type(module).__name__ if "\n" in description else description
        build.where = f"module {node.target} = {description}"
        if len(args) != 1 or kwargs:
            raise build.refused(*unknown(module))
        self._check_weights(module)
        x = args[0]
        if getattr(module, "inplace", False):
            self._check_unread(node)
        elementwise = elementwise_module(module)
        if elementwise is not None:
            return self._composed(x, *elementwise)
        found = of_module(build, module, x)
        if found is None:
            raise build.refused(*unknown(module))
        if isinstance(module, (nn.Flatten, nn.Unflatten, nn.Identity, *DROPOUTS)):
            self._shares_memory(node)
        return found

    def _check_weights(self, module: nn.Module) -> None:
        for p in module.parameters():
            if not p.requires_grad:
                remedy = "let all parameters require gradients: the limit is of one that learns"
                raise self.build.refused("it is frozen", remedy)
            if id(p) in self._used:
                remedy = "give each place a module of its own"
                raise self.build.refused("its weights are used twice", remedy)
        self._used |= {id(p) for p in module.parameters()}

    def _call(self, node: fx.Node, target: Any, args: Any, kwargs: Any) -> Value:
        x, *rest = args if args else (None,)
        if target in _SUMS and set(kwargs) <= {"alpha"} and len(rest) == 1:
            return self._sum(x, rest[0], _SUMS[target] * kwargs.get("alpha", 1))
        if target in _PRODUCTS and not kwargs and len(rest) == 1:
            return self._product(x, rest[0])
        if target in _QUOTIENTS and not kwargs and len(rest) == 1 and _is_number(rest[0]):
            return self._product(x, 1 / rest[0])
        if target in _JOINS and isinstance(x, list | tuple):
            return self._joined(x, *rest, **kwargs)
        if target in _NEGATIVES:
            return self._product(x, -1.0)
        if not isinstance(x, Signal | Elementwise):
            return None
        if target in _POWERS and len(rest) == 1 and isinstance(rest[0], int) and rest[0] > 0:
            power = Nonlinearity(f"power {rest[0]}", lambda z: z ** rest[0])
            return self._composed(x, power, None)
        if target in _DROPOUTS:
            self._shares_memory(node)
            return self._dropped(x, *rest, **kwargs)
        known = elementwise_call(target, tuple(rest), kwargs)
        if known is not None:
            return self._composed(x, *known)
        return self._of_positions(node, target, self.build.computed(x), rest, kwargs)

    def _of_positions(
        self, node: fx.Node, target: Any, x: Signal, rest: list[Any], kwargs: dict[str, Any]
    ) -> Value:
        """Sizes, reshapes, means."""
        if target in ("size", "dim") or (target is getattr and rest[0] not in _VIEWS):
            meta = torch.empty((BATCH, *x.shape), device="meta")
            allowed = target is not getattr or rest[0] in ("shape", "ndim")
            if not allowed:
                return None
            first = kwargs.get("dim", rest[0] if rest else None) in (0, -meta.dim())
            found = sizes(self._applied(target, rest, kwargs)(meta))
            return SampleCount(found) if target == "size" and first else found
        ways = ((_RESHAPES, rearranged), (_MEANS, averaged))
        for targets, way in ways:
            if target in targets and _is_plain((rest, kwargs)):
                found = way(self._applied(target, rest, kwargs), x)
                if found is None:
                    return None
                if way is rearranged:
                    self._shares_memory(node)
                if found.channel is None:
                    return self.build.flatten(x, found.shape[0])
                return self.build.move(x, found.matrix, found.shape, found.channel)
        return None

    def _dropped(
        self, x: Value, p: float = 0.5, training: bool = True, inplace: bool = False
    ) -> Value:
        if p and training:
            raise self.build.refused("it drops units at random", "give it training=self.training")
        return x

    def _applied(
        self, target: Any, rest: list[Any], kwargs: dict[str, Any]
    ) -> Callable[[Tensor], Any]:
        def call(x: Tensor) -> Any:
            if isinstance(target, str):
                return getattr(x, target)(*rest, **kwargs)
            return target(x, *rest, **kwargs)

        return self.build.tried(call)

    def _sum(self, one: Value, other: Value, sign: float) -> Value:
        if _is_number(one) or _is_number(other):
            x, constant = (other, one) if _is_number(one) else (one, other)
            gain = sign if x is other else 1.0
            added = float(constant if x is other else sign * constant)
            if added == 0 and gain == 1:
                return x
            shift = Nonlinearity(f"{gain:g}x + {added:g}", lambda z: gain * z + added)
            return self._composed(x, shift, None)
        if not _are_signals(one, other):
            return None
        a, b = _function(one), _function(other)
        if a.of is b.of:
            if a.phi is None and b.phi is None:
                return Elementwise(a.of, None, a.gain + sign * b.gain)
            return _both(a, b, f"{a.name} + {b.name}", lambda z: a.values(z) + sign * b.values(z))
        return self.build.add(self.build.computed(one), self.build.computed(other), sign)

    def _joined(self, each: Sequence[Value], dim: int = 0, **kwargs: Any) -> Value:
        if kwargs or not _are_signals(*each):
            return None
        parts = [self.build.computed(x) for x in each]
        if dim % (len(parts[0].shape) + 1) != parts[0].channel + 1:
            raise self.build.refused(
                f"it joins axis {dim}, which is not that of the channels", "join channels only"
            )
        return self.build.concatenate(parts)

    def _product(self, one: Value, other: Value) -> Value:
        if _is_number(one) or _is_number(other):
            x, factor = (other, one) if _is_number(one) else (one, other)
            e = _function(x)
            return Elementwise(e.of, e.phi, e.gain * float(factor), e.dual)
        if not _are_signals(one, other):
            return None
        a, b = _function(one), _function(other)
        if a.of is not b.of:
            return None
        return _both(a, b, f"{a.name} · {b.name}", lambda z: a.values(z) * b.values(z))

    def _composed(self, x: Value, phi: Nonlinearity, dual: Any) -> Elementwise:
        e = _function(x)
        if e.phi is None and e.gain == 1:
            return Elementwise(e.of, phi, 1.0, dual)
        if phi.kinks and e.phi is not None:
            raise self.build.refused(
                f"{phi.name}, which has kinks, acts on {e.phi.name}",
                "use a function without kinks outside, such as SiLU or GELU",
            )
        kinks = e.kinks if e.phi is not None else tuple(k / e.gain for k in phi.kinks if e.gain)
        name = f"{phi.name}({e.gain:g} {e.name})" if e.gain != 1 else f"{phi.name}({e.name})"
        return Elementwise(e.of, Nonlinearity(name, lambda z: phi.value(e.values(z)), kinks))

    def _check_in_place(self, node: fx.Node, args: Any, kwargs: Any) -> None:
        target: Any = node.target
        if target in _IN_PLACE or writes(target, tuple(args[1:]), kwargs):
            self._check_unread(node)

    def _check_unread(self, node: fx.Node) -> None:
        """Refuse to write into what is read later: the trace does not show it.

        Raises:
            ModelError: it is read later, or it is the inputs.
        """
        source: Any = node.args[0]
        if not isinstance(source, fx.Node):
            return
        here = self._memory.get(source, {source})
        later = [u for member in here for u in member.users if self._order[u] > self._order[node]]
        if later or any(member.op == "placeholder" for member in here):
            raise self.build.refused(
                "it writes into a tensor that is read again",
                "write it out of place: inplace=False, x = x + y",
            )
        self._shares_memory(node)

    def _shares_memory(self, node: fx.Node) -> None:
        """Note that the result may be the first argument's memory."""
        source: Any = node.args[0]
        together = self._memory.setdefault(source, {source})
        together.add(node)
        self._memory[node] = together

    def _checked(self, value: Value) -> Signal:
        where = f"{type(self.network).__name__}.forward"
        if not isinstance(value, Signal | Elementwise):
            raise refused(where, "it does not return one tensor", "let it return outputs [N, K]")
        out = self.build.computed(value)
        if math.prod(out.positions) != 1 or len(out.shape) != 1:
            remedy = "end it with a mean over positions, or Flatten, and a linear layer"
            raise refused(where, f"its outputs have shape {out.shape}, not [K]", remedy)
        if not out.gaussian:
            remedy = "end it with a linear layer: a dense readout"
            raise refused(where, "its outputs are no Gaussians in the limit", remedy)
        return out


def _both(
    a: Elementwise, b: Elementwise, name: str, value: Callable[[Tensor], Tensor]
) -> Elementwise:
    kinks = tuple(sorted({*a.kinks, *b.kinks}))
    return Elementwise(a.of, Nonlinearity(f"({name})", value, kinks))


def _function(x: Signal | Elementwise) -> Elementwise:
    return Elementwise(x) if isinstance(x, Signal) else x


def _are_signals(*values: Value) -> bool:
    return all(isinstance(value, Signal | Elementwise) for value in values)


def _is_number(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool | SampleCount)


def _leaves(value: Any) -> list[Any]:
    """Of nested tuples, lists, dicts and slices."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, slice):
        value = [value.start, value.stop, value.step]
    if isinstance(value, tuple | list):
        return [leaf for each in value for leaf in _leaves(each)]
    return [value]


def _is_plain(value: Any) -> bool:
    """Whether there is no tensor in it."""
    return not any(isinstance(leaf, Signal | Elementwise | Tensor) for leaf in _leaves(value))


def _named(node: fx.Node) -> str:
    target: Any = node.target
    name = target if isinstance(target, str) else getattr(target, "__name__", str(target))
    kind = {"call_module": "module ", "call_method": "method ", "call_function": "function "}
    return f"{kind.get(node.op, '')}{name}, in the network's forward"
