"""Fits of learning curves: what is left out and said, what is compared, what changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from ntkscope.errors import StoreError
from ntkscope.fits.limitations.curves import fit, fit_curves
from ntkscope.fits.limitations.rows import as_rows
from ntkscope.fits.limitations.table import LayerRow, Row, as_table
from ntkscope.stores import read_netcdf, write_netcdf
from tests.unit.fits.limitations.synthetic_curves import curve_fits, learning_curves

SEEDS = 5
NOISE = 0.01 * np.asarray([-2.0, -1.0, 0.0, 1.0, 2.0])
SIZES = (250, 500, 1000, 2000, 4000)
ABOUT = {
    "part": "pairs",
    "role": "",
    "label": "",
    "task": "t",
    "title": "t",
    "network": "mlp",
    "width": 64,
    "parametrisation": "standard",
    "rate": 0.02,
    "trained_on": 0,
    "step": -1,
    "fit": "",
}


def curve(kind: str, means: Mapping[int, Any], squared: float = 2.0, **about: Any) -> list[Row]:
    """Rows of a curve, n → its mean error, or errors by seed."""
    rows = []
    for n, mean in means.items():
        error = mean * np.exp(NOISE) if np.ndim(mean) == 0 else np.asarray(mean, float)
        values = {"error": error, "squared_error": squared * error}
        values |= {name: np.asarray(about.pop(name)) for name in _SAID if name in about}
        fitted = {"fit": "" if kind == "network" else "own"}
        key = {**ABOUT, **fitted, "curve": kind, "n": n, **about}
        reason = np.where(np.isfinite(error), "", "diverged")
        rows.append(Row(key, values, reason))
    return rows


_SAID = ("ridge_edge", "best_is_last", "train_error", "predicted_exponent", "alignment")


def power(exponent: float, sizes: Sequence[int] = SIZES, at_500: float = 0.35) -> dict[int, float]:
    return {n: at_500 * (n / 500) ** -exponent for n in sizes}


def fitted(rows: Sequence[Row], layers: Sequence[LayerRow] = (), **attrs: Any) -> xr.Dataset:
    parts = dict.fromkeys(str(row.key["part"]) for row in rows)
    data = as_table(
        rows,
        layers,
        range(SEEDS),
        currency=dict.fromkeys(parts, attrs.get("currency", "zero_one")),
        test=dict.fromkeys(parts, 4000),
        facts={},
    )
    return fit(data, (500, 4000), 0.4, 0.95, "scaling")


def changes(fits: xr.Dataset, kind: str, **where: Any) -> xr.Dataset:
    chosen = fits["change_kind"].values == kind
    for name, value in where.items():
        chosen &= fits[f"change_{name}"].values == value
    return fits.isel(change=np.flatnonzero(chosen))


def test_an_exponent_is_positive_where_the_error_falls() -> None:
    fits = fitted(curve("network", power(0.5)))
    assert float(fits["exponent"][0]) == pytest.approx(0.5)
    np.testing.assert_allclose(fits["slope_per_seed"], 0.5)
    assert (int(fits["n_min"][0]), int(fits["n_max"][0]), int(fits["n_points"][0])) == (
        500,
        4000,
        4,
    )
    assert fits["used"].values.tolist() == [False, True, True, True, True]
    assert float(fits["curvature"][0]) == pytest.approx(0.0, abs=1e-9)


def test_points_near_chance_are_left_out_and_named() -> None:
    fits = fitted(curve("initial", power(0.1, at_500=0.42)))
    assert str(fits["left_out"].values[0]) == "n=500: 0.42 is above 0.4"
    assert (int(fits["n_min"][0]), int(fits["n_points"][0])) == (1000, 3)
    assert "n=500: 0.42 is above 0.4" in as_rows(fits)["note"][0]


def test_the_ceiling_of_squared_errors_is_twice_as_high() -> None:
    fits = fitted(curve("initial", power(0.1, at_500=0.42)), currency="squared")
    assert (str(fits["left_out"].values[0]), int(fits["n_points"][0])) == ("", 4)


def test_with_fewer_than_three_points_there_is_no_exponent() -> None:
    fits = fitted(curve("initial", power(0.05, at_500=0.42)))
    assert np.isnan(fits["exponent"]).all()
    assert (str(fits["reason"].values[0]), int(fits["n_points"][0])) == ("fewer than 3 points", 0)


def test_points_at_the_floor_are_left_out() -> None:
    means: dict[int, Any] = power(0.5) | {4000: 0.003}
    fits = fitted(curve("network", means))
    assert "n=4000: at the floor: fewer than 20 errors" in str(fits["left_out"].values[0])
    means[4000] = [0.0, 0.1, 0.1, 0.1, 0.1]
    assert "at the floor: no error" in str(fitted(curve("network", means))["left_out"].values[0])


def test_a_seed_that_diverged_is_in_no_slope_and_said() -> None:
    means: dict[int, Any] = power(0.5) | {2000: 0.175 * np.asarray([1, 1, np.nan, 1, 1])}
    fits = fitted(curve("network", means))
    assert int(fits["n_seeds"][0]) == 4
    assert np.isnan(fits["slope_per_seed"].values[0]).tolist() == [False, False, True, False, False]
    assert "n=2000: diverged in 1 of 5 seeds" in str(fits["flags"].values[0])


def test_flags_name_the_points() -> None:
    steep = curve("network", power(0.5, SIZES[:4]))
    last = curve("network", power(0.5, SIZES[4:]), best_is_last=[1, 0, 1, 0, 0])
    fits = fitted(steep + last)
    assert str(fits["flags"].values[0]) == "n=4000: best step is the last in 2 of 5 seeds"
    edge = curve("initial", power(0.5, SIZES[:4])) + curve(
        "initial", power(0.5, SIZES[4:]), ridge_edge=[1, -1, 0, 0, 0]
    )
    said = str(fitted(edge)["flags"].values[0])
    assert "n=4000: ridge is the highest of its grid in 1 of 5 seeds" in said
    assert "n=4000: ridge is the lowest of its grid in 1 of 5 seeds" in said


def test_networks_trained_to_convergence_that_have_not_learnt_all_are_flagged() -> None:
    rows = curve("network", power(0.5, SIZES[:4]), role="convergence", train_error=[0.0] * 5)
    part = {"role": "convergence", "train_error": [0.0, 0.002, 0.0, 0.0, 0.1]}
    rows += curve("network", power(0.5, SIZES[4:]), **part)
    said = str(fitted(rows)["flags"].values[0])
    assert said == "n=4000: training samples are not all learnt in 2 of 5 seeds"
    other = curve("network", power(0.5), role="base", train_error=[0.1] * 5)
    assert str(fitted(other)["flags"].values[0]) == ""


def test_a_curved_law_is_said_to_be() -> None:
    means = {n: 0.3 * (n / 500) ** -0.9 + 0.05 for n in SIZES}
    fits = fitted(curve("network", means))
    assert "not a pure power law" in str(fits["flags"].values[0])
    assert float(fits["curvature_low"][0]) > 0
    assert bool(fits["offset_identified"][0])
    assert float(fits["offset_exponent"][0]) == pytest.approx(0.9, abs=0.05)


def test_a_difference_is_taken_on_the_points_that_both_have() -> None:
    bent = power(0.5) | {500: 0.30}
    rows = curve("network", bent) + curve("infinite", power(0.2, at_500=0.405), width=0)
    fits = fitted(rows)
    assert fits["pair_first"].values.tolist() == [0]
    assert (int(fits["pair_n_min"][0]), int(fits["pair_n_points"][0])) == (1000, 3)
    assert float(fits["difference_estimate"][0]) == pytest.approx(0.3)
    assert fits["verdict"].values.tolist() == ["resolved"]
    half = float(fits["difference_high"][0] - fits["difference_low"][0]) / 2
    assert float(fits["resolution"][0]) == pytest.approx(half)


def test_seeds_of_another_task_are_not_paired() -> None:
    rows = curve("network", power(0.5)) + curve(
        "network", power(0.3), part="plain", role="plain", task="other"
    )
    fits = fitted(rows)
    assert fits["paired"].values.tolist() == [False]
    assert np.isnan(fits["difference_per_seed"]).all()
    assert float(fits["difference_estimate"][0]) == pytest.approx(0.2)


def test_a_part_without_kernels_is_compared_with_those_of_its_task() -> None:
    rows = [
        *curve("network", power(0.5), part="base", role="base"),
        *curve("infinite", power(0.2), part="base", role="base", width=0),
        *curve("network", power(0.4), part="logistic", role="logistic"),
    ]
    fits = fitted(rows)
    ends = list(zip(fits["pair_first"].values, fits["pair_second"].values, strict=True))
    assert ends == [(0, 1), (2, 0), (2, 1)]
    np.testing.assert_allclose(fits["difference_estimate"], [0.3, -0.1, 0.2], atol=1e-9)


def test_the_measured_exponent_is_compared_with_the_spectrum_s() -> None:
    rows = curve("infinite", power(0.3, SIZES[:4])) + curve(
        "infinite", power(0.3, SIZES[4:]), predicted_exponent=[0.2, 0.2, 0.2, 0.3, 0.3]
    )
    fits = fitted(rows)
    assert float(fits["squared_exponent"][0]) == pytest.approx(0.3)
    np.testing.assert_allclose(fits["excess_per_seed"][0], [0.1, 0.1, 0.1, 0, 0], atol=1e-9)


def test_after_kernels_change_with_m_and_equal_the_network_or_not() -> None:
    rows = curve("network", power(0.5, (500, 1000, 2000)))
    for m, error in ((500, 0.2), (1000, 0.1), (2000, 0.05)):
        rows += curve("after", {500: error, m: error}, trained_on=m, fit="fresh")
        rows += curve("after", {m: power(0.5)[m] * 1.05}, trained_on=m, fit="own")
    fits = fitted(rows)
    doublings = changes(fits, "trained_on", fit="fresh")
    np.testing.assert_allclose(doublings["change_estimate"], -np.log(2))
    assert doublings["change_from"].values.tolist() == [500, 1000]
    slope = changes(fits, "trained_on slope", fit="fresh")
    np.testing.assert_allclose(slope["change_estimate"], 1.0)
    same = changes(fits, "equal", fit="own")
    np.testing.assert_allclose(same["change_estimate"], np.log(1.05))
    assert same["change_samples"].values.tolist() == [500, 1000, 2000]


def test_after_kernels_change_with_m_at_500_samples_where_there_are_so_many() -> None:
    rows = []
    for m, error in ((500, 0.2), (1000, 0.1), (2000, 0.05)):
        errors = {250: 0.4, 500: error, 1000: 0.4}
        rows += curve("after", errors, trained_on=m, fit="fresh")
    found = changes(fitted(rows), "trained_on")
    assert set(found["change_samples"].values) == {500}
    np.testing.assert_allclose(found["change_estimate"], -np.log(2))


def test_kernels_change_along_training_at_the_most_samples() -> None:
    rows = []
    for step, error in ((10, 0.4), (40, 0.2), (100, 0.2)):
        rows += curve("during", power(0.1, SIZES[1:], error), step=step, fit="fresh")
        rows += curve("network", {4000: error}, step=step)
    fits = fitted(rows)
    for kind in ("during", "network"):
        steps = changes(fits, "step", curve=kind)
        np.testing.assert_allclose(steps["change_estimate"], [-np.log(2), 0], atol=1e-9)
        assert set(steps["change_samples"].values) == {4000}
    assert set(fits["curve"].values) == {"during"}


def test_errors_go_with_what_the_spectrum_says() -> None:
    rows = []
    errors = (0.4, 0.3, 0.2, 0.1)
    for m, error in zip((500, 1000, 2000, 4000), errors, strict=True):
        said = [-np.log(error)] * 4 + [0.0]
        rows += curve("after", {500: error}, trained_on=m, fit="fresh", alignment=said)
    found = changes(fitted(rows), "alignment")["change_per_seed"].values
    np.testing.assert_allclose(found, [[-1, -1, -1, -1, np.nan]])
    assert changes(fitted(rows[:3]), "alignment").sizes["change"] == 0


def test_networks_of_several_widths_are_not_mixed() -> None:
    rows = []
    for width in (16, 64):
        rows += curve("network", {500: 0.2, 1000: 0.1}, width=width)
        for m in (500, 1000):
            errors = {500: 16 / width * m**-0.3}
            rows += curve("after", errors, width=width, trained_on=m, fit="fresh")
    found = changes(fitted(rows), "trained_on")
    assert found["change_width"].values.tolist() == [16, 64]
    np.testing.assert_allclose(found["change_estimate"], -0.3 * np.log(2))


def test_width_has_a_best_and_a_limit() -> None:
    rows = curve("infinite", {1000: 0.3}, width=0)
    for width, error in ((8, 0.4), (32, 0.2), (128, 0.3)):
        rows += curve("network", {1000: error}, width=width)
        rows += curve("initial", {1000: 0.3 + 1 / width}, width=width)
    fits = fitted(rows)
    best = changes(fits, "best width", curve="network")
    np.testing.assert_allclose(best["change_estimate"], [np.log(0.5), np.log(1.5)])
    limit = changes(fits, "limit", curve="initial")
    assert limit["change_estimate"].values[-1] == pytest.approx(np.log(1 + 1 / 128 / 0.3))
    assert changes(fits, "width slope", curve="initial")["change_estimate"].values[0] < 0


def test_layers_change_from_the_smallest_m_to_the_largest() -> None:
    layers = []
    for m, error in ((500, 0.4), (1000, 0.3), (2000, 0.2)):
        for layer, factor in (("first", 1.0), ("last", 1 + m / 2000)):
            key = {"layer_part": "pairs", "layer_curve": "after", "layer_trained_on": m}
            key |= {"layer_step": -1, "layer": layer, "layer_n": 500}
            layers.append(LayerRow(key, error * factor * np.exp(NOISE)))
    fits = fitted(curve("network", power(0.5)), layers)
    found = changes(fits, "layer")
    assert found["change_layer"].values.tolist() == ["first", "last"]
    np.testing.assert_allclose(found["change_estimate"], [np.log(0.5), np.log(0.5 * 2 / 1.25)])


@pytest.mark.parametrize("analysis", ["after_kernel", "width"])
def test_an_analysis_is_fitted_and_written(analysis: str, tmp_path: Path) -> None:
    write_netcdf(learning_curves(analysis), tmp_path / "curves.nc", "learning_curves", {})
    fit_curves(
        tmp_path / "curves.nc",
        tmp_path / "fits.nc",
        tmp_path / "table.csv",
        range=(500, 4000),
        error_at_most=0.4,
        confidence=0.95,
        analysis=analysis,
        record={},
    )
    written = read_netcdf(tmp_path / "fits.nc", "curve_fits")
    assert written.equals(curve_fits(analysis))
    head, *lines = (tmp_path / "table.csv").read_text().splitlines()
    assert head.startswith("statistic,part,role")
    assert len(lines) >= written.sizes["curve_row"] + written.sizes["pair"]


def test_a_table_of_another_kind_is_refused(tmp_path: Path) -> None:
    write_netcdf(curve_fits("width"), tmp_path / "fits.nc", "curve_fits", {})
    with pytest.raises(StoreError, match="'curve_fits', not of 'learning_curves'"):
        fit_curves(
            tmp_path / "fits.nc",
            tmp_path / "out.nc",
            tmp_path / "table.csv",
            range=(500, 4000),
            error_at_most=0.4,
            confidence=0.95,
            analysis="width",
            record={},
        )
