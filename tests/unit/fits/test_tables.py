"""From collected metrics to fits and to the table of a paper."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from ntkscope.fits import QUANTITIES, collect_metrics, fit_experiment
from ntkscope.fits.exponents import LAWS
from ntkscope.stores import read_netcdf

Table = Callable[..., xr.Dataset]
Fitted = tuple[xr.Dataset, pd.DataFrame]
WIDTHS, REGIMES = (64, 128, 256), {"lazy": -0.5, "ntk": -1.0}
NOISE = 0.1 * np.random.default_rng(0).standard_normal((2, 3, 5, 1))
SEED_SHIFTS = np.arange(5.0)[:, None]


def curves(steps: np.ndarray, spike: Any, drop: Any, bend: float) -> dict[str, Any]:
    """A velocity, a norm and an alignment that differ from 1 after step 20 only."""
    after = steps > 20
    return {
        "velocity": np.where(steps == 20, spike, 1.0),
        "spectral_norm": np.where(after & (steps < 30), 1 - np.asarray(drop), 1.0),
        "alignment": 0.5 + np.where(after, bend, 0.0),
        "distance_from_boundary": np.where(after, drop, 0.0),
    }


def fit(
    folder: Path,
    cells: list[dict[str, Any]],
    confidence: float = 0.95,
    analysis: str = "reactivation",
) -> tuple[xr.Dataset, pd.DataFrame]:
    """Collected and fitted, read back from the files."""
    collect_metrics(cells, folder / "metrics.nc", {})
    files = [folder / name for name in ("metrics.nc", "fits.nc", "table.csv")]
    how = {"analysis": analysis, "classes": 5, "record": {}}
    fit_experiment(*files, window=5, confidence=confidence, **how)
    return read_netcdf(folder / "fits.nc", "fits"), pd.read_csv(folder / "table.csv")


def sweep(folder: Path, table: Table) -> Iterator[dict[str, Any]]:
    """Regimes × widths: velocity ratio 1000·width^b, drop 4·width^b, noise by seed."""
    steps = np.arange(0, 41)
    quiet = {"velocity": 1.0, "spectral_norm": 1.0, "alignment": 0.5, "distance_from_boundary": 0.0}
    table(folder / "twin.nc", **quiet)
    for i, (regime, power) in enumerate(REGIMES.items()):
        for j, width in enumerate(WIDTHS):
            size = width**power * np.exp(NOISE[i, j])
            run = folder / f"{regime}{width}.nc"
            table(run, **curves(steps, 1000 * size, 4 * size, 0.1))
            axes = {"regime": regime, "width": width}
            yield {"axes": axes, "run": run, "twin": folder / "twin.nc"}


@pytest.fixture(scope="module")
def made(
    tmp_path_factory: pytest.TempPathFactory, table: Table
) -> tuple[list[dict[str, Any]], Fitted]:
    """The sweep's cells and what is fitted to them."""
    folder = tmp_path_factory.mktemp("sweep")
    cells = list(sweep(folder, table))
    return cells, fit(folder, cells)


@pytest.fixture
def cells(made: tuple[list[dict[str, Any]], Fitted]) -> list[dict[str, Any]]:
    return [dict(cell) for cell in made[0]]


@pytest.fixture
def fitted(made: tuple[list[dict[str, Any]], Fitted]) -> Fitted:
    return made[1]


def test_estimates_are_means_of_paired_differences(
    fitted: Fitted,
) -> None:
    fits, _ = fitted
    at = fits.sel(regime="lazy", width=128, boundary=1)
    size = 128**-0.5 * np.exp(NOISE[0, 1, :, 0])
    expected = {
        "spike": np.log(1000 * size),
        "norm_drop": 4 * size,
        "checkmark": 4 * size,
        "distance": 4 * size,
        "deflection": np.full(5, 0.1),
        "minimum_step": np.full(5, 1.0),
        "recovery": np.full(5, 1.0),
        "half_recovery_step": np.full(5, 10.0),
    }
    for name, values in expected.items():
        found = at.sel(quantity=name)
        np.testing.assert_allclose(found["per_seed"], values, rtol=1e-12, err_msg=name)
        np.testing.assert_allclose(found["estimate"], values.mean(), rtol=1e-12)
        assert (found["n"], found["left_out"], found["undefined"]) == (5, 0, 0)
        tested = QUANTITIES[name].tested
        assert bool(np.isfinite(found["p_wilcoxon"])) == tested
    assert at["p_wilcoxon"].sel(quantity="spike") == 0.0625


def test_the_twin_is_taken_off(tmp_path: Path, table: Table) -> None:
    table(tmp_path / "run.nc", **curves(np.arange(0, 41), 100.0, 0.3, 0.1))
    axes = {"regime": "lazy", "width": 8}
    fits, _ = fit(
        tmp_path, [{"axes": axes, "run": tmp_path / "run.nc", "twin": tmp_path / "run.nc"}]
    )
    for name in ("spike", "norm_drop", "checkmark", "distance", "deflection"):
        np.testing.assert_array_equal(fits["estimate"].sel(quantity=name), 0, err_msg=name)
    np.testing.assert_allclose(fits["per_arm"].sel(quantity="norm_drop"), 0.3, rtol=1e-12)


def test_exponents_of_each_regime_and_their_difference(
    fitted: Fitted,
) -> None:
    fits, rows = fitted
    for number, (regime, power) in enumerate(REGIMES.items()):
        at = fits.sel(regime=regime, boundary=1, law="norm_drop")
        log_x, log_y = np.log(WIDTHS), power * np.log(WIDTHS) + NOISE[number, :, :, 0].T
        slopes = [np.polyfit(log_x, y, 1)[0] for y in log_y]
        np.testing.assert_allclose(at["exponent_per_seed"], slopes, rtol=1e-9)
        assert at["exponent_low"] < power < at["exponent_high"]
        np.testing.assert_allclose(at["exponent_cluster"], at["exponent"], rtol=1e-9)
        spike = fits["exponent"].sel(regime=regime, boundary=1, law="spike")
        np.testing.assert_allclose(spike, at["exponent"], rtol=1e-9)
    contrast = fits.sel(contrast="lazy - ntk", boundary=1, law="norm_drop")
    assert contrast["exponent_difference_low"] < 0.5 < contrast["exponent_difference_high"]
    assert contrast["exponent_difference_p_t"] < 0.05
    row = rows[rows["quantity"] == "difference of exponents of norm_drop"].iloc[0]
    np.testing.assert_allclose(row["estimate"], contrast["exponent_difference"], rtol=1e-5)
    assert row["regime"] == "lazy - ntk"


def test_the_table_has_a_row_a_point_and_quantity_then_exponents(
    fitted: Fitted, cells: list[dict[str, Any]]
) -> None:
    fits, rows = fitted
    effects = rows[rows["quantity"].isin(list(QUANTITIES))]
    assert len(effects) == len(cells) * len(QUANTITIES)
    assert rows["quantity"].str.startswith("exponent of").sum() == 2 * len(LAWS)
    row = effects[(effects["regime"] == "ntk") & (effects["width"] == 64)].set_index("quantity")
    spike = fits.sel(regime="ntk", width=64, boundary=1, quantity="spike")
    for column in ("estimate", "low", "high", "effect_dz", "p_sign", "n"):
        np.testing.assert_allclose(row.loc["spike", column], spike[column], rtol=1e-5)
    assert (rows["confidence"] == 0.95).all()
    assert (effects["boundary_step"] == 20).all()


@pytest.mark.parametrize("arm", ["run", "twin"])
@pytest.mark.parametrize("failure", ["diverged", "dead"])
def test_a_seed_that_failed_in_either_arm_is_left_out_and_counted(
    arm: str,
    failure: str,
    tmp_path: Path,
    cells: list[dict[str, Any]],
    table: Table,
) -> None:
    steps = np.arange(0, 41)
    failed = curves(steps, 50.0 + SEED_SHIFTS, 0.5, 0.1)
    failed["spectral_norm"] = np.where((SEED_SHIFTS == 3) & (steps >= 33), np.nan, 1.0)
    cells[0][arm] = tmp_path / "failed.nc"
    table(cells[0][arm], **failed, **{failure: {3: 33}})
    fits, rows = fit(tmp_path, cells[:3])
    at = fits.sel(regime="lazy", width=64, boundary=1)
    assert (at["left_out"] == 1).all()
    assert (at["n"].sel(quantity=["spike", "norm_drop", "deflection"]) == 4).all()
    assert np.isnan(at["per_seed"].sel(seed=3)).all()
    assert at["seed_left_out"].values.tolist() == [False, False, False, True, False]
    assert fits["exponent_incomplete"].sel(regime="lazy", law="spike") == 1
    assert (rows["left_out"] > 0).sum() == len(QUANTITIES) + len(LAWS)


def test_a_failure_after_the_next_boundary_does_not_reach_back(
    tmp_path: Path, table: Table
) -> None:
    stream = {"boundaries": (10, 30), "steps": np.arange(0, 41)}
    table(tmp_path / "run.nc", **stream, diverged={1: 35})
    table(tmp_path / "twin.nc", **stream)
    cell = {"axes": {"width": 8}, "run": tmp_path / "run.nc", "twin": tmp_path / "twin.nc"}
    fits, _ = fit(tmp_path, [cell])
    assert fits["left_out"].sel(width=8).values.tolist() == [0, 1]
    assert fits["boundary_step"].sel(width=8).values.tolist() == [10, 30]


def test_without_twin_only_unpaired_quantities_are_given(
    tmp_path: Path, cells: list[dict[str, Any]]
) -> None:
    cells[0]["twin"] = None
    fits, rows = fit(tmp_path, cells[:2])
    at = fits.sel(regime="lazy", width=64, boundary=1)
    for name, quantity in QUANTITIES.items():
        assert (at["n"].sel(quantity=name) == 0) == quantity.paired, name
        assert at["undefined"].sel(quantity=name) == (5 if quantity.paired else 0), name
    mine = rows[(rows["regime"] == "lazy") & (rows["width"] == 64)].set_index("quantity")
    assert mine.loc["spike", "note"] == "no twin"
    assert np.isfinite(at["per_arm"].sel(quantity="norm_drop", arm="shift")).all()


def test_a_value_that_does_not_exist_is_undefined_not_left_out(
    tmp_path: Path, cells: list[dict[str, Any]], table: Table
) -> None:
    still = curves(np.arange(0, 41), np.where(SEED_SHIFTS == 0, 0.0, 9.0), 0.5, 0.1)
    cells[0]["run"] = tmp_path / "still.nc"
    table(cells[0]["run"], **still)
    fits, _ = fit(tmp_path, cells[:1])
    at = fits.sel(regime="lazy", width=64, boundary=1, quantity="spike")
    assert (at["n"], at["left_out"], at["undefined"]) == (4, 0, 1)


def test_a_time_that_some_seeds_do_not_reach_has_a_median_and_no_mean(
    tmp_path: Path, cells: list[dict[str, Any]], table: Table
) -> None:
    steps = np.arange(0, 41)
    back = np.where(SEED_SHIFTS < 2, 99, 24 + SEED_SHIFTS)
    norm = np.where((steps > 20) & (steps < back), 0.4, 1.0)
    cells[0]["run"] = tmp_path / "late.nc"
    table(cells[0]["run"], velocity=9.0, spectral_norm=norm)
    fits, rows = fit(tmp_path, cells[:1])
    at = fits.sel(regime="lazy", width=64, boundary=1, quantity="half_recovery_step")
    assert (at["n"], at["censored"], at["undefined"], at["median"]) == (3, 2, 0, 8)
    assert np.isnan(at["estimate"])
    row = rows[rows["quantity"] == "half_recovery_step"].iloc[0]
    assert row["note"].startswith("not reached within the task by 2 of 5 seeds")


def test_results_of_a_sweep_are_rows_of_the_table(
    tmp_path: Path, cells: list[dict[str, Any]]
) -> None:
    for cell in cells:
        cell["axes"] = {"regime": cell["axes"]["regime"], "learning_rate": cell["axes"]["width"]}
    fits, rows = fit(tmp_path, cells, analysis="learning_rate")
    row = rows[rows["quantity"] == "slope of spike: log learning_rate"].set_index("regime")
    assert row.loc["ntk", "low"] < REGIMES["ntk"] < row.loc["ntk", "high"]
    assert row["learning_rate"].isna().all()
    assert fits.attrs["analysis"] == "learning_rate"


def test_a_stream_without_boundary_makes_empty_tables(tmp_path: Path, table: Table) -> None:
    table(tmp_path / "run.nc", boundaries=())
    cell = {"axes": {"regime": "lazy", "width": 8}, "run": tmp_path / "run.nc", "twin": None}
    fits, rows = fit(tmp_path, [cell])
    assert fits.sizes["boundary"] == 0
    assert len(rows) == 0
    assert {"regime", "width", "quantity", "estimate"} <= set(rows.columns)


def test_made_again_the_tables_are_the_same(
    tmp_path: Path, fitted: Fitted, cells: list[dict[str, Any]]
) -> None:
    again, rows = fit(tmp_path, cells)
    xr.testing.assert_equal(fitted[0], again)
    pd.testing.assert_frame_equal(fitted[1], rows)


def test_every_variable_of_the_fits_says_what_it_is(
    fitted: Fitted,
) -> None:
    fits, _ = fitted
    assert "0.0625" in fits["p_wilcoxon"].attrs["long_name"]
    assert set(fits["quantity_meaning"].values) == {q.meaning for q in QUANTITIES.values()}
    assert (fits.attrs["window"], fits.attrs["confidence"]) == (5, 0.95)


def test_a_curved_law_is_marked_wherever_its_exponent_is(
    tmp_path: Path, cells: list[dict[str, Any]], table: Table
) -> None:
    for cell in cells[:3]:
        size = 0.9 - 1e-5 * cell["axes"]["width"] ** 2 + 1e-3 * SEED_SHIFTS
        cell["run"] = tmp_path / cell["run"].name
        table(cell["run"], **curves(np.arange(0, 41), 9.0, size, 0.1))
    fits, rows = fit(tmp_path, cells)
    assert fits["curved"].sel(law="norm_drop", regime="lazy").all()
    noted = rows[rows["note"].fillna("").str.contains("curved")]["quantity"].tolist()
    assert "exponent of norm_drop" in noted
    assert "difference of exponents of norm_drop" in noted
