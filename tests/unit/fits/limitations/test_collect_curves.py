"""Learning curves are collected as stores have them; what is no number does not become one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ntkscope.errors import StoreError
from ntkscope.fits.limitations.collect import collect_curves
from ntkscope.stores import Array, ZarrStore, read_netcdf

SEEDS, TEST = 3, 400
SIZES = [100, 200, 400]


def store(
    path: Path, kind: str, data: dict[str, tuple[tuple[str, ...], Any]], coords: Any, **attrs: Any
) -> Path:
    arrays = {
        name: Array(dims, np.shape(values), np.asarray(values).dtype)
        for name, (dims, values) in data.items()
    }
    made = ZarrStore.allocate(path, kind, arrays, coords=coords, mask=("seed",), attrs=attrs)
    for name, (_, values) in data.items():
        made.write(name, ..., values)
    made.done(...)
    return path


def networks(path: Path, seeds: int = SEEDS, error_of: str = "zero_one") -> Path:
    shape = (seeds, len(SIZES))
    error = np.full(shape, 0.25) * np.asarray([1.0, 0.8, 0.6])
    diverged = np.zeros(shape, bool)
    diverged[1, 2] = True
    columns = {
        "error": np.where(diverged, np.nan, error),
        "squared_error": 2 * error,
        "train_error": 0 * error,
        "diverged": diverged,
        "best_step": np.broadcast_to([10, 50, 90], shape),
        "last_step": np.broadcast_to([50, 90, 90], shape),
        "budget": np.full(shape, 90),
    }
    data: dict[str, tuple[tuple[str, ...], Any]] = {
        name: (("seed", "size"), values) for name, values in columns.items()
    }
    data["prediction"] = (("seed", "size", "test"), np.zeros((*shape, TEST), "f4"))
    for name, value in (("error", 0.4), ("squared_error", 0.9), ("diverged", False)):
        data[f"during_{name}"] = (("seed", "snapshot"), np.full((seeds, 2), value))
    coords = {
        "seed": (("seed",), np.arange(seeds)),
        "size": (("size",), SIZES),
        "step": (("snapshot",), [3, 30]),
    }
    record = {"networks": {"during_samples": 200}}
    return store(path, "networks", data, coords, error=error_of, provenance=record)


def regression(path: Path, trained_on: list[int], fits: list[str], **attrs: Any) -> Path:
    """After-kernels, or kernels of initialisation where `trained_on` is [0]."""
    shape = (SEEDS, len(trained_on), len(fits), len(SIZES))
    m, n = np.asarray(trained_on)[:, None, None], np.asarray(SIZES)
    own = np.asarray([fit == "own" for fit in fits])[:, None]
    undefined = np.broadcast_to(own & (m > 0) & (n > m), shape)
    values = np.where(undefined, np.nan, 0.5 - 1e-4 * n - 1e-5 * m)
    data: dict[str, tuple[tuple[str, ...], Any]] = {
        name: (("seed", "source", "fit", "n"), column)
        for name, column in {
            "error": values,
            "squared_error": 2 * values,
            "ridge": 0 * values + 1e-3,
            "ridge_edge": np.zeros(shape, np.int8),
            "undefined": undefined,
        }.items()
    }
    eigen = np.arange(1, 201) ** -1.5
    lead = (SEEDS, len(trained_on))
    spectrum = np.broadcast_to(eigen / eigen.sum(), (*lead, 200))
    data |= {
        "prediction": (("seed", "source", "test"), np.zeros((*lead, TEST), "f4")),
        "eigenvalue": (("seed", "source", "eigen"), spectrum),
        "target_power": (("seed", "source", "eigen"), spectrum),
        "alignment": (("seed", "source"), np.full(lead, 0.3)),
        "layer_error": (("seed", "source", "layer"), np.full((*lead, 2), 0.45)),
    }
    coords = {
        "seed": (("seed",), np.arange(SEEDS)),
        "trained_on": (("source",), trained_on),
        "step": (("source",), [-1] * len(trained_on)),
        "fit": (("fit",), fits),
        "n": (("n",), SIZES),
        "layer": (("layer",), ["hidden", "out"]),
        "layer_n": (("source",), [100] * len(trained_on)),
    }
    return store(path, "regression", data, coords, **{"error_currency": "zero_one"} | attrs)


def part(networks: Path | None, *regressions: tuple[str, int, Path], **own: Any) -> dict[str, Any]:
    plain = {
        "part": "pairs",
        "role": None,
        "label": "pairs",
        "task": "digit_pairs",
        "title": "digit pairs",
        "network": "mlp",
        "parametrisation": "standard",
        "rate": 0.02,
        "width": 64,
        "networks": networks and str(networks),
        "regressions": [{"source": s, "width": w, "path": str(p)} for s, w, p in regressions],
    }
    return plain | own


def rows(data: Any, **where: Any) -> Any:
    chosen = np.ones(data.sizes["row"], bool)
    for name, value in where.items():
        chosen &= data[name].values == value
    return data.isel(row=np.flatnonzero(chosen))


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("curves")
    trained = networks(folder / "networks.zarr")
    initial = regression(folder / "initial.zarr", [0], ["own"])
    after = regression(folder / "after.zarr", [100, 400], ["own", "fresh"])
    entry = part(trained, ("initial", 512, initial), ("after", 64, after))
    shared = part(networks(folder / "wide.zarr"), ("initial", 512, initial), width=128)
    out = folder / "curves.nc"
    collect_curves([entry, shared], out, record={"experiment": "mine", "analysis": "scaling"})
    return read_netcdf(out, "learning_curves")


def test_every_curve_has_a_row_for_each_number_of_samples(table: Any) -> None:
    assert len(rows(table, curve="network", step=-1, width=64).row) == 3
    assert rows(table, curve="network", step=30, width=64).n.values.tolist() == [200]
    assert rows(table, curve="initial").n.values.tolist() == SIZES  # shared: once
    assert len(rows(table, curve="after", trained_on=400, fit="fresh").row) == 3
    assert table.attrs["analysis"] == "scaling"
    np.testing.assert_allclose(rows(table, curve="initial").error[:, 0], [0.49, 0.48, 0.46])


def test_what_is_no_number_is_masked_with_its_reason(table: Any) -> None:
    lost = rows(table, curve="network", step=-1, n=400, width=64)
    assert lost.reason.values.tolist() == [["", "diverged", ""]]
    for name in ("error", "squared_error", "test_se", "best_is_last"):
        assert np.isnan(lost[name].values[0]).tolist() == [False, True, False], name
    assert lost.diverged.values.tolist() == [[0, 1, 0]]
    few = rows(table, curve="after", trained_on=100, fit="own", n=400)
    assert set(few.reason.values.ravel()) == {"trained on 100 only"}
    assert np.isnan(few.error).all()
    assert (table.reason == "").equals(np.isfinite(table.error))


def test_the_best_step_that_is_the_last_of_the_budget_is_said(table: Any) -> None:
    found = rows(table, curve="network", step=-1, width=64).best_is_last[:, 0]
    assert found.values.tolist() == [0, 0, 1]


def test_errors_have_the_binomial_error_of_the_test_set(table: Any) -> None:
    row = rows(table, curve="network", step=-1, n=100, width=64)
    np.testing.assert_allclose(row.test_se, np.sqrt(0.25 * 0.75 / TEST))


def test_the_spectrum_is_in_the_row_of_most_samples_of_its_set(table: Any) -> None:
    after = rows(table, curve="after", trained_on=400)
    known = after.isel(row=np.flatnonzero(np.isfinite(after.alignment[:, 0])))
    assert (known.n.values.tolist(), known.fit.values.tolist()) == ([400], ["fresh"])
    assert 0 < float(known.effective_dimension[0, 0]) < 200
    assert float(known.capacity[0, 0]) == pytest.approx(1.5, abs=0.3)
    np.testing.assert_allclose(known.predicted_exponent, known.source - 1)
    assert table.sizes["layer_row"] == 6


def test_curves_of_other_seeds_are_refused(tmp_path: Path) -> None:
    initial = regression(tmp_path / "initial.zarr", [0], ["own"])
    other = part(networks(tmp_path / "networks.zarr", seeds=2), ("initial", 64, initial))
    with pytest.raises(StoreError, match="other seeds"):
        collect_curves([other], tmp_path / "curves.nc", record={})


def test_another_error_in_one_part_is_refused(tmp_path: Path) -> None:
    first = regression(tmp_path / "a.zarr", [0], ["own"])
    second = regression(tmp_path / "b.zarr", [0], ["own"], error_currency="squared")
    with pytest.raises(StoreError, match="other error"):
        collect_curves(
            [part(None, ("initial", 64, first), ("infinite", 0, second))],
            tmp_path / "curves.nc",
            record={},
        )


def test_a_part_of_real_targets_needs_no_kernel(tmp_path: Path) -> None:
    trained = networks(tmp_path / "networks.zarr", error_of="squared")
    collect_curves([part(trained)], tmp_path / "curves.nc", record={})
    data = read_netcdf(tmp_path / "curves.nc", "learning_curves")
    assert data.attrs["currency"] == '{"pairs": "squared"}'
    row = rows(data, curve="network", step=-1, n=100)
    np.testing.assert_allclose(row.test_se, 0.25 * np.sqrt(2 / TEST))


def broken(path: Path, file: str, content: bytes | None) -> None:
    """Damage one file of a store, or lose it."""
    if content is None:
        (path / file).unlink()
    else:
        (path / file).write_bytes(content)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("ridge/c/0/0/0/0", None),
        ("error/c/0/0/0/0", b"damaged"),
        ("eigenvalue/zarr.json", None),
        ("n/zarr.json", b""),
    ],
)
def test_a_damaged_regression_is_refused_by_its_name(
    tmp_path: Path, file: str, content: bytes | None
) -> None:
    path = regression(tmp_path / "r.zarr", [100], ["fresh"])
    broken(path, file, content)
    with pytest.raises(StoreError, match=r"r\.zarr"):
        collect_curves([part(None, ("after", 64, path))], tmp_path / "out.nc", record={})


@pytest.mark.parametrize(("file", "content"), [("best_step/c/0/0", None), ("error/c/0/0", b"")])
def test_damaged_networks_are_refused_by_their_name(
    tmp_path: Path, file: str, content: bytes | None
) -> None:
    path = networks(tmp_path / "n.zarr")
    broken(path, file, content)
    with pytest.raises(StoreError, match=r"n\.zarr"):
        collect_curves([part(path)], tmp_path / "out.nc", record={})
