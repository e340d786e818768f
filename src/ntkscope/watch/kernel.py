"""The NTK of a model in the middle of its training, which is left as it was to the bit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ntkscope.errors import ModelError
from ntkscope.ntk.empirical import empirical_ntk
from ntkscope.ntk.empirical.api import PlanError, plan_ntk
from ntkscope.ntk.empirical.arguments import check_choice, check_module
from ntkscope.ntk.empirical.face import in_any_form
from ntkscope.ntk.empirical.plan import Plan
from ntkscope.ntk.empirical.planner import make_plan
from ntkscope.ntk.empirical.precision import half_dtype
from ntkscope.ntk.empirical.state import preserve_state
from ntkscope.ntk.kinds import KINDS
from ntkscope.watch.probe import Probe, WatchError

Arrays = dict[str, NDArray[Any]]


def unwrapped(model: nn.Module) -> nn.Module:
    """The module inside DataParallel, DistributedDataParallel and torch.compile.

    Raises:
        WatchError: its parameters are spread over processes.
    """
    check_module(model)
    while True:
        inside = getattr(model, "_orig_mod", None)
        if isinstance(model, nn.DataParallel | nn.parallel.DistributedDataParallel):
            inside = model.module
        if not isinstance(inside, nn.Module):
            break
        model = inside
    if any(isinstance(module, torch.jit.ScriptModule) for module in model.modules()):
        raise WatchError(
            "the model, or a part of it, is TorchScript, of which no gradients a sample are taken",
            where="model",
            remedy="watch the module that torch.jit.script or torch.jit.trace was given",
        )
    if next(model.parameters(), None) is None:
        raise WatchError(
            "the model has no parameters",
            where="model",
            remedy="give the network that is trained, not its loss or a wrapper without parameters",
        )
    sharded = [n for n, p in model.named_parameters() if type(p).__name__ in _SHARDED]
    if sharded or type(model).__name__ == "FullyShardedDataParallel":
        raise WatchError(
            f"the parameters are spread over processes: {(sharded or ['all'])[0]}",
            where="model",
            remedy="watch a model whose parameters are whole on rank 0, as under "
            "DistributedDataParallel",
        )
    return model


_SHARDED = ("DTensor", "FlatParameter")


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode, in which nothing that training depends on changes.

    Modes, buffers, gradients and the states of all random generators are given back, also after an
    error; autocast, inference mode and `no_grad` around have no effect.

    Args:
        model: any; modes of its modules may differ.
    """
    with preserve_state(model), torch.enable_grad():
        modes = [(module, module.training) for module in model.modules()]
        try:
            for module, _ in modes:
                module.training = False
            yield
        finally:
            for module, mode in modes:
                module.training = mode


@dataclass
class ProbeKernel:
    """How the kernel of one model on one probe is computed, again and again.

    Args:
        model: as `unwrapped` gives it.
        probe: the samples.
        kind: `trace`, `full` or `pseudo`.
        by_layer: whether with its layers' (kind trace).
        options: `output` and `parameters` of `empirical_ntk`.
    """

    model: nn.Module
    probe: Probe
    kind: str = "trace"
    by_layer: bool = True
    options: dict[str, Any] = field(default_factory=dict)
    _plan: Any = None
    _is_verified: bool = False

    def __post_init__(self) -> None:
        check_choice("kind", self.kind, tuple(KINDS))

    def __getstate__(self) -> dict[str, Any]:
        """Of a copy, which plans anew: a plan is of one network, and of this process."""
        return self.__dict__ | {"_plan": None, "_is_verified": False}

    def compute(self) -> Arrays:
        """`ntk`, [N, (K,) N, (K)], and by layer `layers`, their names, and `layer_ntk`.

        Call it while `evaluating`. The first finite kernel is verified; one of a network that has
        diverged is what it is.

        Raises:
            ModelError: a model whose kernel is not defined.
        """
        inputs = self.probe.on(next(self.model.parameters()).device)
        try:
            found = self._verified(inputs)
        except PlanError:  # the model was given another head, or some parameters were frozen
            self._plan, self._is_verified = None, False
            found = self._verified(inputs)
        if isinstance(found, torch.Tensor):
            return {"ntk": _numbers(found)}
        stacked = torch.stack(list(found.values()))
        layers = [".".join(p for p in n.split(".") if p != "_orig_mod") for n in found]  # compiled
        arrays: Arrays = {"ntk": _numbers(stacked.sum(0))}
        return arrays | {"layer_ntk": _numbers(stacked), "layers": np.asarray(layers)}

    def _verified(self, inputs: Any) -> torch.Tensor | dict[str, torch.Tensor]:
        """Kernels; unless one was before, compared with brute force, if they are finite."""
        if self._is_verified:
            return self._kernels(inputs, "off")
        self._plan = self._planned(inputs)
        try:
            found = self._kernels(inputs, "entries")
            self._is_verified = True
        except ModelError:
            found = self._kernels(inputs, "off")
            whole = found if isinstance(found, torch.Tensor) else sum(found.values())
            if bool(torch.as_tensor(whole).isfinite().all()):
                raise
        return found

    def _planned(self, inputs: Any) -> Any:
        """By nominal throughput, so that kernels are the same after a restart."""
        if half_dtype(self.model) is not None:
            return plan_ntk(self.model, inputs, kind=self.kind, **self.options)
        return _nominal_plan(self.model, inputs, kind=self.kind, **self.options)

    def _kernels(self, inputs: Any, verify: str) -> torch.Tensor | dict[str, torch.Tensor]:
        return empirical_ntk(
            self.model,
            inputs,
            kind=self.kind,
            by_layer=self.by_layer,
            plan=self._plan,
            verify=verify,
            **self.options,
        )


@in_any_form
def _nominal_plan(
    model: nn.Module,
    x1: Any,
    *,
    kind: str,
    x2: None = None,
    output: Any = None,
    parameters: Any = None,
) -> Plan:
    return make_plan(model, x1, None, kind)


def _numbers(kernel: torch.Tensor) -> NDArray[Any]:
    """A kernel as an array: bfloat16, which NumPy has not, in float32."""
    known = kernel.float() if kernel.dtype == torch.bfloat16 else kernel
    return known.cpu().numpy()


Given = Any
"""A number, a zero-dimensional tensor, one of these for each task seen, or a function of nothing
that gives any of them."""


def values_of(given: Given) -> list[float]:
    """A loss or an accuracy as numbers, one a task where several are given; none where none is."""
    found = given() if isinstance(given, Callable) else given  # type: ignore[arg-type]
    if found is None:
        return []
    if isinstance(found, list | tuple):
        return [value for each in found for value in values_of(each)]
    if isinstance(found, torch.Tensor):
        found = found.detach().cpu().double().numpy()
    try:
        return np.asarray(found, np.float64).reshape(-1).tolist()
    except (TypeError, ValueError):
        raise WatchError(
            f"{found!r} is no loss or accuracy",
            where="step",
            remedy="give a number, one for each task, or a function of nothing that gives them",
        ) from None
