"""The arrays of a store of kernels before they have data."""

from __future__ import annotations

from typing import Any

from ntkscope.kernels.conventions import normalisation
from ntkscope.stores import Array

Axis = tuple[str, int, int]
"""Dimension name, length, and how much of it is in one chunk."""


def kernel_arrays(
    kind: str,
    lead: tuple[Axis, ...],
    samples: tuple[int, int],
    chunk: tuple[int, int],
    outputs: int,
    layers: int,
    dtype: Any,
) -> dict[str, Array]:
    """`ntk` (…, sample, sample2) or (…, sample, output, sample2, output2), kind full.

    Args:
        kind: trace, full or pseudo.
        lead: axes before those of the samples.
        samples, chunk: rows and columns of the kernel and of a chunk.
        outputs: K.
        layers: of `layer_ntk` (…, layer, sample, …); 0: there is none.
        dtype: of both.
    """
    rows, columns = zip(("sample", "sample2"), samples, chunk, strict=True)
    pair: tuple[Axis, ...] = (rows, columns)
    if kind == "full":
        pair = (rows, ("output", outputs, outputs), columns, ("output2", outputs, outputs))
    about = {"long_name": f"{kind} NTK", "definition": normalisation(kind)}
    found = {"ntk": _array((*lead, *pair), dtype, about)}
    if layers:
        together = layers if chunk == samples else 1
        axes = (*lead, ("layer", layers, together), *pair)
        about = {"long_name": f"layers' {kind} NTK; they sum to the whole"}
        found["layer_ntk"] = _array(axes, dtype, about)
    return found


def _array(axes: tuple[Axis, ...], dtype: Any, about: dict[str, str]) -> Array:
    dims, shape, chunks = zip(*axes, strict=True)
    return Array(dims, shape, dtype, chunks, about)
