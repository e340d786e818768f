"""Which modules and functions are elementwise, where they have kinks, and their closed forms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from ntkscope.models.network import Elementwise as NamedActivation
from ntkscope.ntk.infinite import analytic_duals
from ntkscope.ntk.infinite.dual_activations import Dual, analytic_dual, dual, leaky_dual
from ntkscope.ntk.infinite.nonlinearity import Nonlinearity

_Module = Any  # one whose class is in the tables below

_KINKS: dict[type[nn.Module], Callable[[_Module], tuple[float, ...]]] = {
    **dict.fromkeys((nn.ReLU, nn.LeakyReLU, nn.SELU, nn.CELU, nn.ELU, nn.Softsign), lambda m: (0,)),
    **dict.fromkeys((nn.Tanh, nn.Sigmoid, nn.GELU, nn.SiLU, nn.Mish, nn.Softplus), lambda m: ()),
    **dict.fromkeys((nn.LogSigmoid, nn.Tanhshrink), lambda m: ()),
    **dict.fromkeys((nn.Hardswish, nn.Hardsigmoid), lambda m: (-3, 3)),
    nn.ReLU6: lambda m: (0, 6),
    nn.Hardtanh: lambda m: (m.min_val, m.max_val),
    nn.Softshrink: lambda m: (-m.lambd, m.lambd),
    NamedActivation: lambda m: (0,) if m.kind == "relu" else (),
}

_SAME_AS: dict[Any, type[nn.Module]] = {
    **dict.fromkeys((F.relu, torch.relu, "relu", F.relu_, torch.relu_, "relu_"), nn.ReLU),
    **dict.fromkeys((F.tanh, torch.tanh, "tanh"), nn.Tanh),
    **dict.fromkeys((F.sigmoid, torch.sigmoid, "sigmoid"), nn.Sigmoid),
    **{F.gelu: nn.GELU, F.silu: nn.SiLU, F.mish: nn.Mish, F.softplus: nn.Softplus},
    **{F.leaky_relu: nn.LeakyReLU, F.elu: nn.ELU, F.selu: nn.SELU, F.celu: nn.CELU},
    **{F.relu6: nn.ReLU6, F.hardtanh: nn.Hardtanh, F.hardswish: nn.Hardswish},
    **{F.hardsigmoid: nn.Hardsigmoid, F.softsign: nn.Softsign, F.tanhshrink: nn.Tanhshrink},
    **{F.logsigmoid: nn.LogSigmoid, F.softshrink: nn.Softshrink},
}
"""Functions, and names of methods, with the arguments of a module after the first."""

_PLAIN: dict[Any, tuple[Nonlinearity, Dual | None]] = {
    key: (Nonlinearity(function.__name__, function, kinks), known)
    for function, kinks, known in (
        (torch.sin, (), analytic_dual(analytic_duals.sine)),
        (torch.cos, (), analytic_dual(analytic_duals.cosine)),
        (torch.exp, (), analytic_dual(analytic_duals.exponential)),
        (torch.erf, (), dual("erf")),
        (torch.square, (), None),
        (torch.abs, (0.0,), leaky_dual(-1.0, at_zero=0.0)),
    )
    for key in (function, function.__name__)
}
"""Those without arguments."""


def elementwise_module(module: nn.Module) -> tuple[Nonlinearity, Dual | None] | None:
    """What an activation module computes; None: it is none, or not known."""
    kinks = _KINKS.get(type(module))
    if kinks is None:
        return None
    name = module.kind if isinstance(module, NamedActivation) else type(module).__name__
    where = tuple(float(k) for k in kinks(module))
    phi = Nonlinearity(str(name), lambda z: module(z.clone()), where)
    return phi, _closed_form(module)


def elementwise_call(
    target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Nonlinearity, Dual | None] | None:
    """What a function or method computes, `args` being those after the first; None: not known."""
    if target in _PLAIN and not args and not kwargs:
        return _PLAIN[target]
    if target not in _SAME_AS:
        return None
    try:
        return elementwise_module(_SAME_AS[target](*args, **kwargs))
    except TypeError:
        return None


def writes(target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether an elementwise call writes into its argument."""
    if isinstance(target, str):
        return target.endswith("_")
    if target in (F.relu_, torch.relu_):
        return True
    if target not in _SAME_AS:
        return False
    return bool(getattr(_SAME_AS[target](*args, **kwargs), "inplace", False))


def _closed_form(module: _Module) -> Dual | None:
    match module:
        case nn.ReLU():
            return dual("relu")
        case nn.LeakyReLU():
            return leaky_dual(module.negative_slope, at_zero=module.negative_slope)
        case NamedActivation():
            return dual(module.kind)
        case nn.GELU(approximate="none"):
            return dual("gelu")
    return None
