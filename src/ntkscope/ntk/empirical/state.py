"""Leaving a model as it was found, and autograd that sees all that there is to see."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils import checkpoint

from ntkscope.errors import ModelError
from ntkscope.ntk.empirical.face import original


@contextmanager
def preserve_state(model: nn.Module, *, may_change: bool = True) -> Iterator[None]:
    """Restore modes, attributes, buffers, gradients and random states, also after an exception.

    Inside, autograd records whatever the caller has switched off or on around: no inference mode,
    no autocast, no re-entrant checkpoints (whose layers `torch.autograd.grad` does not see).

    Args:
        model: any.
        may_change: False for a model of which nothing is called that could change any of them.

    Raises:
        ModelError: the model's forward has changed a parameter.
    """
    with ExitStack() as stack:
        if torch.is_inference_mode_enabled():
            stack.enter_context(torch.inference_mode(mode=False))
        for device in _autocast():
            stack.enter_context(torch.autocast(device, enabled=False))
        if may_change:
            stack.enter_context(_without_reentrant_checkpoints())
            stack.enter_context(torch.random.fork_rng(devices=_random_devices()))
            stack.enter_context(_restored(model))
        yield


def own(x: Tensor) -> Tensor:
    """Inputs that autograd can record: a copy of those made in inference mode."""
    return x.clone() if x.is_inference() and not torch.is_inference_mode_enabled() else x


def _autocast() -> list[str]:
    """Kinds of devices for which autocast is on."""
    kinds = ["cpu"] + (["cuda"] if torch.cuda.is_initialized() else [])
    return [kind for kind in kinds if torch.is_autocast_enabled(kind)]


@contextmanager
def _restored(model: nn.Module) -> Iterator[None]:
    gradients = [(p, p.grad) for p in model.parameters()]
    renormalised = [(p, p.detach().clone()) for p in renormalised_in(model)]
    seen = {id(p) for p, _ in renormalised}
    versions = [(n, p, version(p)) for n, p in model.named_parameters() if id(p) not in seen]
    modules = [original(m) for m in model.modules() if not isinstance(m, torch.jit.ScriptModule)]
    attributes = [(module, _attributes(module)) for module in modules]
    drawn = random.getstate(), np.random.get_state()
    try:
        for p, _ in gradients:
            p.grad = None
        yield
        changed = [name for name, p, before in versions if version(p) != before]
        if changed:
            raise ModelError(
                f"the model's forward changes its parameter {changed[0]} in place",
                where=type(model).__name__,
                remedy="change parameters outside of forward, or keep what changes in a buffer",
            )
    finally:
        random.setstate(drawn[0])
        np.random.set_state(drawn[1])
        for module, before in attributes:
            _give_back(module, before)
        with torch.no_grad():
            for p, value in renormalised:
                if not torch.equal(p, value):
                    p.copy_(value)
        for p, gradient in gradients:
            p.grad = gradient


def version(tensor: Tensor) -> int:
    """Torch's count of in-place changes; those of inference mode are not counted."""
    return -1 if tensor.is_inference() else tensor._version


def renormalised_in(model: nn.Module) -> list[nn.Parameter]:
    """Weights that the layer itself scales in forward: embeddings with `max_norm`."""
    found = [m for m in model.modules() if getattr(m, "max_norm", None) is not None]
    return [p for m in found for p in m.parameters(recurse=False)]


def _attributes(module: nn.Module) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """A module's attributes and buffers as they are, and copies of the tensors among them."""
    own_dict, buffers = dict(vars(module)), dict(module._buffers)
    own_dict |= {name: _copied(value) for name, value in own_dict.items() if _is_state(name, value)}
    tensors = {("", n): t for n, t in own_dict.items() if isinstance(t, Tensor)}
    tensors |= {("b", n): t for n, t in buffers.items() if t is not None}
    copies = {key: (t, version(t), t.detach().clone()) for key, t in tensors.items()}
    return own_dict, buffers, copies  # type: ignore[return-value]


_REGISTRIES = frozenset(vars(nn.Module()))
"""Collections that every module has: parameters, buffers, hooks, children."""


def _is_state(name: str, value: Any) -> bool:
    """Whether an attribute is a collection of the module's own that its forward may fill."""
    return name not in _REGISTRIES and isinstance(value, (list, dict, set))


def _copied(value: Any) -> Any:
    return _Kept(value, value.copy())


class _Kept:
    """A collection, and what was in it."""

    def __init__(self, value: Any, content: Any) -> None:
        self.value, self.content = value, content

    def restored(self) -> Any:
        """The same object with what was in it."""
        if isinstance(self.value, list):
            self.value[:] = self.content
        else:
            self.value.clear()
            self.value.update(self.content)
        return self.value


def _give_back(
    module: nn.Module, before: tuple[dict[str, Any], dict[str, Any], dict[str, Any]]
) -> None:
    attributes, buffers, copies = before
    here = vars(module)
    for name in [n for n in here if n not in attributes]:
        del here[name]
    for name, value in attributes.items():
        here[name] = value.restored() if isinstance(value, _Kept) else value
    module._buffers.clear()
    module._buffers.update(buffers)
    with torch.no_grad():
        for tensor, counted, copy in copies.values():
            if version(tensor) != counted or tensor.shape != copy.shape or counted < 0:
                _refill(tensor, copy)


def _refill(tensor: Tensor, copy: Tensor) -> None:
    """Put values back; a tensor that was made larger or smaller in place gets its shape back."""
    if tensor.shape != copy.shape:
        tensor.resize_(copy.shape)
    tensor.copy_(copy)


@contextmanager
def _without_reentrant_checkpoints() -> Iterator[None]:
    """Their layers are run, and recorded, like any others."""
    before = checkpoint.CheckpointFunction
    checkpoint.CheckpointFunction = _Direct  # type: ignore[misc,assignment]
    try:
        yield
    finally:
        checkpoint.CheckpointFunction = before  # type: ignore[misc]


class _Direct:
    @staticmethod
    def apply(function: Any, preserve_rng_state: bool, *inputs: Any) -> Any:
        return function(*inputs)


def random_states() -> list[Tensor]:
    """Of all generators of torch that a forward may draw from, and of NumPy and Python."""
    states = [torch.get_rng_state()]
    states += [torch.cuda.get_rng_state(device) for device in _random_devices()]
    numpy: Any = np.random.get_state()
    states.append(torch.from_numpy(np.append(numpy[1], numpy[2]).astype(np.int64)))
    return [*states, torch.tensor(random.getstate()[1])]


def _random_devices() -> list[int]:
    """CUDA devices whose generators may have been used; asking an idle driver takes long."""
    return list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []
