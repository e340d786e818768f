"""What a metric is given, as NumPy: arrays, torch tensors on any device, xarray's, checked."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ntkscope.errors import NtkscopeError

FloatArray = NDArray[np.float64]

ASYMMETRY = 1e-2
"""Of a kernel's largest element: what half precision may leave. Above, it is no kernel."""


class MetricError(NtkscopeError, ValueError):
    """Kernels, labels or steps that a metric is not defined for."""


def as_array(values: Any) -> NDArray[Any]:
    """Values as NumPy: of arrays, torch tensors (detached, from any device), xarray and lists."""
    if hasattr(values, "detach"):
        values = values.detach().cpu()
        values = (values.double() if values.is_floating_point() else values).numpy()
    return np.asarray(values)


def as_kernels(kernel: Any, outputs: int = 1) -> FloatArray:
    """Symmetric kernels (…, N·K, N·K), float64.

    The last two axes are a kernel's. Xarray's are told by their names: `sample` and `sample2`
    wherever they are, and a full NTK's `output` and `output2` go into its rows and columns.
    A kernel that is not finite passes; its metrics are NaN.

    Args:
        kernel: of any real dtype; not copied where it is float64 already.
        outputs: K of full NTKs; 1 for trace, pseudo and layer NTKs.

    Raises:
        MetricError: not square, empty, complex, not of K outputs per sample, or not symmetric, as a
            kernel between two sets of samples is not.
    """
    if not isinstance(outputs, Integral):
        raise MetricError(
            f"outputs = {outputs!r} is no count",
            where="outputs",
            remedy="give the K of a full NTK, and nothing for any other",
        )
    values = as_array(_samples_last(kernel, outputs) if hasattr(kernel, "dims") else kernel)
    if values.dtype.kind not in "fiub":
        raise _error(f"its elements are {values.dtype}, not real numbers", "give it as float64")
    if values.ndim < 2 or values.shape[-1] != values.shape[-2] or not values.shape[-1]:
        remedy = "give (…, N, N); reshape a full NTK (N, K, N, K) to (N·K, N·K), with outputs=K"
        raise _error(f"its shape {values.shape} is not that of square matrices", remedy)
    if outputs < 1 or values.shape[-1] % outputs:
        remedy = "give outputs=K for a full NTK of K outputs, and nothing for any other"
        raise _error(f"{values.shape[-1]} rows are not {outputs} for each sample", remedy)
    kernels = np.asarray(values, np.float64)
    if not _symmetric(kernels):
        raise _error(
            "it is not symmetric: a kernel between two sets of samples has no such metric",
            "give the kernel of one set of samples with itself",
        )
    return kernels


def as_labels(labels: Any, samples: int) -> NDArray[Any]:
    """Class labels (samples,), one value a class.

    Raises:
        MetricError: another number of them, one-hot, real or other targets, or NaN among them.
    """
    values = as_array(labels)
    known = np.array_equal(values, values)  # NaN is not itself
    if known and values.shape == (samples,):
        _refuse_real(values)
        return values
    what = f"labels of shape {values.shape}" if known else "labels with NaN"
    column = values.shape == (samples, 1)
    of = "a column: targets[:, 0]" if column else "one-hot targets: targets.argmax(1)"
    raise MetricError(
        f"{what} for {samples} samples",
        where="labels",
        remedy=f"give one class per sample, (N,); of {of}",
    )


def _refuse_real(labels: NDArray[Any]) -> None:
    """Targets of a regression are each a class of its own, and an alignment with them nonsense."""
    if labels.dtype.kind in "fc" and np.any(labels != np.round(labels)):
        first = labels[labels != np.round(labels)][0]
        raise MetricError(
            f"labels that are no classes: {labels.dtype} such as {first:.4g}",
            where="labels",
            remedy="give one class per sample; with real targets y, cosine_similarity or cka of "
            "the kernel and numpy.outer(y, y)",
        )


def check_same_axes(first: Any, second: Any) -> None:
    """Refuse two of xarray whose leading axes have other names, or whose samples are others.

    Axes are matched from the last on, as NumPy does: seeds would be compared with snapshots.

    Raises:
        MetricError: they do.
    """
    if not (hasattr(first, "dims") and hasattr(second, "dims")):
        return
    one, other = (_leading(kernel) for kernel in (first, second))
    if any(a != b for a, b in zip(reversed(one), reversed(other), strict=False)):
        raise MetricError(
            f"kernels over {one} and {other} are not compared: axes are matched by their place",
            where="first, second",
            remedy="transpose one of them: kernel.transpose('seed', 'snapshot', ...)",
        )
    for name in ("sample", "sample2"):
        known = name in first.coords and name in second.coords
        if known and not np.array_equal(first[name].values, second[name].values):
            raise MetricError(
                f"the coordinate {name!r} of the two kernels differs",
                where="first, second",
                remedy="give two kernels of the same samples, in the same order: kernel.reindex",
            )


def moved(kernel: Any, name: str, axis: int) -> Any:
    """Kernels of xarray with one of their leading axes, told by its name, at `axis` of these."""
    if not hasattr(kernel, "dims") or name not in kernel.dims:
        return kernel
    leading = [dim for dim in _leading(kernel) if dim != name]
    leading.insert(axis if axis >= 0 else len(leading) + 1 + axis, name)
    return kernel.transpose(*leading, ...)


def _leading(kernel: Any) -> tuple[Any, ...]:
    """Names of the axes that are none of a kernel's own."""
    pairs = [(dim, f"{dim}2") for dim in ("sample", "output") if f"{dim}2" in kernel.dims]
    own = {name for pair in pairs for name in pair}
    return tuple(dim for dim in kernel.dims if dim not in own) if own else kernel.dims[:-2]


def _error(what: str, remedy: str) -> MetricError:
    return MetricError(f"this kernel cannot be measured: {what}", where="kernel", remedy=remedy)


def _samples_last(kernel: Any, outputs: int) -> Any:
    """An `xarray.DataArray` with its samples' axes last, and outputs within them."""
    rows = [dim for dim in ("sample", "output") if f"{dim}2" in kernel.dims]
    if not rows:
        return kernel
    ordered = kernel.transpose(..., *rows, *(f"{dim}2" for dim in rows)).values
    if rows == ["sample"]:
        return ordered
    *batch, samples, found, _, _ = ordered.shape
    if found != outputs:
        raise _error(f"it is a full NTK of {found} outputs", f"give outputs={found}")
    return ordered.reshape(*batch, samples * outputs, -1)


def _symmetric(kernels: FloatArray) -> bool:
    """Whether all that are finite are, up to rounding of the arithmetic that they come from."""
    transposed = kernels.swapaxes(-1, -2)
    if np.array_equal(kernels, transposed):
        return True
    with np.errstate(invalid="ignore"):  # ∞ − ∞
        gap = np.abs(kernels - transposed).max(axis=(-2, -1))
        return not np.any(gap > ASYMMETRY * np.abs(kernels).max(axis=(-2, -1)))
