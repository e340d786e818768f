"""The calls of a module's forward, in order, by torch.fx; every known layer is one call."""

from __future__ import annotations

from typing import Any

import torch
from torch import fx, nn
from torch.nn.modules import module as torch_module
from torch.nn.modules.lazy import LazyModuleMixin

from ntkscope.errors import ModelError
from ntkscope.models.network import Elementwise, ScaledConv2d, ScaledLinear
from ntkscope.ntk.empirical.sequential.recognise import is_altered
from ntkscope.ntk.empirical.state import preserve_state
from ntkscope.ntk.infinite.attention import GlobalSelfAttention
from ntkscope.ntk.infinite.refusal import refused

_OWN = (ScaledLinear, ScaledConv2d, Elementwise, GlobalSelfAttention)
_GLOBAL_HOOKS = ("forward_hooks", "forward_pre_hooks", "backward_hooks", "backward_pre_hooks")


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        known = type(m).__module__.startswith("torch.nn.") or type(m) in _OWN
        return known and type(m) is not nn.Sequential

    def create_node(self, *args: Any, **kwargs: Any) -> fx.Node:
        node = super().create_node(*args, **kwargs)
        if not torch.is_grad_enabled():
            why = "gradients are switched off in a part of its forward"
            raise refused(f"{node.name}, in the network's forward", why, "leave torch.no_grad out")
        return node


def traced(network: nn.Module) -> tuple[nn.Module, fx.Graph]:
    """The graph of its forward, called with one argument, and the module that its names are of.

    Raises:
        ModelError: hooks, a forward that depends on values or shapes or switches gradients off, or
            several inputs.
    """
    _check_unaltered(network)
    if _Tracer().is_leaf_module(network, ""):
        network = nn.Sequential(network)
    try:
        with preserve_state(network), torch.enable_grad():
            graph = _Tracer().trace(network)
    except ModelError:
        raise
    except Exception as error:
        message = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise refused(
            f"{type(network).__name__}.forward",
            f"its forward cannot be traced by torch.fx: {message}",
            "write it without branches or loops on values and shapes of tensors",
        ) from error
    places = [node for node in graph.nodes if node.op == "placeholder"]
    if len([node for node in places if not node.args]) != 1:
        names = ", ".join(node.name for node in places)
        remedy = "wrap it in a module whose forward takes one tensor [N, …]"
        raise refused(f"{type(network).__name__}.forward({names})", "not one input", remedy)
    return network, graph


def _check_unaltered(network: nn.Module) -> None:
    if any(getattr(torch_module, f"_global_{name}") for name in _GLOBAL_HOOKS):
        raise refused("torch.nn.modules.module", "there are global hooks", "remove them")
    for name, module in network.named_modules():
        if isinstance(module, LazyModuleMixin):
            remedy = "call the network once on some inputs"
            raise refused(f"module {name}", "its sizes are not known yet", remedy)
        if is_altered(module):
            what = "it has hooks, or a forward of its own"
            raise refused(f"module {name or '(the network)'}", what, "remove them")
