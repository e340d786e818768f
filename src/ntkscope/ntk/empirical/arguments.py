"""The arguments of every function for kernels: what is no model or no inputs is refused at once."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from ntkscope.errors import ArgumentError, ModelError
from ntkscope.ntk.empirical.inputs import Inputs


def check_choice(name: str, value: Any, allowed: Collection[str]) -> None:
    """Refuse an option that does not exist.

    Raises:
        ArgumentError: lists those that do.
    """
    if not isinstance(value, str) or value not in allowed:
        raise ArgumentError(
            f"{name} = {value!r} does not exist", remedy=f"give one of: {', '.join(allowed)}"
        )


def check_count(name: str, value: Any, least: int = 1) -> None:
    """Refuse what is no whole number from `least` on; None is let through.

    Raises:
        ArgumentError: says which.
    """
    if value is None:
        return
    if not is_whole(value) or value < least:
        raise ArgumentError(
            f"{name} = {value!r} is no count",
            remedy=f"give a whole number, at least {least}, or leave it out",
        )


def check_part(part: Any) -> None:
    """Refuse what is no (i, n), the i-th of n parts.

    Raises:
        ArgumentError: says what is given.
    """
    pair = isinstance(part, tuple | list) and len(part) == 2
    if not pair or not all(is_whole(k) for k in part) or not 0 <= part[0] < part[1]:
        raise ArgumentError(
            f"part = {part!r} is no part", remedy="give (i, n), whole numbers with 0 ≤ i < n"
        )


def is_whole(value: Any) -> bool:
    """Whether it is an integer, of NumPy's too; truth values are none."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def check_module(model: Any) -> None:
    """Refuse what cannot be called on tensors as a torch module.

    Raises:
        ModelError: no module, without data (device meta), or with parameters still to come.
    """
    if not isinstance(model, nn.Module):
        raise ModelError(
            f"the model is a {type(model).__name__}, not a torch module",
            where="model",
            remedy="give an nn.Module whose forward maps [N, …] to [N, K]",
        )
    tensors = list(_tensors(model))
    if any(type(t) not in _PLAIN and is_lazy(t) for t in tensors):
        raise ModelError(
            "the model has lazy layers whose parameters are not made yet",
            where="model",
            remedy="call the model once on some samples, in training mode if it has lazy norms",
        )
    if any(t.is_meta for t in tensors):
        raise ModelError(
            "the model has parameters or buffers on the meta device, which hold no values",
            where="model",
            remedy="make it on a real device: model.to_empty(device=…), then load its parameters",
        )


_PLAIN = (nn.Parameter, Tensor)


def _tensors(module: nn.Module) -> Iterator[Tensor]:
    """Parameters and buffers, shared ones again: cheaper than to know them."""
    yield from (p for p in module._parameters.values() if p is not None)
    yield from (b for b in module._buffers.values() if b is not None)
    for child in module._modules.values():
        if child is not None:
            yield from _tensors(child)


def check_samples(x1: Any, x2: Any = None) -> None:
    """Refuse inputs that are no tensors with samples on their first axis, or of two kinds.

    Raises:
        ModelError: says which, and what to do.
    """
    for name, x in (("x1", x1), ("x2", x2)):
        if x is not None or name == "x1":
            _check_tensor(name, x)
    if x2 is None:
        return
    if isinstance(x1, Inputs) != isinstance(x2, Inputs):
        remedy = "give both in one form"
        raise ModelError("the inputs x1 and x2 differ in form", where="x1, x2", remedy=remedy)
    if isinstance(x1, Inputs) and set(x1.tensors) != set(x2.tensors):
        one, other = (", ".join(x.tensors) for x in (x1, x2))
        raise ModelError(
            f"the inputs x1 have {one}, x2 {other}",
            where="x1, x2",
            remedy="give the same names, or as many tensors, in both",
        )
    for what in ("dtype", "device", "ndim"):
        one, other = getattr(x1, what), getattr(x2, what)
        if one != other:
            raise ModelError(
                f"the inputs x1 have {what} {one}, x2 {other}",
                where="x1, x2",
                remedy="give both in one form: x2.to(x1), or of as many axes",
            )


def _check_tensor(name: str, x: Any) -> None:
    if isinstance(x, Inputs):
        for key, tensor in x.tensors.items():
            _check_tensor(f"{name}[{key!r}]", tensor)
        return
    if isinstance(x, Tensor):
        problem, remedy = "", ""
        if x.ndim == 0:
            problem = "is a single number"
            remedy = "give samples [N, …]"
        elif x.is_meta:
            problem, remedy = "is on the meta device, without values", "give real samples"
        elif x.layout != torch.strided:
            problem, remedy = f"has layout {x.layout}", "give x.to_dense(), or a padded tensor"
        if problem:
            raise ModelError(f"{name} {problem}", where=name, remedy=remedy)
        return
    remedy = "give a tensor [N, …], or a tuple or mapping of such tensors"
    if isinstance(x, np.ndarray):
        remedy = f"give torch.from_numpy({name}), in the model's dtype"
    raise ModelError(f"{name} is a {type(x).__name__}, not a tensor", where=name, remedy=remedy)


def refuse_no_samples(x1: Tensor, x2: Tensor | None) -> None:
    """What is planned, written or multiplied needs a sample on each side.

    Raises:
        ModelError: says which side has none.
    """
    for name, x in (("x1", x1), ("x2", x2)):
        if x is not None and len(x) == 0:
            raise ModelError(f"{name} has no samples", where=name, remedy="give at least one")
