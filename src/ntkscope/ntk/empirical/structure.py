"""What plans, operators and stores depend on besides the values of tensors, and what changed."""

from __future__ import annotations

import operator
from typing import Any

from torch import nn
from torch.nn.modules import module as torch_module

from ntkscope.ntk.empirical.face import original

_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
_PLAIN = (int, float, bool, str, type(None))

Structure = dict[str, tuple[Any, ...]]


def structure(model: nn.Module) -> Structure:
    """Name of an aspect → what the model is in that respect, a part for every module."""
    modules = [(name, original(module)) for name, module in model.named_modules()]
    first: dict[int, str] = {}
    parameters = []
    for prefix, module in modules:
        for attr, p in module._parameters.items():
            if p is not None:
                same = first.setdefault(id(p), f"{prefix}.{attr}")
                parameters.append((prefix, attr, same, p.requires_grad, p.shape, p.dtype, p.device))
    return {
        "layers": tuple((name, type(module), id(module)) for name, module in modules),
        "modes": tuple((name, module.training) for name, module in modules),
        "settings": tuple((name, _settings(module)) for name, module in modules),
        "hooks": (("", _global_hooks()), *((name, _hooks(module)) for name, module in modules)),
        "parameters": tuple(parameters),
    }


def objects(model: nn.Module) -> tuple[list[Any], list[Any]]:
    """All that `structure` looks at, as the objects themselves: a quick look, if they are the same.

    They may be others while the structure is the same.
    """
    found: list[Any] = [sum(_global_hooks())]
    values: list[Any] = []
    left = [model]
    while left:
        module = left.pop()
        own = module.__dict__
        found += own.values()
        found += (type(module), module.training)
        found += own["_buffers"].values()
        children, parameters = own["_modules"], own["_parameters"]
        if children:
            found += children.values()
            left += [child for child in children.values() if child is not None]
        for p in parameters.values():
            found.append(p)
            if p is not None:
                found += (p.requires_grad, p.dtype)
                values += (p.shape, p.device)
        for name in _HOOKS:
            if own.get(name):
                found += own[name].values()
    return found, values


def same_objects(before: tuple[list[Any], list[Any]], after: tuple[list[Any], list[Any]]) -> bool:
    """Whether nothing at all has changed."""
    if len(before[0]) != len(after[0]) or before[1] != after[1]:
        return False
    return all(map(operator.is_, before[0], after[0]))


def changed(before: Structure, after: Structure) -> str | None:
    """What differs first, in words; None if nothing does."""
    for aspect, old in before.items():
        new = after[aspect]
        if old != new:
            places = [a[0] for a, b in zip(old, new, strict=False) if a != b]
            return f"{aspect} of {places[0] or 'the model itself'}" if places else aspect
    return None


def text_of(model: nn.Module) -> str:
    """The same in words that are equal in every process, for a digest."""
    lines = [
        f"{name} {_class(module)} {module.training} {_plain(module)} {_own(module)} "
        f"{_plain(original(module))} {_own(original(module))}"
        for name, module in model.named_modules()
    ]
    shared = [part[:4] for part in structure(model)["parameters"]]
    return "\n".join([*lines, str(shared)])


def _plain(module: nn.Module) -> list[tuple[str, Any]]:
    own = vars(module).items()
    return [(name, value) for name, value in own if name[0] != "_" and _is_plain(value)]


def _class(module: nn.Module) -> str:
    return f"{type(module).__module__}.{type(module).__qualname__}"


def _own(module: nn.Module) -> list[str]:
    """Functions among its attributes, by name."""
    return [
        f"{name}={getattr(value, '__module__', '')}.{getattr(value, '__qualname__', '')}"
        for name, value in vars(module).items()
        if callable(value) and not isinstance(value, nn.Module)
    ]


def _settings(module: nn.Module) -> tuple[tuple[str, Any], ...]:
    return tuple(
        (name, value if _is_plain(value) else id(value))
        for name, value in vars(module).items()
        if name != "training" and name[0] != "_" and (_is_plain(value) or callable(value))
    )


def _is_plain(value: Any) -> bool:
    kind = type(value)
    return kind in _PLAIN or (kind is tuple and all(type(v) in _PLAIN for v in value))


def _hooks(module: nn.Module) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(map(id, hooks.values())) for hooks in _of(module))


def _of(module: nn.Module) -> list[dict[int, Any]]:
    return [getattr(module, name) for name in _HOOKS]


def _global_hooks() -> tuple[int, ...]:
    return tuple(len(getattr(torch_module, f"_global{name}")) for name in _HOOKS)
