"""Detectors on made-up signals: hits, delays, false alarms, and nothing of seeds that failed."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from ntkscope.fits import collect_metrics, results_of
from ntkscope.fits.reactivation.detection import RATE, WITHIN, alarms, detection, signals_of
from ntkscope.fits.results import as_dataset
from ntkscope.stores import read_netcdf
from tests.unit.fits.conftest import metrics_table

STEPS, BOUNDARY, SEEDS = np.arange(801), 400, 5


def made_up(folder, jump, hidden=(), diverged=None, roles=("new_classes",)):
    """An experiment whose signals jump by `jump` standard deviations for a few steps."""
    cells = []
    for number, role in enumerate(roles):
        files = {}
        for arm, size in (("run", jump), ("twin", 0.0)):
            generator = np.random.default_rng([number, arm == "run"])
            noise = generator.standard_normal((4, SEEDS, len(STEPS)))
            shifted = (STEPS > BOUNDARY) & (STEPS <= BOUNDARY + 3)
            known = noise + size * shifted
            names = ("batch_loss", "gradient_norm")
            signals = {name: np.exp(known[n]) for n, name in enumerate(names)}
            signals |= {name: np.exp(noise[0]) for name in hidden}
            velocity = np.exp(noise[2] + size * np.roll(shifted, -1))
            velocity[:, -1] = np.nan
            files[arm] = folder / f"{number}-{arm}.nc"
            metrics_table(
                files[arm],
                steps=STEPS,
                boundaries=(BOUNDARY,),
                velocity=velocity,
                loss=np.exp(known[3])[..., None],
                diverged=diverged if arm == "run" else None,
                distance_from_start=0.1,
                **signals,
            )
        axes = {"regime": "feature", "width": 8, "variant": f"v{number}"}
        cells.append({"axes": axes, "facts": {"variant": {"role": role}}, **files})
    collect_metrics(cells, folder / "metrics.nc", {})
    return read_netcdf(folder / "metrics.nc", "experiment")


def found(data, statistic):
    """Estimates of one statistic by signal and what it is against."""
    values = xr.Dataset(attrs={"axes": data.attrs["axes"]}, coords=data.coords)
    rows = results_of(as_dataset(detection(data, 0.95), values))
    rows = rows[rows["statistic"] == statistic]
    return {(row.quantity, row.against): row for row in rows.itertuples()}


def test_large_steps_are_hit_at_once_and_twins_are_not(tmp_path):
    data = made_up(tmp_path, 12.0)
    hits, delays = found(data, "hit_rate"), found(data, "delay")
    for name in ("velocity", "batch_loss", "gradient_norm", "loss"):
        assert hits[name, ""].estimate == 1.0
        np.testing.assert_allclose(hits[name, ""].low, 0.025 ** (1 / SEEDS))  # Clopper & Pearson
        assert hits[name, ""].high == 1.0
        assert delays[name, ""].estimate == 1.0  # known one step after the boundary, all of them
        assert hits[name, "twin"].estimate <= 0.4


def test_false_alarms_are_counted_at_the_stated_rate(tmp_path):
    data = made_up(tmp_path, 0.0)
    for row in found(data, "false_alarms").values():
        assert 0.2 * RATE < row.estimate < 2.5 * RATE
        assert row.note.endswith(f"stated: {RATE:g}")


def test_differences_are_means_over_the_shifts_of_a_seed(tmp_path):
    data = made_up(tmp_path, 12.0, hidden=["batch_loss"], roles=("a", "b"))
    hits, delays = found(data, "hit_difference"), found(data, "delay_difference")
    assert hits["velocity", "batch_loss"].estimate > 0.5
    assert hits["velocity", "batch_loss"].note == "of 2 kinds of shift"
    assert delays["velocity", "batch_loss"].estimate < -0.5 * WITHIN
    assert hits["velocity", "gradient_norm"].estimate == 0.0
    assert delays["velocity", "gradient_norm"].estimate == 0.0


def test_a_velocity_is_placed_by_its_step_whatever_snapshots_there_are():
    steps = np.array([0, 3, 4, 5, 6, 10, 11, -1])
    values = (("seed", "snapshot"), np.where(steps < 0, np.nan, steps)[None].astype(float))
    arm = xr.Dataset({"step": ("snapshot", steps), "velocity": values, "loss": values})
    found, signals = signals_of(arm, boundary=4, dt=3)
    assert found.tolist() == [3, 4, 5, 6]
    np.testing.assert_array_equal(signals["velocity"], [[0, np.nan, np.nan, 3]])
    np.testing.assert_array_equal(signals["loss"], [[3, 4, 5, 6]])


def test_seeds_that_diverged_are_in_nothing(tmp_path):
    data = made_up(tmp_path, 12.0, diverged={2: 500})
    assert found(data, "hit_rate")["velocity", ""].n == SEEDS - 1
    assert np.isnan(found(data, "delay")["velocity", ""].per_seed[2])


def test_without_steps_enough_nothing_is_claimed(tmp_path):
    short = made_up(tmp_path, 12.0).isel(snapshot=slice(BOUNDARY - 20, BOUNDARY + 30))
    assert not detection(short, 0.95)


def test_a_signal_the_tables_lack_is_left_out(tmp_path):
    data = made_up(tmp_path, 12.0).drop_vars(["batch_loss", "gradient_norm"])
    assert {name for name, _ in found(data, "hit_rate")} == {"velocity", "loss"}


@pytest.mark.parametrize("hole", [slice(0, 100), slice(300, 301)])
def test_nan_neither_alarms_nor_counts_as_a_step(hole):
    series = np.random.default_rng(0).standard_normal((1, 600))
    series[:, hole] = np.nan
    raised, possible = alarms(series)
    assert not raised[:, hole].any()
    assert not possible[:, hole].any()
    assert possible.sum() == 600 - (hole.stop - hole.start) - (round(1 / RATE) - 1)
    assert WITHIN > 0
