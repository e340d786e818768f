"""One forward pass that remembers what entered each layer, and the way back to what left it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge

from ntkscope.ntk.empirical.validation import in_place_error

_SMALL = 2**15  # numbers in a layer's outputs


@dataclass
class Call:
    """One call of a layer.

    Attributes:
        module: the layer.
        inputs: what entered it [B, …], B a multiple of the number of samples.
        shape: of the output.
        top: the output is the model's own.
    """

    module: nn.Module
    inputs: Tensor
    shape: torch.Size
    top: bool


@dataclass
class Recorded(Call):
    """A call in autograd's graph.

    Attributes:
        version: torch's count of in-place changes to `inputs` at that moment.
        edge: where its output stands in the graph, whatever is done to the output later.
    """

    version: int
    edge: GradientEdge


def record(
    model: nn.Module, x: Tensor, modules: Iterable[nn.Module]
) -> tuple[Tensor, list[Recorded]]:
    """The outputs [N, K], with their graph, and the calls of `modules` in order.

    Raises:
        ModelError: an input of a layer was changed in place after the layer had used it.
    """
    calls: list[Recorded] = []
    with _hooked(modules, calls), torch.enable_grad():
        y: Tensor = model(x)
    for call in calls:
        if call.inputs._version != call.version:
            raise in_place_error(type(call.module).__name__)
        call.top = call.edge[:2] == get_gradient_edge(y)[:2]
    return y, calls


@contextmanager
def _hooked(modules: Iterable[nn.Module], calls: list[Recorded]) -> Iterator[None]:
    def hook(module: nn.Module, args: Any, kwargs: dict[str, Any], output: Tensor) -> None:
        if output.requires_grad:
            a = (args[0] if args else kwargs["input"]).detach()
            edge = get_gradient_edge(output)
            calls.append(Recorded(module, a, output.shape, False, a._version, edge))

    handles = [m.register_forward_hook(hook, prepend=True, with_kwargs=True) for m in modules]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def backpropagate(y: Tensor, calls: list[Recorded], output_vectors: Tensor) -> list[Tensor | None]:
    """∂⟨start_r, y⟩/∂(output) of each call; no parameter's gradient is computed.

    All cotangents go back at once where every layer's output is a short vector, else one by one:
    pooling and attention have no batched backward pass, and large products gain nothing by it.

    Args:
        y: outputs [N, K].
        calls: where to stop.
        output_vectors: cotangents [R, K], the same for all samples, or [R, N, K].

    Returns:
        [B, R, …] per call; None where y does not depend on it; [1, R, K] where its output is y
        itself and output_vectors are [R, K].
    """
    if not y.requires_grad:
        return [None] * len(calls)
    shared = output_vectors.ndim == 2
    every = output_vectors.unsqueeze(1).expand(-1, len(y), -1) if shared else output_vectors
    top = output_vectors.unsqueeze(0) if shared else output_vectors.transpose(0, 1)
    found = iter(_gradients(y, [call for call in calls if not call.top], every))
    return [top if call.top else next(found) for call in calls]


def _gradients(y: Tensor, calls: list[Recorded], output_vectors: Tensor) -> list[Tensor | None]:
    if not calls:
        return []
    edges = [call.edge for call in calls]

    def grad(output_vector: Tensor, batched: bool = False) -> tuple[Tensor | None, ...]:
        found: tuple[Tensor | None, ...] = torch.autograd.grad(
            y, edges, output_vector, retain_graph=True, allow_unused=True, is_grads_batched=batched
        )
        return found

    small = all(len(call.shape) == 2 and call.shape.numel() <= _SMALL for call in calls)
    if len(output_vectors) > 1 and small:
        together = _or_none(lambda: grad(output_vectors, batched=True))
        if together is not None:
            return [None if g is None else g.transpose(0, 1).contiguous() for g in together]
    each = [grad(output_vector) for output_vector in output_vectors]
    return [None if g[0] is None else torch.stack(g, 1) for g in zip(*each, strict=True)]


def _or_none(
    call: Callable[[], tuple[Tensor | None, ...]],
) -> tuple[Tensor | None, ...] | None:
    """None where an operation has no batched backward pass."""
    try:
        return call()
    except RuntimeError:
        return None
