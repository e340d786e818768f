"""A forward pass that records each layer's input, and the backward pass to its output."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge

from ntkscope.ntk.empirical.outputs import in_place_error

Layout = Literal["first", "second", "inner"]
"""Samples on the first axis, position by position too (n·S); on the second; or inside (S·n)."""


@dataclass
class Call:
    """One call of a layer.

    Attributes:
        module: the layer.
        inputs: the layer's input [B, …], B a multiple of the number of samples.
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
        layout: where in its inputs and outputs the samples are.
        tensors: in place of the module's parameters at that moment.
    """

    version: int
    edge: GradientEdge
    layout: Layout = "first"
    tensors: tuple[Tensor | None, ...] = ()


def record(
    model: nn.Module, x: Tensor, modules: Iterable[nn.Module], uses: Sequence[Recorded] = ()
) -> tuple[Tensor, list[Recorded]]:
    """The outputs [N, K], with their graph, and the calls of `modules` in order.

    uses: a list that fills while the model runs; they come last.

    Raises:
        ModelError: an input of a layer was changed in place after the layer had used it.
    """
    calls: list[Recorded] = []
    with _hooked(modules, calls), torch.enable_grad():
        y: Tensor = model(x)
    for call in calls:
        if call.inputs._version != call.version:
            raise in_place_error(type(call.module).__name__)
    calls += uses
    for call in calls:
        call.top = call.edge[:2] == get_gradient_edge(y)[:2]
    return y, calls


@contextmanager
def _hooked(modules: Iterable[nn.Module], calls: list[Recorded]) -> Iterator[None]:
    def hook(module: nn.Module, args: Any, kwargs: dict[str, Any], output: Tensor) -> None:
        if output.requires_grad:
            a = args[0] if args else kwargs["input"]
            place = a._version, get_gradient_edge(output)
            tensors = tuple(module._parameters.values())
            calls.append(Recorded(module, a, output.shape, False, *place, tensors=tensors))

    handles = [m.register_forward_hook(hook, prepend=True, with_kwargs=True) for m in modules]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def backpropagate(
    y: Tensor, calls: list[Recorded], output_vectors: Tensor, batched_elements: int
) -> list[Tensor | None]:
    """∂⟨v_r, y⟩/∂(output) of each call; no parameter's gradient is computed.

    All output vectors go back at once where every layer's output is a short vector, else one by
    one: pooling and attention have no batched backward pass, and large products gain nothing by it.

    Args:
        y: outputs [N, K].
        calls: where to stop.
        output_vectors: v [R, K].
        batched_elements: how many a layer's output may have to be called short.

    Returns:
        [B, R, …] per call; None where y does not depend on it; [1, R, K] where its output is y.
    """
    if not y.requires_grad:
        return [None] * len(calls)
    every = output_vectors.unsqueeze(1).expand(-1, len(y), -1)
    below = [call for call in calls if not call.top]
    found = iter(_gradients(y, below, every, batched_elements))
    return [output_vectors.unsqueeze(0) if call.top else next(found) for call in calls]


def _gradients(
    y: Tensor, calls: list[Recorded], output_vectors: Tensor, batched_elements: int
) -> list[Tensor | None]:
    if not calls:
        return []
    edges = [call.edge for call in calls]

    def grad(v: Tensor, batched: bool = False) -> tuple[Tensor | None, ...]:
        found: tuple[Tensor | None, ...] = torch.autograd.grad(
            y, edges, v, retain_graph=True, allow_unused=True, is_grads_batched=batched
        )
        return found

    small = all(
        len(c.shape) == 2 and c.layout == "first" and c.shape.numel() <= batched_elements
        for c in calls
    )
    if len(output_vectors) > 1 and small:
        together = _or_none(lambda: grad(output_vectors, batched=True))
        if together is not None:
            return [None if g is None else g.transpose(0, 1).contiguous() for g in together]
    if len(output_vectors) == 1:
        pairs = zip(calls, grad(output_vectors[0]), strict=True)
        return [
            None if g is None else _by_sample(g, call.layout, len(y)).contiguous().unsqueeze(1)
            for call, g in pairs
        ]
    every: list[Tensor | None] = [None] * len(calls)
    for r, v in enumerate(output_vectors):
        for place, g in enumerate(grad(v)):
            if g is not None:
                g = _by_sample(g, calls[place].layout, len(y))  # noqa: PLW2901
                if r == 0:
                    every[place] = _room(g, len(output_vectors), calls[place].module)
                every[place][:, r] = g  # type: ignore[index]
    return every


def _room(g: Tensor, count: int, module: nn.Module) -> Tensor:
    """Memory [B, R, …] for R gradients like g; of a linear layer's positions with R inside."""
    if isinstance(module, nn.Linear) and g.ndim > 2:
        return g.new_empty(*g.shape[:-1], count, g.shape[-1]).movedim(-2, 1)
    return g.new_empty(len(g), count, *g.shape[1:])


def samples_first(t: Tensor, layout: Layout, n: int) -> Tensor:
    """A tensor of n samples with them on its first axis, in order in memory."""
    return t if layout == "first" else _by_sample(t, layout, n).contiguous()


def _by_sample(t: Tensor, layout: Layout, n: int) -> Tensor:
    if layout == "first":
        return t
    by_position = t if layout == "second" else t.unflatten(0, (-1, n))
    return by_position.transpose(0, 1)


def _or_none(
    call: Callable[[], tuple[Tensor | None, ...]],
) -> tuple[Tensor | None, ...] | None:
    """None where an operation has no batched backward pass."""
    try:
        return call()
    except RuntimeError:
        return None
