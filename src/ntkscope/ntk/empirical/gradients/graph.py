"""What autograd's graph of a pass shows, and no look at the operations of torch does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence, Set
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import get_gradient_edge

from ntkscope.ntk.empirical.gradients.hooks import Recorded
from ntkscope.ntk.empirical.gradients.registry import is_foreign
from ntkscope.ntk.empirical.gradients.uses import Use


class UsedElsewhereError(RuntimeError):
    """Parameters of a layer are used outside of its calls, where their gradients are not seen.

    Args:
        parameters: their ids.
    """

    def __init__(self, parameters: Set[int]) -> None:
        super().__init__("parameters of layers are used outside of these")
        self.parameters = parameters


def look_at_graph(
    y: Tensor,
    calls: Sequence[Recorded],
    gradients: Sequence[Tensor | None],
    ours: Collection[type],
) -> bool:
    """Whether a pass has no derivative of the user's own, or compiled, which may mix samples.

    Args:
        y: outputs, with their graph.
        calls: of layers, which use each of their parameters once a call, and of others.
        gradients: of the calls; None where y does not depend on one.
        ours: `torch.autograd.Function`s that are known.

    Raises:
        UsedElsewhereError: a parameter of these layers has more uses than they have calls, or
            something else stood in its place in a call.
    """
    expected: Counter[int] = Counter()
    leaves: dict[Any, int] = {}
    more: set[int] = set()
    for call, g in zip(calls, gradients, strict=True):
        if isinstance(call, Use):
            continue
        now = call.module._parameters.values()
        if any(p is not then for p, then in zip(now, call.tensors, strict=True)):
            more.update(id(p) for p in _learning(call.module))
        if is_foreign(call.module):
            continue
        for p in _learning(call.module):
            leaves[get_gradient_edge(p).node] = id(p)
            expected[id(p)] += g is not None
    uses, own = _walked(y.grad_fn, leaves, ours)
    if more := more | {key for key, count in uses.items() if count > expected[key]}:
        raise UsedElsewhereError(more)
    return own


def _learning(module: nn.Module) -> Iterable[nn.Parameter]:
    return (p for p in module._parameters.values() if p is not None and p.requires_grad)


def _walked(
    start: Any, leaves: dict[Any, int], ours: Collection[type]
) -> tuple[Counter[int], bool]:
    """How often each leaf is used, and whether every derivative is torch's, or ours."""
    uses: Counter[int] = Counter()
    met, left, known = {start}, [start], True
    while left:
        node = left.pop()
        known = known and (type(node) in _OF_TORCH or getattr(node, "_forward_cls", None) in ours)
        for below, _ in node.next_functions:
            if below in leaves:
                uses[leaves[below]] += 1
            elif below is not None and below not in met:
                met.add(below)
                left.append(below)
    return uses, known


_OF_TORCH = frozenset(each for each in vars(torch._C._functions).values() if isinstance(each, type))
