"""The arrays of a store of kernels before they have data."""

from __future__ import annotations

from typing import Any

from ntkscope.ntk.kinds import normalisation
from ntkscope.stores import Array

Axis = tuple[str, int, int]
"""Dimension name, length, and how much of it is in one chunk."""


def axes_of(kind: str) -> tuple[str, ...]:
    """Names of a kernel's axes."""
    return ("sample", "output", "sample2", "output2") if kind == "full" else ("sample", "sample2")


def transposed(kind: str) -> tuple[int, ...]:
    """The order of a kernel's axes that makes it Θ(x2, x1) of Θ(x1, x2)."""
    axes = axes_of(kind)
    return tuple(axes.index(_other(name)) for name in axes)


def _other(name: str) -> str:
    """`sample2` of `sample`, and the other way round."""
    return name.removesuffix("2") if name.endswith("2") else f"{name}2"


def kernel_arrays(
    kind: str,
    lead: tuple[Axis, ...],
    samples: tuple[int, int],
    chunk: tuple[int, int],
    outputs: int,
    layers: int,
    dtype: Any,
) -> dict[str, Array]:
    """`ntk` (…, sample, sample2), or of the kind's own axes, and `layer_ntk`.

    Args:
        kind: `kinds.KINDS`.
        lead: axes before those of the samples.
        samples, chunk: rows and columns of the kernel and of a chunk.
        outputs: K.
        layers: of `layer_ntk` (…, layer, sample, …); 0: there is none.
        dtype: of both.
    """
    sizes = {"sample": (samples[0], chunk[0]), "sample2": (samples[1], chunk[1])}
    pair = tuple((name, *sizes.get(name, (outputs, outputs))) for name in axes_of(kind))
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
