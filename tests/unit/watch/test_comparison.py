"""Runs of one's own as one experiment: the workflow's table and fits, and why some are not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from ntkscope import compare
from ntkscope.fits import SchemaError, check_experiment, check_metrics, fit
from ntkscope.stores import write_netcdf
from ntkscope.watch.comparison import ComparisonError

STEPS = np.asarray([0, 1, 4, 5, 6, 7, 9, 10, 14, 15])
EDGE = 5


def table(seed: int = 0, jump: float = 1.0, steps: np.ndarray = STEPS, **attrs: Any) -> xr.Dataset:
    """A run whose norm falls by `jump` after its boundary, and whose velocity is 1 + `jump`."""
    rng = np.random.default_rng(seed)
    after = steps > EDGE
    norm = 10.0 + 0.1 * seed - jump * after
    speed = np.where(np.isin(steps + 1, steps), np.where(steps == EDGE, 1 + jump, 1.0), np.nan)
    curves = {
        "spectral_norm": norm,
        "velocity": speed * (1 + 0.01 * seed),
        "distance_from_start": 0.01 * steps,
        "distance_from_boundary": np.where(steps >= EDGE, 0.02 * jump * (steps - EDGE), np.nan),
        "alignment": 0.5 - 0.1 * jump * after + 0.001 * rng.standard_normal(len(steps)),
    }
    data = {name: (("seed", "snapshot"), value[None]) for name, value in curves.items()}
    logged = {n: (("seed", "snapshot", "seen"), np.ones((1, len(steps), 1))) for n in LOGGED}
    failed = {name: (("seed",), [-1]) for name in ("diverged_step", "dead_step")}
    coords = {"seed": [0], "step": ("snapshot", steps), "task": ("snapshot", 1 + after)}
    facts = {"boundaries": [EDGE], "dt": 1, "kernel": "trace", "normalisation": "mean"}
    facts |= {"probe_digest": "p", "samples": 12}
    return xr.Dataset(data | logged | failed, coords | {"seen": [1]}, facts | attrs)


LOGGED = ("loss", "accuracy")


def named(*seeds: int, jump: float = 1.0) -> list[xr.Dataset]:
    """Runs that say of which seeds they are."""
    return [table(seed, jump).assign_coords(seed=[seed]) for seed in seeds]


def test_only_widths_that_were_told_are_said() -> None:
    assert "one: seeds 0, 1;" in repr(compare({"one": named(0, 1)}, {"one": named(0, 1, jump=0.0)}))
    assert "one, width 8: seeds" in repr(compare({"one": {8: named(0, 1)}}))


def test_effects_are_paired_with_the_twins_over_seeds() -> None:
    found = compare(
        {"one": [table(s, 2.0) for s in range(3)], "other": [table(s, 1.0) for s in range(3)]},
        {"one": [table(s, 0.0) for s in range(3)]},
        window=3,
    )
    one = found.fits.sel(regime="one", boundary=1).squeeze()
    assert int(one["n"].sel(quantity="spike")) == 3
    np.testing.assert_allclose(one["estimate"].sel(quantity="spike"), np.log(3))
    drops = [2 / (10 + 0.1 * seed) for seed in range(3)]
    np.testing.assert_allclose(one["estimate"].sel(quantity="norm_drop"), np.mean(drops))
    other = found.fits.sel(regime="other", boundary=1).squeeze()
    assert np.isnan(other["estimate"].sel(quantity="spike"))
    np.testing.assert_allclose(other["estimate"].sel(quantity="log_velocity"), np.log(2), atol=0.02)
    assert {"no twin"} == set(found.table.query("regime == 'other' and quantity == 'spike'").note)


def test_the_table_is_the_workflows(tmp_path: Path) -> None:
    write_netcdf(table(1), tmp_path / "m.nc", "metrics", {})
    found = compare({"mine": {32: tmp_path / "m.nc", 64: table(2)}}, window=3)
    check_experiment(found.metrics)
    xr.testing.assert_identical(found.fits, fit(found.metrics, 3, 0.95, "table", None))
    assert found.metrics["width"].values.tolist() == [32, 64]
    assert found.metrics["step"].values.tolist() == STEPS.tolist()


def test_only_steps_that_all_have_are_compared() -> None:
    few = np.delete(STEPS, 8)
    found = compare({"mine": [table(0), table(1, steps=few)]}, window=3)
    assert found.metrics["step"].values.tolist() == few.tolist()
    assert found.metrics.sizes["seed"] == 2


@pytest.mark.parametrize(
    ("runs", "twins", "word"),
    [
        ({}, None, "no runs"),
        ({"a": table()}, {"b": table()}, "no run 'b' for this twin"),
        ({"a": [table(1), table(1).assign_coords(seed=[7])]}, None, "the same run is given twice"),
        ({"a": table()}, {"a": table()}, "the same run is given twice"),
        ({"a": [table(), table()]}, {"a": table()}, "2 runs have 1 twins"),
        ({"a": table(), "b": [table(), table(1)]}, None, "number of seeds"),
        ({"a": {1: table(), 2: table()}, "b": table()}, None, "other ones"),
        ({"a": table(), "b": table(dt=2)}, None, "differ in dt"),
        ({"a": table(), "b": table(probe_digest="q")}, None, "different probes"),
        ({"a": [table(), table(1, boundaries=[4])]}, None, r"\[5\], \[4\]"),
        ({"a": table(boundaries=[])}, None, "no boundary"),
        ({"a": [table(), table(steps=STEPS[:3])]}, None, "too few steps"),
        ({"a": 7}, None, "a run is a int"),
        ({"a": []}, None, "no runs"),
        ({"a": {}}, None, "no runs"),
        ({"a": {8: []}}, None, "no runs"),
        ({"a": {"x": table()}}, None, "'x' is no width"),
        ({"a": {1.5: table()}}, None, "1.5 is no width"),
        ({"a": {8: table(), "8": table(1)}}, None, "'8' is no width"),
        ({"a": named(0, 1)}, {"a": named(1, 0, jump=0.0)}, r"seeds \[1, 0\], the runs of \[0, 1\]"),
    ],
)
def test_what_cannot_be_compared_is_said(runs: Any, twins: Any, word: str) -> None:
    with pytest.raises(ComparisonError, match=word):
        compare(runs, twins)


def test_a_table_says_all_that_it_lacks() -> None:
    poor = table().drop_vars(["velocity", "dead_step"]).isel(seed=0)
    del poor.attrs["dt"]
    with pytest.raises(SchemaError, match=r"'dt'.*dimension 'seed'.*'velocity'.*'dead_step'"):
        check_metrics(poor)
    with pytest.raises(SchemaError, match="no table of kind 'metrics'"):
        compare({"a": poor})
    whole = compare({"a": table()}).metrics
    with pytest.raises(SchemaError, match="'boundary_step'"):
        check_experiment(whole.drop_vars("boundary_step"))
    with pytest.raises(SchemaError, match=r"arm is \['x', 'y'\]"):
        check_experiment(whole.assign_coords(arm=["x", "y"]))


def test_one_width_is_drawn_by_names_and_several_as_in_the_paper(tmp_path: Path) -> None:
    seeds = range(3)
    names = {f"run {n}": [table(s, n) for s in seeds] for n in (1.0, 2.0)}
    twins = {name: [table(s, 0.0) for s in seeds] for name in names}
    figure = compare(names, twins, window=3).plot(tmp_path / "names.pdf")
    assert (tmp_path / "names.pdf").exists()
    assert len(figure.axes) == 8
    widths = {name: {32: runs, 64: runs, 128: runs} for name, runs in names.items()}
    paired = {name: {32: runs, 64: runs, 128: runs} for name, runs in twins.items()}
    figure = compare(widths, paired, window=3).plot()
    assert [axes.get_title() for axes in figure.axes[:2]] == ["run 1.0", "run 2.0"]
