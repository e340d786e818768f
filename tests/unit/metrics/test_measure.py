"""A lineage of stores to one table, against the functions of single kernels."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from ntkscope.errors import StoreError
from ntkscope.metrics import (
    alignment,
    cka_distance,
    cosine_similarity,
    debiased_cka_distance,
    kernel_distance,
    label_projection,
    layer_share,
    measure_kernels,
    spectrum,
)
from ntkscope.metrics.arrays import MetricError
from ntkscope.metrics.observers import OBSERVERS, Stream, Variable, observer, register_metric
from ntkscope.stores import read_netcdf

FIRST, SECOND = [0, 1, 4, 5], [6, 7, 10]
STEPS = np.asarray(FIRST + SECOND)
SEEDS, N, LAYERS = 2, 6, 3
LABELS = np.asarray([0, 1, 0, 1, 0, 1])
Make = Callable[..., Any]


@pytest.fixture
def stream(kernels: Make) -> np.ndarray:
    """(seed, layer, snapshot, N, N)."""
    return np.asarray(kernels(SEEDS, LAYERS, len(STEPS), N), np.float64)


@pytest.fixture
def measured(tmp_path: Path, kernel_store: Make, log_store: Make) -> Make:
    """Writes a lineage of two tasks, with a boundary at step 5, and measures it."""

    def measure(
        ntk: np.ndarray,
        layers: np.ndarray | None = None,
        diverged: list[int] | None = None,
        dt: int = 1,
        **other: Any,
    ) -> xr.Dataset:
        kernels, logs = [], []
        for task, (steps, part) in enumerate(
            ((FIRST, slice(0, 4)), (SECOND, slice(4, 7))), start=1
        ):
            path = tmp_path / f"task{task}.zarr"
            of_layers = None if layers is None else layers[:, part]
            changed = other if task == 2 else {}
            kernels.append(kernel_store(path, ntk[:, part], steps, task, of_layers, **changed))
            log = tmp_path / f"log{task}.zarr"
            failed = diverged if task == 2 else None
            logs.append(log_store(log, steps, SEEDS, task, failed))
        output = tmp_path / "metrics.nc"
        measure_kernels(kernels, logs, output, boundaries=[5], dt=dt, record={"run": "r"})
        return read_netcdf(output, "metrics")

    return measure


def test_every_variable_is_its_definition(measured: Make, stream: np.ndarray) -> None:
    whole = stream.sum(axis=1)
    data = measured(whole, np.moveaxis(stream, 1, 2))
    for seed, i in np.ndindex(SEEDS, len(STEPS)):
        point, kernel = data.isel(seed=seed, snapshot=i), whole[seed, i]
        sizes = spectrum(kernel)._asdict()
        vectors = sizes.pop("eigenvectors")
        expected = sizes | {
            "label_projection": label_projection(vectors, LABELS),
            "distance_from_start": cka_distance(kernel, whole[seed, 0]),
            "distance_from_start_debiased": debiased_cka_distance(kernel, whole[seed, 0]),
            "distance_from_start_uncentred": kernel_distance(kernel, whole[seed, 0]),
            "alignment": alignment(kernel, LABELS),
            "alignment_debiased": alignment(kernel, LABELS, centring="debiased"),
            "alignment_uncentred": cosine_similarity(kernel, LABELS[:, None] == LABELS),
            "distance_from_boundary": (
                cka_distance(kernel, whole[seed, 3]) if STEPS[i] >= 5 else np.nan
            ),
            "velocity": (
                cka_distance(kernel, whole[seed, i + 1]) if STEPS[i] + 1 in STEPS else np.nan
            ),
        }
        for name, value in expected.items():
            np.testing.assert_allclose(point[name], value, rtol=1e-11, atol=1e-15, err_msg=name)
        for layer in range(LAYERS):
            part, at = stream[seed, layer], point.isel(layer=layer)
            np.testing.assert_allclose(at["layer_trace"], np.trace(part[i]), rtol=1e-12)
            size = spectrum(part[i]).spectral_norm
            np.testing.assert_allclose(at["layer_spectral_norm"], size, rtol=1e-12)
            moved = cka_distance(part[i], part[0])
            np.testing.assert_allclose(at["layer_distance_from_start"], moved, atol=1e-14)
            moved = cka_distance(part[i], part[3]) if STEPS[i] >= 5 else np.nan
            np.testing.assert_allclose(at["layer_distance_from_boundary"], moved, atol=1e-14)
            towards = alignment(part[i], LABELS)
            np.testing.assert_allclose(at["layer_alignment"], towards, rtol=1e-11)


def test_layers_share_the_change_since_the_last_boundary(
    measured: Make, stream: np.ndarray
) -> None:
    layers = np.moveaxis(stream, 1, 2)
    share = measured(stream.sum(axis=1), layers)["layer_share"].values
    assert np.isnan(share[:, :4]).all()
    np.testing.assert_allclose(share[:, 4:].sum(axis=-1), 1, rtol=1e-12)
    np.testing.assert_allclose(share[:, 5], layer_share(layers[:, 3], layers[:, 5]), rtol=1e-12)


def test_a_layer_kernel_that_is_not_finite_has_no_share(measured: Make, stream: np.ndarray) -> None:
    layers = np.moveaxis(stream, 1, 2)
    layers[0, 5:, 1], layers[1, 6] = np.inf, layers[1, 3]
    share = measured(layers.sum(axis=2), layers)["layer_share"].values
    assert np.isfinite(share).all(axis=2)[:, 4:].tolist() == [
        [True, False, False],
        [True, True, False],
    ]


def test_the_first_eigenvalue_is_the_spectral_norm(measured: Make, stream: np.ndarray) -> None:
    data = measured(stream.sum(axis=1), diverged=[-1, 7])
    assert data["eigenvalues"].dims == ("seed", "snapshot", "rank")
    assert data["rank"].values.tolist() == [1, 2, 3, 4, 5, 6]
    np.testing.assert_array_equal(data["eigenvalues"].sel(rank=1), data["spectral_norm"])
    np.testing.assert_allclose(data["eigenvalues"].sum("rank", skipna=False), data["trace"])
    np.testing.assert_allclose(data["label_projection"].sum("rank", skipna=False)[0], 1)
    assert np.isnan(data["label_projection"][1, 5:]).all()


def test_the_table_describes_itself(measured: Make, stream: np.ndarray) -> None:
    data = measured(stream.sum(axis=1), np.moveaxis(stream, 1, 2))
    assert list(data["step"].values) == list(STEPS)
    assert list(data["task"].values) == [1, 1, 1, 1, 2, 2, 2]
    assert list(data["layer"].values) == ["hidden1", "hidden2", "hidden3"]
    assert np.atleast_1d(data.attrs["boundaries"]).tolist() == [5]
    assert (data.attrs["dt"], data.attrs["probe_digest"], data.attrs["samples"]) == (1, "abc", N)
    for variable in data.data_vars.values():
        assert {"long_name", "units", "definition", "source"} <= set(variable.attrs)
        assert len(variable.attrs["long_name"]) <= 48  # the label of an axis


def test_a_metric_is_one_registered_function(
    measured: Make, stream: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(observer, "OBSERVERS", [*OBSERVERS])
    meaning = Variable("largest element", "max_ij Θ_ij", "1", "a test", ("seed", "snapshot"))

    @register_metric(meaning)
    def largest(kernel: np.ndarray, stream: Stream) -> np.ndarray:
        return kernel.max(axis=(-2, -1))

    whole = stream.sum(axis=1)
    found = measured(whole)["largest"]
    np.testing.assert_array_equal(found, whole.max(axis=(-2, -1)))
    assert found.attrs == meaning.attributes()
    with pytest.raises(ValueError, match="measures largest, as another"):
        register_metric(meaning)(largest)


def test_a_metric_of_another_shape_is_named(
    measured: Make, stream: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(observer, "OBSERVERS", [*OBSERVERS])

    @register_metric(Variable("diagonal", "Θ_ii", "1", "a test", ("seed", "snapshot")))
    def diagonal(kernel: np.ndarray, stream: Stream) -> np.ndarray:
        return np.diagonal(kernel, axis1=-2, axis2=-1)

    with pytest.raises(MetricError, match=r"diagonal gives shape \(2, 6\) .* not \(seed\)"):
        measured(stream.sum(axis=1))


def test_the_log_is_joined_and_unseen_tasks_are_nan(measured: Make, stream: np.ndarray) -> None:
    data = measured(stream.sum(axis=1))
    np.testing.assert_allclose(data["loss"].sel(seen=1), [STEPS + 0.1, STEPS + 100.1])
    second = data["loss"].sel(seen=2).values
    assert np.isnan(second[:, :3]).all()
    np.testing.assert_allclose(second[0, 4:], np.asarray(SECOND) + 0.2)


def test_a_boundary_has_the_loss_on_the_task_that_begins(
    measured: Make, stream: np.ndarray
) -> None:
    boundary = measured(stream.sum(axis=1)).isel(snapshot=3)
    np.testing.assert_allclose(boundary["loss"], [[5.1, 5.2], [105.1, 105.2]])
    np.testing.assert_allclose(boundary["accuracy"], boundary["loss"] / 1000)


def test_a_task_that_starts_from_another_loss_than_its_parents_end_is_refused(
    tmp_path: Path, kernel_store: Make, log_store: Make, kernels: Make
) -> None:
    stores = [
        kernel_store(tmp_path / f"k{task}.zarr", kernels(1, 2, N), steps, task)
        for task, steps in ((1, [0, 1]), (2, [3, 4]))
    ]
    logs = [log_store(tmp_path / "a.zarr", [0, 1], 1), log_store(tmp_path / "b.zarr", [3, 4], 1, 2)]
    with pytest.raises(StoreError, match="another loss than its parent"):
        measure_kernels(stores, logs, tmp_path / "m.nc", boundaries=[1], dt=1, record={})


def test_velocity_over_another_dt(measured: Make, stream: np.ndarray) -> None:
    whole = stream.sum(axis=1)
    data = measured(whole, dt=3)
    present = [i for i, step in enumerate(STEPS) if step + 3 in STEPS]
    assert np.flatnonzero(np.isfinite(data["velocity"].values[0])).tolist() == present
    moved = cka_distance(whole[:, 1], whole[:, 2]) / 3
    np.testing.assert_allclose(data["velocity"].values[:, 1], moved, rtol=1e-11)


def test_a_diverged_seed_is_nan_from_its_step_on(measured: Make, stream: np.ndarray) -> None:
    whole = stream.sum(axis=1)
    data = measured(whole, diverged=[-1, 7])
    assert data["diverged_step"].values.tolist() == [-1, 7]
    assert np.isfinite(data["spectral_norm"].values).sum(axis=1).tolist() == [7, 5]
    assert np.isnan(data["loss"].values[1, 5:]).all()
    assert data["dead_step"].values.tolist() == [-1, -1]


def test_a_kernel_that_is_not_finite_is_a_divergence(measured: Make, stream: np.ndarray) -> None:
    whole = stream.sum(axis=1)
    whole[0, 5] = np.nan
    data = measured(whole)
    assert data["diverged_step"].values.tolist() == [7, -1]
    assert np.isfinite(data["velocity"].values[1]).any()


@pytest.mark.parametrize("value", [0.0, 2.0])
def test_a_constant_kernel_is_dead_and_the_table_is_still_made(
    value: float, measured: Make, stream: np.ndarray
) -> None:
    whole = stream.sum(axis=1)
    whole[1, 2:] = value
    data = measured(whole)
    assert data["dead_step"].values.tolist() == [-1, 4]
    assert data["diverged_step"].values.tolist() == [-1, -1]
    assert np.isnan(data["alignment"].values[1, 2:]).all()
    np.testing.assert_allclose(data["spectral_norm"].values[1, 2:], value * N)


def test_a_kernel_constant_up_to_the_precision_it_was_computed_in_is_dead(
    measured: Make, stream: np.ndarray
) -> None:
    whole = stream.sum(axis=1)
    assert whole.dtype == np.float64  # but taken in float32, as the store's attributes say
    whole[0, 4:] = 2 + 1e-7 * whole[0, 4:] / np.abs(whole[0, 4:]).max()
    assert measured(whole)["dead_step"].values.tolist() == [6, -1]


def test_blocks_of_seeds_give_the_same_table(
    measured: Make, stream: np.ndarray, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    module = importlib.import_module("ntkscope.metrics.measure")
    layers = np.moveaxis(stream, 1, 2)
    together = measured(stream.sum(axis=1), layers)
    monkeypatch.setattr(module, "BLOCK_BYTES", 1)
    for path in tmp_path.glob("*.zarr"):
        path.rename(path.with_suffix(".old"))
    one_by_one = measured(stream.sum(axis=1), layers)
    xr.testing.assert_equal(together, one_by_one)


def test_a_full_ntk_is_measured_as_its_matrix(measured: Make, kernels: Make) -> None:
    stream = kernels(SEEDS, len(STEPS), N)
    full = np.einsum("stij,kl->stikjl", stream, np.eye(3))
    data = measured(full)
    assert "velocity_debiased" not in data
    np.testing.assert_allclose(
        data["distance_from_start"].values[:, 3],
        cka_distance(stream[:, 3], stream[:, 0]),
        rtol=1e-10,
    )
    aligned = alignment(stream, LABELS)
    np.testing.assert_allclose(data["alignment"], aligned, rtol=1e-10)
    np.testing.assert_allclose(data["trace"], 3 * np.trace(stream, axis1=-2, axis2=-1))
    own = spectrum(stream)
    projected = label_projection(own.eigenvectors, LABELS)[..., :3]
    of_three = data["label_projection"].values[..., :9].reshape(*projected.shape, 3).sum(axis=-1)
    np.testing.assert_allclose(of_three, projected, rtol=1e-9)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"probe_digest": "other"}, "probe_digest"),
        ({"seeds": [0, 9]}, "seed"),
        ({"labels": [0, 0, 0, 1, 1, 1]}, "label"),
    ],
)
def test_stores_that_do_not_belong_together_are_refused(
    change: dict[str, Any], word: str, measured: Make, stream: np.ndarray
) -> None:
    with pytest.raises(StoreError, match=word):
        measured(stream.sum(axis=1), **change)


def test_a_stream_without_boundary_has_no_distance_from_one(
    tmp_path: Path, kernel_store: Make, log_store: Make, kernels: Make
) -> None:
    store = kernel_store(tmp_path / "k.zarr", kernels(1, 3, N), [0, 1, 2])
    log = log_store(tmp_path / "l.zarr", [0, 1, 2], 1)
    measure_kernels([store], [log], tmp_path / "m.nc", boundaries=[], dt=1, record={})
    data = read_netcdf(tmp_path / "m.nc", "metrics")
    assert np.isnan(data["distance_from_boundary"]).all()
    with pytest.raises(StoreError, match=r"boundary \[7\]"):
        measure_kernels([store], [log], tmp_path / "m.nc", boundaries=[1, 7], dt=1, record={})


def test_each_distance_from_a_boundary_is_from_the_last_one(
    tmp_path: Path, kernel_store: Make, log_store: Make, kernels: Make
) -> None:
    stream = kernels(1, 6, N)
    store = kernel_store(tmp_path / "k.zarr", stream, [0, 1, 2, 3, 4, 5])
    log = log_store(tmp_path / "l.zarr", [0, 1, 2, 3, 4, 5], 1)
    measure_kernels([store], [log], tmp_path / "m.nc", boundaries=[1, 3], dt=1, record={})
    found = read_netcdf(tmp_path / "m.nc", "metrics")["distance_from_boundary"].values[0]
    expected = [cka_distance(stream[0, i], stream[0, 1 if i < 3 else 3]) for i in range(1, 6)]
    np.testing.assert_allclose(found[1:], expected, atol=1e-14)
    assert np.isnan(found[0])


def test_a_log_of_other_seeds_is_refused(
    tmp_path: Path, kernel_store: Make, log_store: Make, kernels: Make
) -> None:
    store = kernel_store(tmp_path / "k.zarr", kernels(1, 3, N), [0, 1, 2])
    log = log_store(tmp_path / "l.zarr", [0, 1, 2], 2)
    with pytest.raises(StoreError, match="other seeds"):
        measure_kernels([store], [log], tmp_path / "m.nc", boundaries=[], dt=1, record={})


def test_a_boundary_that_is_in_both_stores_is_refused(
    tmp_path: Path, kernel_store: Make, log_store: Make, kernels: Make
) -> None:
    first = kernel_store(tmp_path / "a.zarr", kernels(1, 2, N), [0, 1])
    second = kernel_store(tmp_path / "b.zarr", kernels(1, 2, N), [1, 2], 2)
    log = log_store(tmp_path / "l.zarr", [0, 1, 2], 1)
    with pytest.raises(StoreError, match="do not follow"):
        measure_kernels([first, second], [log], tmp_path / "m.nc", boundaries=[1], dt=1, record={})


def test_steps_out_of_order_and_logs_that_lack_a_step_are_refused(
    tmp_path: Path, kernel_store: Make, log_store: Make, kernels: Make
) -> None:
    store = kernel_store(tmp_path / "k.zarr", kernels(1, 3, N), [0, 1, 2])
    short = log_store(tmp_path / "l.zarr", [0, 2, 3], 1)
    with pytest.raises(StoreError, match="training log lacks"):
        measure_kernels([store], [short], tmp_path / "m.nc", boundaries=[], dt=1, record={})
    with pytest.raises(StoreError, match="do not follow"):
        measure_kernels([store, store], [short], tmp_path / "m.nc", boundaries=[], dt=1, record={})


def test_a_damaged_chunk_is_named(
    tmp_path: Path, kernel_store: Make, log_store: Make, kernels: Make
) -> None:
    store = kernel_store(tmp_path / "k.zarr", kernels(1, 3, N), [0, 1, 2])
    log = log_store(tmp_path / "l.zarr", [0, 1, 2], 1)
    chunk = next(file for file in (store / "ntk" / "c").rglob("*") if file.is_file())
    content = bytearray(chunk.read_bytes())
    content[10] ^= 1
    chunk.write_bytes(bytes(content))
    with pytest.raises(StoreError, match=r"k\.zarr"):
        measure_kernels([store], [log], tmp_path / "m.nc", boundaries=[], dt=1, record={})


def test_metrics_and_fits_start_without_torch() -> None:
    import subprocess
    import sys

    code = "import ntkscope.metrics, ntkscope.fits, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
