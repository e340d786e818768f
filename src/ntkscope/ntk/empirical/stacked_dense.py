"""Exact NTKs of dense networks from their layers, without a Jacobian in parameter space.

A dense layer z = s·W a + c·b has ∂f_k(x_n)/∂W = s·g_k(x_n) a(x_n)ᵀ with g = ∂f/∂z, so its part of
the kernel is (s² ⟨a_n, a_m⟩ + c²) ⟨g_k(x_n), g_l(x_m)⟩ (Novak et al. 2022, "Fast finite width
neural tangent kernel", §3). Just below the readout the sum over outputs of the trace NTK is taken
before anything of size K is made: Σ_k ⟨g_k, g_k'⟩ = (φ'_n ∘ q)·φ'_m with q = s² Σ_k W_k².
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ntkscope.models import Activation, Architecture, Dense, Flatten
from ntkscope.models.activations import ACTIVATIONS, activation_derivative
from ntkscope.ntk.kinds import output_vectors_of
from ntkscope.runtime.matmul import batched_matmul_nt

Parameters = Mapping[str, Tensor]


@dataclass
class _Record:
    """What a layer saw in the forward pass.

    Attributes:
        layer: which layer.
        inputs: a [M, N, i].
        slope: φ' of the activation that made it [M, N, i]; None for the network's input.
    """

    layer: Dense
    inputs: Tensor
    slope: Tensor | None


def is_dense(layers: Architecture) -> bool:
    """Whether the layers are one Flatten, then dense layers with at most one activation between."""
    if not layers or not isinstance(layers[0], Flatten) or not isinstance(layers[-1], Dense):
        return False
    body = layers[1:]
    alternates = all(
        isinstance(layer, Dense if number % 2 == 0 else Activation)
        for number, layer in enumerate(body)
    )
    return alternates and len(body) % 2 == 1


@torch.no_grad()
def dense_layer_ntks(
    layers: Architecture, parameters: Parameters, x1: Tensor, x2: Tensor | None, kind: str
) -> Iterator[tuple[str, Tensor]]:
    """The NTK of each layer, from the readout down; they sum to the network's NTK.

    Args:
        layers: a dense architecture (`is_dense`).
        parameters: name → [M, …], M networks.
        x1, x2: inputs [N, …], [N2, …] that all networks share; x2 None: x1.
        kind: trace, full or pseudo.

    Yields:
        Layer name and kernel [M, N, N2], or [M, N·K, N2·K] (kind full).
    """
    left = _forward(layers, parameters, x1)
    right = left if x2 is None else _forward(layers, parameters, x2)
    output_vectors = output_vectors_of(kind, left[-1].layer.outputs, left[-1].inputs)
    back1, back2 = (_Backward(parameters, records, output_vectors) for records in (left, right))
    for depth in range(len(left) - 1, -1, -1):
        layer = left[depth].layer
        inner = batched_matmul_nt(left[depth].inputs, right[depth].inputs) * layer.weight_scale**2
        if layer.bias:
            inner = inner + layer.bias_scale**2
        outer = back1.below_readout_gram(depth, back2) if kind == "trace" else None
        if outer is None:
            g1 = back1.at(depth)
            g2 = g1 if x2 is None else back2.at(depth)
            outer = _gram(g1, g2, kind)
        if kind == "full":
            rows = output_vectors.shape[0]
            inner = inner.repeat_interleave(rows, -1).repeat_interleave(rows, -2)
        yield layer.name, inner * outer


def _forward(layers: Architecture, parameters: Parameters, x: Tensor) -> list[_Record]:
    models = next(iter(parameters.values())).shape[0]
    a = x.flatten(1).expand(models, -1, -1)
    z, slope, records = a, None, []
    for layer in layers[1:]:
        if isinstance(layer, Dense):
            records.append(_Record(layer, a, slope))
            z = batched_matmul_nt(a, parameters[f"{layer.name}.weight"]) * layer.weight_scale
            if layer.bias:
                z = z + parameters[f"{layer.name}.bias"].unsqueeze(1) * layer.bias_scale
        elif isinstance(layer, Activation):
            a, slope = ACTIVATIONS[layer.kind](z), activation_derivative(layer.kind, z)
    return records


class _Backward:
    """∂f/∂z of each layer, from the readout down, each made from the one above."""

    def __init__(
        self, parameters: Parameters, records: list[_Record], output_vectors: Tensor
    ) -> None:
        self.parameters, self.records, self.output_vectors = parameters, records, output_vectors
        self.depth = len(records) - 1
        self.current: Tensor | None = None

    def at(self, depth: int) -> Tensor:
        """The g of layer `depth`: [M, N, R, outputs], R output vectors; asked from the top down."""
        if depth == len(self.records) - 1:
            samples = self.records[0].inputs.shape[1]
            return self.output_vectors.expand(self.records[0].inputs.shape[0], samples, -1, -1)
        while self.depth > depth:
            above, slope = self.records[self.depth], self.records[self.depth].slope
            weight = self.parameters[f"{above.layer.name}.weight"]
            if self.current is None:
                g = (self.output_vectors @ weight).unsqueeze(1)
            else:
                g = batched_matmul_nt(self.current.flatten(1, 2), weight.mT)
                g = g.unflatten(1, self.current.shape[1:3])
            assert slope is not None
            self.current = g * (slope * above.layer.weight_scale).unsqueeze(2)
            self.depth -= 1
        assert self.current is not None
        return self.current

    def below_readout_gram(self, depth: int, other: _Backward) -> Tensor | None:
        """Mean over outputs of ⟨g_k, g_k'⟩ where it is cheap: at the readout and just below."""
        top = len(self.records) - 1
        if depth == top:
            return torch.ones(
                (), dtype=self.output_vectors.dtype, device=self.output_vectors.device
            )
        if depth != top - 1:
            return None
        readout, mine, others = self.records[top].layer, self.records[top], other.records[top]
        assert mine.slope is not None and others.slope is not None
        weight = self.parameters[f"{readout.name}.weight"]
        mean_square = weight.square().mean(1) * readout.weight_scale**2
        return batched_matmul_nt(mine.slope * mean_square.unsqueeze(1), others.slope)


def _gram(g1: Tensor, g2: Tensor, kind: str) -> Tensor:
    """⟨g, g'⟩ of [M, N, R, o]: summed over R and divided by it, or all pairs of R (kind full)."""
    if kind == "full":
        return batched_matmul_nt(g1.flatten(1, 2), g2.flatten(1, 2))
    return batched_matmul_nt(g1.flatten(2), g2.flatten(2)) / g1.shape[2]
