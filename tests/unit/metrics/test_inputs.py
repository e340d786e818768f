"""Every metric takes NumPy, torch and xarray alike, and refuses what it is not defined for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

from ntkscope.errors import NtkscopeError
from ntkscope.metrics import (
    alignment,
    centre,
    cka,
    cka_distance,
    cosine_similarity,
    debiased_cka,
    debiased_cka_distance,
    effective_rank,
    kernel_distance,
    label_projection,
    layer_share,
    normalise,
    participation_ratio,
    spectral_norm,
    spectrum,
    u_centre,
    velocity,
)

LABELS = np.asarray([0, 0, 1, 1, 2, 2])
Metric = Callable[[Any], Any]


def at(stream: Any, snapshot: Any) -> Any:
    """One snapshot or several, in any order of the axes."""
    named = isinstance(stream, xr.DataArray)
    return stream.isel(snapshot=snapshot) if named else stream[snapshot]


# (snapshot, N, N) → anything
METRICS: dict[str, Metric] = {
    "alignment": lambda k: alignment(k, LABELS),
    "centre": centre,
    "cka": lambda k: cka(k, at(k, 0)),
    "cka_distance": lambda k: cka_distance(k, at(k, 0)),
    "cosine_similarity": lambda k: cosine_similarity(k, at(k, 0)),
    "debiased_cka": lambda k: debiased_cka(k, at(k, 0)),
    "debiased_cka_distance": lambda k: debiased_cka_distance(k, at(k, 0)),
    "kernel_distance": lambda k: kernel_distance(k, at(k, 0)),
    "layer_share": lambda k: layer_share(at(k, slice(2)), at(k, slice(1, None))),
    "normalise": normalise,
    "participation_ratio": participation_ratio,
    "spectral_norm": spectral_norm,
    "spectrum": lambda k: spectrum(k).effective_rank,
    "u_centre": u_centre,
    "velocity": lambda k: velocity(k, [0, 1, 2], 1),
}

TYPES: dict[str, Callable[[np.ndarray], Any]] = {
    "torch": torch.as_tensor,
    "torch with gradient": lambda k: torch.as_tensor(k).requires_grad_(),
    "xarray": lambda k: xr.DataArray(k, dims=("snapshot", "sample", "sample2")),
    "xarray, snapshots last": lambda k: xr.DataArray(
        k, dims=("snapshot", "sample", "sample2")
    ).transpose("sample", "sample2", "snapshot"),
    "list": np.ndarray.tolist,
}


@pytest.fixture
def stream(kernels: Callable[..., np.ndarray]) -> np.ndarray:
    return kernels(3, 6)


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("name", METRICS)
def test_a_metric_is_the_same_of_any_type(name: str, kind: str, stream: np.ndarray) -> None:
    given = TYPES[kind](stream)
    expected = METRICS[name](stream)
    found = METRICS[name](given)
    assert type(found) is type(expected)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.gpu
@pytest.mark.parametrize("name", METRICS)
def test_a_metric_takes_tensors_of_a_gpu(name: str, stream: np.ndarray) -> None:
    found = METRICS[name](torch.as_tensor(stream, device="cuda"))
    np.testing.assert_array_equal(found, METRICS[name](stream))


def test_half_precision_and_integers_are_converted() -> None:
    kernel = torch.eye(6, dtype=torch.bfloat16) + 1
    assert spectral_norm(kernel) == pytest.approx(7)
    assert spectral_norm(torch.eye(6, dtype=torch.int64) + 1) == pytest.approx(7)


@pytest.mark.parametrize("as_type", [np.asarray, torch.as_tensor, xr.DataArray])
def test_labels_vectors_and_eigenvalues_are_of_any_type(
    as_type: Callable[[Any], Any], stream: np.ndarray
) -> None:
    vectors = np.linalg.eigh(stream[0])[1]
    np.testing.assert_array_equal(alignment(stream, as_type(LABELS)), alignment(stream, LABELS))
    expected = label_projection(vectors, LABELS)
    np.testing.assert_array_equal(label_projection(as_type(vectors), as_type(LABELS)), expected)
    assert effective_rank(as_type(np.ones(4))) == pytest.approx(4)


def test_a_full_ntk_of_xarray_is_a_matrix(stream: np.ndarray) -> None:
    matrix = np.kron(stream[0], np.eye(2)) + 0.1
    full = xr.DataArray(matrix.reshape(6, 2, 6, 2), dims=("sample", "output", "sample2", "output2"))
    assert alignment(full, LABELS, 2) == alignment(matrix, LABELS, 2)
    with pytest.raises(NtkscopeError, match="give outputs=2"):
        alignment(full, LABELS)


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda k: k[:, :, :4], "not that of square"),
        (lambda k: k + 1j, "not real"),
        (lambda k: k + np.triu(np.ones((6, 6))), "not symmetric"),
    ],
)
def test_what_is_no_kernel_is_refused(
    name: str, spoil: Metric, words: str, stream: np.ndarray
) -> None:
    with pytest.raises(NtkscopeError, match=words):
        METRICS[name](spoil(stream))


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("name", sorted(set(METRICS) - {"centre", "u_centre", "layer_share"}))
def test_a_kernel_that_is_not_finite_is_nan_and_the_others_are_not(
    name: str, value: float, stream: np.ndarray
) -> None:
    stream[2, 1, 3] = value
    found = METRICS[name](stream).reshape(3, -1)
    assert np.isnan(found[2]).all()
    assert np.isfinite(found[0]).all()


def test_rounding_is_no_asymmetry(stream: np.ndarray) -> None:
    rounded = stream + 1e-3 * np.random.default_rng(0).standard_normal(stream.shape)
    assert np.isfinite(cka(stream, rounded)).all()


def test_velocity_of_kernels_as_they_are(stream: np.ndarray) -> None:
    """It was that of kernels already normalised, and nonsense of any others."""
    expected = cka_distance(stream[1], stream[0])
    for scale in (1, 1000):
        found = velocity(scale * stream, np.arange(3), 1)
        np.testing.assert_allclose(found[0], expected, rtol=1e-12)
    uncentred = velocity(stream, np.arange(3), 1, centring="uncentred")
    np.testing.assert_allclose(uncentred[0], kernel_distance(stream[1], stream[0]), rtol=1e-12)


@pytest.mark.parametrize("steps", [[0, 1], [0, 2, 1], [0, 0, 1], [[0, 1, 2]]])
def test_velocity_refuses_steps_that_are_not_those_of_its_kernels(
    steps: Any, stream: np.ndarray
) -> None:
    with pytest.raises(NtkscopeError, match="steps"):
        velocity(stream, steps, 1)


@pytest.mark.parametrize("metric", [alignment, label_projection])
@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (np.eye(6), r"shape \(6, 6\).*\n.*\n.*argmax"),
        (np.eye(3)[LABELS], r"shape \(6, 3\)"),
        (LABELS[:, None], r"shape \(6, 1\) for 6 samples\n.*\n.*: targets\[:, 0\]"),
        (LABELS[:5], r"shape \(5,\) for 6 samples"),
        ([0, 1, 2, 0, np.nan, 1], "labels with NaN"),
    ],
)
def test_one_hot_and_other_targets_are_refused(
    metric: Callable[..., Any], labels: Any, words: str, stream: np.ndarray
) -> None:
    with pytest.raises(NtkscopeError, match=words):
        metric(stream[0], labels)


def test_kernels_of_other_samples_are_not_compared(stream: np.ndarray) -> None:
    with pytest.raises(NtkscopeError, match="6 and 5 rows"):
        cka(stream, stream[0, :5, :5])
    with pytest.raises(NtkscopeError, match="layer NTKs of shapes"):
        layer_share(stream, stream[:2])
    with pytest.raises(NtkscopeError, match="6 rows are not 4"):
        cka(stream, stream, outputs=4)
    with pytest.raises(NtkscopeError, match=r"N·K, N·K.*outputs=K"):
        cka(np.ones((6, 3, 6, 3)), np.ones((6, 3, 6, 3)), outputs=3)


def streams() -> xr.DataArray:
    x = np.random.default_rng(0).standard_normal((3, 3, 6, 4))
    return xr.DataArray(x @ x.swapaxes(2, 3), dims=("seed", "snapshot", "sample", "sample2"))


def test_velocity_is_along_snapshots_wherever_their_axis_is() -> None:
    """Of a store's (seed, snapshot, …) it was that between seeds, where there were as many."""
    kernels = streams()
    each = [velocity(kernels.values[seed], [0, 1, 2], 1) for seed in range(3)]
    np.testing.assert_array_equal(velocity(kernels, [0, 1, 2], 1), np.stack(each, axis=1))


def test_layers_are_told_by_their_name() -> None:
    before = streams().rename(seed="layer")
    after = before**2 + before
    expected = layer_share(*(k.values.swapaxes(0, 1) for k in (before, after)))
    np.testing.assert_array_equal(layer_share(before, after), expected)


@pytest.mark.parametrize("metric", [cka, cka_distance, kernel_distance, debiased_cka])
def test_seeds_are_not_compared_with_snapshots(metric: Callable[..., Any]) -> None:
    kernels = streams()
    with pytest.raises(NtkscopeError, match=r"\('seed', 'snapshot'\) and \('snapshot', 'seed'\)"):
        metric(kernels, kernels.transpose("snapshot", "seed", ...))
    expected = metric(kernels.values, kernels.values[0])
    np.testing.assert_array_equal(metric(kernels, kernels[0]), expected)
    np.testing.assert_array_equal(metric(kernels, kernels.values[0]), expected)


def test_kernels_of_samples_in_another_order_are_not_compared() -> None:
    kernels = streams().assign_coords(sample=range(6), sample2=range(6))
    turned = kernels.isel(sample=slice(None, None, -1), sample2=slice(None, None, -1))
    with pytest.raises(NtkscopeError, match="coordinate 'sample' of the two kernels differs"):
        cka(kernels, turned)
    np.testing.assert_allclose(cka(kernels, turned.reindex_like(kernels)), 1)


@pytest.mark.parametrize("kind", [np.uint8, np.int8])
def test_steps_of_few_bits_do_not_wrap(kind: type, stream: np.ndarray) -> None:
    """250 + 6 was step 0."""
    steps = np.array([0, 120, 126] if kind is np.int8 else [0, 250, 255], kind)
    assert np.isnan(velocity(stream, steps, 256 - int(steps[1]))).all()
    with pytest.raises(NtkscopeError, match="do not increase"):
        velocity(stream, steps[::-1], 1)


@pytest.mark.parametrize("metric", [alignment, label_projection])
def test_real_targets_are_no_classes(metric: Callable[..., Any], stream: np.ndarray) -> None:
    """Each was a class of its own."""
    given = stream[0] if metric is alignment else np.linalg.eigh(stream[0])[1]
    with pytest.raises(NtkscopeError, match=r"no classes: float64 such as 0\.5"):
        metric(given, [0.0, 1.0, 0.5, 0.0, 1.0, 1.0])
    np.testing.assert_array_equal(metric(given, np.asarray(LABELS, float)), metric(given, LABELS))
