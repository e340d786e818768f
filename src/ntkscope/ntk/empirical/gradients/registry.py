"""The layers whose per-sample gradients are known, and the door by which more are made known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn

from ntkscope.errors import ModelError
from ntkscope.ntk.empirical.gradients.factors import (
    FactoredGradients,
    bias_gradients,
    weight_gradients,
)

Factored = Callable[[Any, Tensor, Tensor, int], FactoredGradients]
Elementwise = Callable[[Any, Tensor, Tensor, int], dict[str, Tensor]]


@dataclass(frozen=True)
class LayerRule:
    """How a class of layers makes its gradients; attributes as of `register_layer`."""

    factored: Factored | None
    elementwise: Elementwise | None
    parameters: tuple[str, ...]
    applies: Callable[[Any], bool]
    as_weight: Callable[[Any, Tensor], Tensor]
    shares_readout: bool


_RULES: dict[type[nn.Module], LayerRule] = {}


def _in_shape_of_weight(module: Any, gradients: Tensor) -> Tensor:
    return gradients.reshape(*gradients.shape[:2], *module.weight.shape)


def register_layer(
    module_class: type[nn.Module],
    *,
    factored: Factored | None = None,
    elementwise: Elementwise | None = None,
    parameters: tuple[str, ...] = ("weight", "bias"),
    applies: Callable[[Any], bool] = lambda module: True,
    as_weight: Callable[[Any, Tensor], Tensor] = _in_shape_of_weight,
    shares_readout: bool = False,
) -> None:
    """Make the per-sample gradients of a class of layers known, and so its NTK fast.

    Of the two forms give one. Both are called with the layer, its input a [B, …], its output
    gradients g [B, R, …] (of R output vectors) and the number n of samples, of which B is a
    multiple: a sample's rows lie together. Every plan compares the formula with autograd on two
    samples; where they differ, or shapes do not fit, the layer is left to the fallback, which is
    slower and right, and printed plans say so. A formula that fails otherwise is a ModelError.

    Args:
        module_class: this class exactly; a subclass may compute anything, and is registered by
            itself. Registered again, the last formula holds.
        factored: for a linear map: `FactoredGradients` u and g, of which the weight's gradient is
            Σ_s g_s u_sᵀ and the bias's √offset · Σ_s g_s; never multiplied out where that is
            dearer. Parameters that do not learn are left out by the engine.
        elementwise: for few parameters: {name: gradients [n, R, shape of the parameter]}.
        parameters: names of the layer's own parameters that the formula knows; of a factored one
            the weight and the bias. A layer with others is left to the fallback.
        applies: whether a layer's settings are such that the formula holds.
        as_weight: from (layer, [n, R, O, D]) to the shape [n, R, …] of the weight, where that is
            more than a reshape.
        shares_readout: g may come as [1, R, K], the same for all samples, at the readout.

    Raises:
        ModelError: not a class of modules, or not exactly one form.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from ntkscope.ntk import empirical_ntk, plan_ntk, register_layer
        >>> class Scale(nn.Module):
        ...     def __init__(self, width):
        ...         super().__init__()
        ...         self.weight = nn.Parameter(torch.ones(width))
        ...
        ...     def forward(self, x):
        ...         return x * self.weight
        >>> def scale_gradients(layer, a, g, n):
        ...     return {"weight": g * a.unsqueeze(1)}
        >>> register_layer(Scale, elementwise=scale_gradients)
        >>> model, x = nn.Sequential(nn.Linear(3, 4), Scale(4), nn.Linear(4, 2)), torch.randn(5, 3)
        >>> [layer.strategy for layer in plan_ntk(model, x).layers]
        ['factored', 'materialised', 'factored']
        >>> empirical_ntk(model, x).shape
        torch.Size([5, 5])
    """
    if not (isinstance(module_class, type) and issubclass(module_class, nn.Module)):
        raise ModelError(
            f"{module_class!r} is not a class of modules",
            where="register_layer",
            remedy="give the class itself, not a layer of it",
        )
    if (factored is None) == (elementwise is None):
        raise ModelError(
            "a layer's gradients have exactly one form",
            where=f"register_layer({module_class.__name__})",
            remedy="give either factored= or elementwise=",
        )
    formula = factored if elementwise is None else elementwise
    names = isinstance(parameters, tuple) and all(isinstance(name, str) for name in parameters)
    if not callable(formula) or not names:
        raise ModelError(
            f"the formula is {formula!r}, and parameters = {parameters!r}",
            where=f"register_layer({module_class.__name__})",
            remedy="give a function as factored= or elementwise=, and a tuple of parameters' names",
        )
    _RULES[module_class] = LayerRule(
        factored, elementwise, parameters, applies, as_weight, shares_readout
    )


def rule_of(module: nn.Module) -> LayerRule | None:
    """What is registered for the module's class at this moment."""
    return _RULES.get(type(module))


def is_known(module: nn.Module) -> bool:
    """Whether a formula is known for the module's class and for all of its own parameters.

    Of a module with a forward of its own, put into it, nothing is known.
    """
    rule = rule_of(module)
    if rule is None or "forward" in vars(module):
        return False
    own = {name for name, _ in module.named_parameters(recurse=False)}
    first = getattr(module, rule.parameters[0], None) if rule.parameters else None
    return own <= set(rule.parameters) and isinstance(first, Tensor) and rule.applies(module)


def is_factored(module: nn.Module) -> bool:
    """Whether the formula of its class is of outer products."""
    return _RULES[type(module)].factored is not None


def is_foreign(module: nn.Module) -> bool:
    """Whether its formula is not ours, whose handling of several output vectors is tested."""
    rule = _RULES[type(module)]
    return not getattr(rule.factored or rule.elementwise, "__module__", "").startswith("ntkscope.")


def factored_form(module: nn.Module, a: Tensor, g: Tensor, n: int) -> FactoredGradients | None:
    """The factors of what learns; None for a layer that has no such form."""
    rule = _RULES[type(module)]
    if rule.factored is None:
        return None
    if not rule.shares_readout:
        g = g.expand(len(a), *g.shape[1:])
    found = rule.factored(module, a, g, n)
    weight, bias = (*rule.parameters, "", "")[:2]
    if not learns(module, weight):
        nothing = found.output_gradients.new_empty(*found.inputs.shape[:3], 0)
        found = replace(found, inputs=nothing, width=0)
    return found if learns(module, bias) else replace(found, offset=0.0)


def gradients_of_parameters(module: nn.Module, a: Tensor, g: Tensor, n: int) -> dict[str, Tensor]:
    """Of each trainable parameter: [n, R, shape of the parameter] (n = 1: the same for all)."""
    rule = _RULES[type(module)]
    if rule.elementwise is not None:
        found = rule.elementwise(module, a, g.expand(len(a), *g.shape[1:]), n)
        return {name: value for name, value in found.items() if learns(module, name)}
    factors = factored_form(module, a, g, n)
    assert factors is not None
    weight, bias = (*rule.parameters, "", "")[:2]
    found = {}
    if learns(module, weight):
        found[weight] = rule.as_weight(module, weight_gradients(factors))
    if learns(module, bias):
        found[bias] = bias_gradients(factors)
    return found


def learns(module: nn.Module, name: str) -> bool:
    """Whether the module has a parameter of its own of that name which requires a gradient.

    A generated weight, which another module computes, is none.
    """
    parameter = module._parameters.get(name)
    return parameter is not None and bool(parameter.requires_grad)
