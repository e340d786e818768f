"""What a layer's per-sample gradients are made of: sums of outer products, or the gradients.

∂f_r(x_n)/∂W of a linear map z_s = W u_s, applied at positions s = 1…S (tokens, pixels, repeated
calls), is Σ_s g_s u_sᵀ with g_s = ∂f_r/∂z_s (Novak et al. 2022, "Fast finite width neural tangent
kernel", §3). Keeping u and g leaves open how their Gram matrix is taken.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
from torch import Tensor

from ntkscope.ntk.empirical.gradients.hugepages import new_empty
from ntkscope.ntk.empirical.gradients.im2col import Window, patch_products
from ntkscope.runtime.matmul import product, products


@dataclass
class FactoredGradients:
    """Gradients Σ_s g_s u_sᵀ of a weight, and bias_scale · Σ_s g_s of a bias.

    Attributes:
        inputs: u [n, groups, S, D]; or [n, groups, S] of integers: one-hot u of width `width`; or,
            with a window, the pixels that the patches u are cut from, [n, groups, y·x, C].
        output_gradients: g [n, groups, S, R, O], R cotangents.
        offset: bias_scale², 0 without a bias that learns.
        width: D.
        shared: the gradients are the same for all samples, and n = 1 (at the readout).
        window: of a convolution whose patches are not made.
    """

    inputs: Tensor
    output_gradients: Tensor
    offset: float
    width: int
    shared: bool = False
    window: Window | None = None

    @property
    def positions(self) -> int:
        """S."""
        return self.output_gradients.shape[2]

    @property
    def samples(self) -> int:
        """Samples."""
        return len(self.inputs)

    def of_samples(self) -> dict[str, Tensor]:
        """The tensors whose first axis is the sample."""
        both = {"inputs": self.inputs, "output_gradients": self.output_gradients}
        return {"inputs": self.inputs} if self.shared else both


@dataclass
class PerSampleGradients:
    """Gradients themselves: `values` [n, R, P], P parameters."""

    values: Tensor

    @property
    def samples(self) -> int:
        """Samples."""
        return len(self.values)

    def of_samples(self) -> dict[str, Tensor]:
        """The tensors whose first axis is the sample."""
        return {"values": self.values}


LayerGradients = FactoredGradients | PerSampleGradients
AnyGradients = TypeVar("AnyGradients", bound=LayerGradients)


def select(term: AnyGradients, rows: slice) -> AnyGradients:
    """The samples `rows`, as views."""
    if rows.start == 0 and rows.stop >= term.samples:
        return term
    return _with(term, {name: t[rows] for name, t in term.of_samples().items()})


def bytes_per_sample(term: LayerGradients) -> int:
    """Memory that one sample takes."""
    return sum(t[0].numel() * t.element_size() for t in term.of_samples().values())


class ChunkBuffer:
    """The terms of all samples from those of chunks in order, each put where it belongs.

    Args:
        samples: of all chunks.
    """

    def __init__(self, samples: int) -> None:
        self.terms: dict[str, LayerGradients] = {}
        self._samples, self._start = samples, 0

    def out(self, count: int) -> dict[str, LayerGradients]:
        """Where the terms of the next samples belong, as views; nothing before the first chunk."""
        place = slice(self._start, self._start + count)
        return {name: select(term, place) for name, term in self.terms.items()}

    def add(self, chunk: dict[str, LayerGradients]) -> None:
        """Copy the next chunk's terms, but those that lie there already."""
        if not self.terms:
            self.terms = {name: _allocate(term, self._samples) for name, term in chunk.items()}
        count = next(iter(chunk.values())).samples
        for name, place in self.out(count).items():
            there = place.of_samples()
            for key, tensor in chunk[name].of_samples().items():
                if there[key].data_ptr() != tensor.data_ptr():
                    there[key].copy_(tensor)
        self._start += count


def gather_chunks(
    chunks: Iterable[dict[str, LayerGradients]], samples: int
) -> dict[str, LayerGradients]:
    """The terms of all samples from those of chunks in order."""
    buffer = ChunkBuffer(samples)
    for chunk in chunks:
        buffer.add(chunk)
    return buffer.terms


def _allocate(term: LayerGradients, samples: int) -> LayerGradients:
    each = term.of_samples().items()
    return _with(term, {name: new_empty(t, samples, *t.shape[1:]) for name, t in each})


def _with(term: AnyGradients, tensors: dict[str, Tensor]) -> AnyGradients:
    found: AnyGradients = replace(term, **tensors)  # type: ignore[arg-type]
    return found


def by_cotangent(t: Tensor) -> Tensor:
    """[n, R, …] as [R, n, …], in order in memory."""
    return t.transpose(0, 1).contiguous()


def inner_products(left: FactoredGradients, right: FactoredGradients, group: int) -> Tensor:
    """⟨u_s, u'_t⟩ + offset: [n·S, m·T], rows in order (sample, position)."""
    u, v = left.inputs[:, group], right.inputs[:, group]
    if left.window is not None:
        found = patch_products(u, v, left.window)
        return found.flatten(2).flatten(0, 1).add_(left.offset)
    if u.is_floating_point():
        return product(u.flatten(0, 1), v.flatten(0, 1)).add_(left.offset)
    same: Tensor = u.flatten(0, 1).unsqueeze(1) == v.flatten(0, 1)
    return same.to(left.output_gradients.dtype)


def bias_gradients(term: FactoredGradients) -> Tensor:
    """bias_scale · Σ_s g_s: [n, R, groups·O]."""
    total = torch.transpose(term.output_gradients.sum(2), 1, 2).flatten(2)
    return total * math.sqrt(term.offset)


def weight_gradients(term: FactoredGradients, out: Tensor | None = None) -> Tensor:
    """Σ_s g_s u_sᵀ: [n, R, groups·O, D], written to `out` where that is given."""
    n, groups, _, R, O = (*term.inputs.shape[:2], *term.output_gradients.shape[2:])  # noqa: E741
    g = term.output_gradients.expand(n, -1, -1, -1, -1)
    if not term.inputs.is_floating_point():
        index = term.inputs[:, :, None, None].expand(-1, -1, R, O, -1)
        found = g.new_zeros(n, groups, R, O, term.width).scatter_add_(4, index, g.movedim(2, 4))
    else:
        rows, columns = g.flatten(3).flatten(0, 1).mT, term.inputs.flatten(0, 1).mT
        if out is not None and groups == 1:
            return products(rows, columns, out)
        found = products(rows, columns).view(n, groups, R, O, -1)
    found = torch.transpose(found, 1, 2).flatten(2, 3)
    return found if out is None else out.copy_(found)


def join_calls(terms: list[FactoredGradients]) -> FactoredGradients:
    """Several uses of one weight: their positions, side by side (this keeps the cross terms)."""
    if len(terms) == 1:
        return terms[0]
    n = len(terms[0].inputs)
    each = [t.output_gradients.expand(n, -1, -1, -1, -1) for t in terms]
    return replace(
        terms[0],
        inputs=torch.cat([t.inputs for t in terms], 2),
        output_gradients=torch.cat(each, 2),
        shared=False,
    )


def materialise(
    term: FactoredGradients, out: PerSampleGradients | None = None
) -> PerSampleGradients:
    """The gradients [n, R, P] that the outer products sum to, written to `out` where given."""
    groups, _, R, O = term.output_gradients.shape[1:]  # noqa: E741
    if out is None:
        out = allocate_gradients(
            term.output_gradients, (term.samples, R), groups * O, term.width, term.offset
        )
    weight_gradients(term, weight_view(out, groups * O, term.width))
    if term.offset:
        bias_view(out, groups * O)[:] = bias_gradients(term)
    return out


def allocate_gradients(
    like: Tensor, shape: tuple[int, int], outputs: int, width: int, bias: float
) -> PerSampleGradients:
    """Memory for the gradients of a weight [outputs, width], and of the biases if there are any.

    Args:
        like: of its dtype and device.
        shape: n, R.
        outputs, width: of the weight.
        bias: 0 for none.
    """
    return PerSampleGradients(new_empty(like, *shape, outputs * (width + (1 if bias else 0))))


def weight_view(out: PerSampleGradients, outputs: int, width: int) -> Tensor:
    """[n, R, outputs, width], a view."""
    found: Tensor = out.values[..., : outputs * width].unflatten(2, (outputs, width))
    return found


def bias_view(out: PerSampleGradients, outputs: int) -> Tensor:
    """[n, R, outputs], a view."""
    return out.values[..., -outputs:]
