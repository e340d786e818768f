"""Per-sample gradients of a layer, as sums of outer products or as they are.

∂f_r(x_n)/∂W of a linear map z_s = W u_s, applied at positions s = 1…S (tokens, pixels, repeated
calls), is Σ_s g_s u_sᵀ with g_s = ∂f_r/∂z_s (Novak et al. 2022, "Fast finite width neural tangent
kernel", §3). Keeping u and g leaves open how their Gram matrix is computed.
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
from ntkscope.ntk.empirical.tuning import TUNING, Tuning
from ntkscope.runtime.matmul import batched_matmul_nt, matmul_nt, matmul_nt_into


@dataclass
class FactoredGradients:
    """Gradients Σ_s g_s u_sᵀ of a weight, and bias_scale · Σ_s g_s of a bias.

    Attributes:
        inputs: u [n, groups, S, D]; or [n, groups, S] of integers: one-hot u of width `width`; or,
            with a window, the pixels that the patches u are cut from, [n, groups, y·x, C].
        output_gradients: g [n, groups, S, R, O], of R output vectors.
        offset: bias_scale², 0 without a trainable bias.
        width: D; by default that of the inputs.
        shared: the output gradients are the same for all samples, and n = 1 (at the readout).
        window: of a convolution whose patches are not made.
    """

    inputs: Tensor
    output_gradients: Tensor
    offset: float = 0.0
    width: int = -1
    shared: bool = False
    window: Window | None = None

    def __post_init__(self) -> None:
        if self.width < 0:
            self.width = self.inputs.shape[-1]

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
    """Gradients as they are: `values` [n, R, P], P parameters."""

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


def select(gradients: AnyGradients, rows: slice) -> AnyGradients:
    """The samples `rows`, as views."""
    if rows.start == 0 and rows.stop >= gradients.samples:
        return gradients
    return _with(gradients, {name: t[rows] for name, t in gradients.of_samples().items()})


def bytes_per_sample(gradients: LayerGradients) -> int:
    """Memory that one sample takes."""
    return sum(t[0].numel() * t.element_size() for t in gradients.of_samples().values())


class ChunkBuffer:
    """The gradients of all samples from those of chunks in order, each put where it belongs.

    Args:
        samples: of all chunks.
        large: bytes from which on memory is in large pages.
    """

    def __init__(self, samples: int, large: int = TUNING.huge_page_bytes) -> None:
        self.gradients: dict[str, LayerGradients] = {}
        self._samples, self._large, self._start = samples, large, 0

    def out(self, count: int) -> dict[str, LayerGradients]:
        """Where those of the next samples belong, as views; nothing before the first chunk."""
        place = slice(self._start, self._start + count)
        return {name: select(whole, place) for name, whole in self.gradients.items()}

    def add(self, chunk: dict[str, LayerGradients]) -> None:
        """Copy the next chunk's gradients, but those that lie there already."""
        if not self.gradients:
            self.gradients = {name: self._allocate(some) for name, some in chunk.items()}
        count = next(iter(chunk.values())).samples
        for name, place in self.out(count).items():
            there = place.of_samples()
            for key, tensor in chunk[name].of_samples().items():
                if there[key].data_ptr() != tensor.data_ptr():
                    there[key].copy_(tensor)
        self._start += count

    def _allocate(self, some: LayerGradients) -> LayerGradients:
        size, large = self._samples, self._large
        each = some.of_samples().items()
        return _with(some, {k: new_empty(t, size, *t.shape[1:], large=large) for k, t in each})


def gather_chunks(
    chunks: Iterable[dict[str, LayerGradients]], samples: int
) -> dict[str, LayerGradients]:
    """The gradients of all samples from those of chunks in order."""
    buffer = ChunkBuffer(samples)
    for chunk in chunks:
        buffer.add(chunk)
    return buffer.gradients


def collapse_outputs(
    output_factor: Tensor, dim: int | tuple[int, ...], sample_factor: Tensor | None = None
) -> Tensor:
    """One output gradient with the Gram matrix of all R of them, summed: a product R times cheaper.

    Below a readout g_r(x) = c_r ∘ s(x) (s = φ' of the activation, c_r a row of the readout's
    weight), so that Σ_r ⟨c_r ∘ s, c_r ∘ s'⟩ = ⟨‖c‖ ∘ s, ‖c‖ ∘ s'⟩.

    Args:
        output_factor: c, of which `dim` counts the outputs.
        dim: is kept, with size 1.
        sample_factor: s, of a shape that fits; None: 1, as at the readout itself.
    """
    norm: Tensor = output_factor.norm(dim=dim, keepdim=True)
    return norm if sample_factor is None else sample_factor * norm


def _with(gradients: AnyGradients, tensors: dict[str, Tensor]) -> AnyGradients:
    found: AnyGradients = replace(gradients, **tensors)  # type: ignore[arg-type]
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
        return matmul_nt(u.flatten(0, 1), v.flatten(0, 1)).add_(left.offset)
    same: Tensor = u.flatten(0, 1).unsqueeze(1) == v.flatten(0, 1)
    return same.to(left.output_gradients.dtype)


def bias_gradients(gradients: FactoredGradients) -> Tensor:
    """bias_scale · Σ_s g_s: [n, R, groups·O]."""
    total = torch.transpose(gradients.output_gradients.sum(2), 1, 2).flatten(2)
    return total * math.sqrt(gradients.offset)


def weight_gradients(gradients: FactoredGradients, out: Tensor | None = None) -> Tensor:
    """Σ_s g_s u_sᵀ: [n, R, groups·O, D], written to `out` where that is given."""
    n, groups, _, R, O = (*gradients.inputs.shape[:2], *gradients.output_gradients.shape[2:])  # noqa: E741
    g = gradients.output_gradients.expand(n, -1, -1, -1, -1)
    if not gradients.inputs.is_floating_point():
        index = gradients.inputs[:, :, None, None].expand(-1, -1, R, O, -1)
        found = g.new_zeros(n, groups, R, O, gradients.width).scatter_add_(
            4, index, g.movedim(2, 4)
        )
    else:
        products = R * O * gradients.inputs[0].numel()
        if out is not None and groups == 1 and products > TUNING.sample_multiply_adds:
            every = out, g[:, 0], gradients.inputs[:, 0].mT
            for place, one, seen in zip(*(t.unbind() for t in every), strict=True):
                matmul_nt_into(place, one.flatten(1).mT, seen)
            return out
        rows, columns = g.flatten(3).flatten(0, 1).mT, gradients.inputs.flatten(0, 1).mT
        if out is not None and groups == 1:
            return batched_matmul_nt(rows, columns, out)
        found = batched_matmul_nt(rows, columns).view(n, groups, R, O, -1)
    found = torch.transpose(found, 1, 2).flatten(2, 3)
    return found if out is None else out.copy_(found)


def join_calls(calls: list[FactoredGradients]) -> FactoredGradients:
    """Several uses of one weight: their positions, side by side (this keeps the cross calls)."""
    if len(calls) == 1:
        return calls[0]
    n = len(calls[0].inputs)
    each = [t.output_gradients.expand(n, -1, -1, -1, -1) for t in calls]
    return replace(
        calls[0],
        inputs=torch.cat([t.inputs for t in calls], 2),
        output_gradients=torch.cat(each, 2),
        shared=False,
    )


def at_one_position(factors: FactoredGradients) -> FactoredGradients | None:
    """Those of each sample's one position whose output gradients are not zero.

    So has each layer above the last attention where one token is read. None if there are several,
    or groups.
    """
    g = factors.output_gradients
    if g.shape[1] > 1 or len(g) != factors.samples or factors.window is not None:
        return None
    there = (g != 0).flatten(3).any(3)[:, 0]
    if bool((there.sum(1) > 1).any()):
        return None
    sample, at = torch.arange(len(g), device=g.device), there.byte().argmax(1)
    one = {"inputs": factors.inputs[sample, 0, at], "output_gradients": g[sample, 0, at]}
    return _with(factors, {name: t[:, None, None] for name, t in one.items()})


def materialise(
    factors: FactoredGradients,
    out: PerSampleGradients | None = None,
    tuning: Tuning = TUNING,
    *,
    by_input: bool = False,
) -> PerSampleGradients:
    """The gradients [n, R, P] that the outer products sum to, written to `out` where given.

    by_input: in the order [D, O], the bias last, which is faster where O ≥ D; of one group.
    """
    groups, _, R, O = factors.output_gradients.shape[1:]  # noqa: E741
    outputs, width = groups * O, factors.width
    if out is None:
        shape = factors.samples, R
        out = allocate_gradients(
            factors.output_gradients, shape, outputs, width, factors.offset, tuning
        )
    if by_input:
        _by_input(factors, out)
        return out
    weight_gradients(factors, weight_view(out, outputs, width))
    if factors.offset:
        bias_view(out, outputs)[:] = bias_gradients(factors)
    return out


def _by_input(factors: FactoredGradients, out: PerSampleGradients) -> None:
    """Write Σ_s u_s g_sᵀ, the bias as that of one more input; g stays as it is in memory."""
    seen = factors.inputs[:, 0].mT
    n, width, S = seen.shape
    rows = width + (1 if factors.offset else 0)
    u = seen.new_empty(n, rows, S)
    u[:, :width] = seen
    u[:, width:] = math.sqrt(factors.offset)
    g = factors.output_gradients[:, 0].expand(n, -1, -1, -1)  # [n, S, R, O]
    place = out.values.unflatten(2, (rows, g.shape[3])).transpose(1, 2)
    batched_matmul_nt(u, g.flatten(2).mT, place)


def allocate_gradients(
    like: Tensor, shape: tuple[int, int], outputs: int, width: int, bias: float, tuning: Tuning
) -> PerSampleGradients:
    """Memory for the gradients of a weight [outputs, width], and of the biases if there are any.

    Args:
        like: of its dtype and device.
        shape: n, R.
        outputs, width: of the weight.
        bias: 0 for none.
        tuning: of memory.
    """
    size = (*shape, outputs * (width + (1 if bias else 0)))
    return PerSampleGradients(new_empty(like, *size, large=tuning.huge_page_bytes))


def weight_view(out: PerSampleGradients, outputs: int, width: int) -> Tensor:
    """[n, R, outputs, width], a view."""
    found: Tensor = out.values[..., : outputs * width].unflatten(2, (outputs, width))
    return found


def bias_view(out: PerSampleGradients, outputs: int) -> Tensor:
    """[n, R, outputs], a view."""
    return out.values[..., -outputs:]
