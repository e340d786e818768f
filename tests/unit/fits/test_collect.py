"""A sweep laid out as one table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from ntkscope.errors import StoreError
from ntkscope.fits import collect_metrics
from ntkscope.fits.axes import coordinate
from ntkscope.fits.cells import named
from ntkscope.stores import read_netcdf

Table = Callable[..., xr.Dataset]


@pytest.fixture
def collected(tmp_path: Path, table: Table) -> Callable[..., xr.Dataset]:
    """Collects cells given as (axes, settings of the run, settings of the twin or None)."""

    def collect(*cells: tuple[dict[str, Any], dict[str, Any], dict[str, Any] | None]) -> xr.Dataset:
        made = []
        for number, (axes, run, twin) in enumerate(cells):
            paths = {"run": tmp_path / f"run{number}.nc", "twin": tmp_path / f"twin{number}.nc"}
            table(paths["run"], **run)
            if twin is not None:
                table(paths["twin"], **twin)
            made.append({"axes": axes, **paths, **({"twin": None} if twin is None else {})})
        collect_metrics(made, tmp_path / "all.nc", {"a": 1})
        return read_netcdf(tmp_path / "all.nc", "experiment")

    return collect


def cell(regime: str, width: int, **values: Any) -> tuple[dict[str, Any], dict[str, Any], Any]:
    return {"regime": regime, "width": width}, {"trace": values["run"]}, values.get("twin")


def test_every_run_is_found_at_its_axes(collected: Callable[..., xr.Dataset]) -> None:
    data = collected(
        cell("lazy", 64, run=1, twin={"trace": 2}),
        cell("lazy", 32, run=3, twin={"trace": 4}),
        cell("feature", 64, run=5, twin={"trace": 6}),
        cell("feature", 32, run=7, twin={"trace": 8}),
    )
    assert data["trace"].dims == ("regime", "width", "arm", "seed", "snapshot")
    assert data["regime"].values.tolist() == ["lazy", "feature"]
    assert data["width"].values.tolist() == [64, 32]
    assert data["trace"].sel(regime="feature", width=64, arm="twin").values.max() == 6
    assert data["step"].dims == ("snapshot",)
    assert data["boundary_step"].sel(regime="lazy", width=32).values.tolist() == [20]
    assert data.attrs["axes"] == "regime width"
    assert data["present"].values.all()


def test_a_missing_twin_and_a_missing_cell_are_nan(collected: Callable[..., xr.Dataset]) -> None:
    data = collected(
        cell("lazy", 64, run=1, twin={"trace": 2}),
        cell("feature", 32, run=7),
    )
    present = data["present"].stack(cell=("regime", "width")).transpose("cell", "arm")
    assert present.values.tolist() == [[True, True], [False, False], [False, False], [True, False]]
    assert np.isnan(data["trace"].sel(regime="feature", arm="twin")).all()
    assert (data["diverged_step"] == -1).all()


def test_other_lengths_layers_and_tasks_are_padded(collected: Callable[..., xr.Dataset]) -> None:
    longer = {"steps": np.arange(0, 61, 2), "boundaries": (20, 40), "layers": ("a", "b", "out")}
    longer["ranks"] = 3
    data = collected(
        ({"depth": 1}, {"layers": ("a", "out"), "ranks": 2}, None),
        ({"depth": 2}, longer, longer),
    )
    assert data["step"].dims == ("depth", "snapshot")
    assert data["step"].sel(depth=2).values[-11:].tolist() == [*[60], *[-1] * 10]
    assert data["task"].sel(depth=2).values[-10:].tolist() == [0] * 10
    assert data["boundary_step"].values.tolist() == [[20, -1], [20, 40]]
    assert data["layer"].values.tolist() == ["a", "out", "b"]
    assert np.isnan(data["layer_trace"].sel(depth=1, layer="b")).all()
    assert data.sizes["seen"] == 3
    assert data["rank"].values.tolist() == [1, 2, 3]
    assert np.isnan(data["eigenvalues"].sel(depth=1, rank=3)).all()


def test_an_axis_named_like_a_metric_is_renamed(collected: Callable[..., xr.Dataset]) -> None:
    data = collected(({"loss": "mse"}, {}, None), ({"loss": "cross_entropy"}, {}, None))
    assert data.attrs["axes"] == "loss_axis"
    assert data["loss"].dims[0] == "loss_axis"


def test_an_axis_that_one_cell_lacks(collected: Callable[..., xr.Dataset]) -> None:
    data = collected(({"regime": "a", "learning_rate": 0.1}, {}, None), ({"regime": "b"}, {}, None))
    np.testing.assert_array_equal(data["learning_rate"], [0.1, np.nan])


def test_what_is_known_of_a_variant_is_a_coordinate_along_it(tmp_path: Path, table: Table) -> None:
    cells = []
    for variant, facts in (("a", {"role": "widths", "title": "CIFAR-10"}), ("b", {"role": ""})):
        table(tmp_path / f"{variant}.nc")
        known = {"variant": facts, "regime": {"role": "lazy"}}
        axes = {"variant": variant, "regime": "mine"}
        run = tmp_path / f"{variant}.nc"
        cells.append({"axes": axes, "facts": known, "run": run, "twin": None})
    collect_metrics(cells, tmp_path / "all.nc", {})
    data = read_netcdf(tmp_path / "all.nc", "experiment")
    assert data["variant_role"].dims == ("variant",)
    assert data["variant_role"].values.tolist() == ["widths", ""]
    assert data["variant_title"].values.tolist() == ["CIFAR-10", ""]
    assert data["regime_role"].sel(regime="mine") == "lazy"
    assert (named(data, "variant", "widths"), named(data, "variant", "gradual")) == ("a", None)


def test_runs_that_two_cells_share_are_read_once(tmp_path: Path, table: Table) -> None:
    table(tmp_path / "twin.nc", trace=3)
    cells = []
    for width in (1, 2):
        table(tmp_path / f"{width}.nc")
        run, twin = tmp_path / f"{width}.nc", tmp_path / "twin.nc"
        cells.append({"axes": {"width": width}, "run": run, "twin": twin})
    collect_metrics(cells, tmp_path / "all.nc", {})
    data = read_netcdf(tmp_path / "all.nc", "experiment")
    assert (data["trace"].sel(arm="twin") == 3).all()


def test_runs_of_one_point_are_joined_along_their_seeds(
    collected: Callable[..., xr.Dataset],
) -> None:
    first = {"seeds": 2, "first_seed": 7, "layers": ("a", "out"), "ranks": 3}
    second = {"seeds": 3, "layers": ("a", "out"), "ranks": 3}
    data = collected(
        ({"width": 1}, {**first, "trace": 1, "diverged": {1: 9}}, {**first, "trace": 2}),
        ({"width": 2}, {**first, "trace": 3}, None),
        ({"width": 1}, {**second, "trace": 5}, {**second, "trace": 6, "dead": {2: 4}}),
        ({"width": 2}, {**second, "trace": 7}, None),
    )
    assert data["seed"].values.tolist() == [7, 8, 0, 1, 2]
    traces = data["trace"].isel(snapshot=-1)
    assert traces.sel(width=1).values.tolist() == [[1, 1, 5, 5, 5], [2, 2, 6, 6, 6]]
    assert traces.sel(width=2, arm="shift").values.tolist() == [3, 3, 7, 7, 7]
    assert data["layer_trace"].dims == ("width", "arm", "seed", "snapshot", "layer")
    assert data["diverged_step"].sel(width=1, arm="shift").values.tolist() == [-1, 9, -1, -1, -1]
    assert data["dead_step"].sel(width=1, arm="twin").values.tolist() == [-1, -1, -1, -1, 4]
    assert data["step"].dims == ("snapshot",)


@pytest.mark.parametrize(
    ("other", "word"),
    [
        ({}, "other seeds"),
        ({"first_seed": 4}, "other seeds"),
        ({"first_seed": 5, "seeds": 4}, "other seeds"),
        ({"first_seed": 5, "steps": np.arange(0, 31)}, "other steps"),
        ({"first_seed": 5, "boundaries": (22,)}, "other steps"),
        ({"first_seed": 5, "dt": 2}, "other dt"),
    ],
)
def test_runs_of_one_point_that_are_no_other_seeds_of_it_are_refused(
    other: dict[str, Any], word: str, collected: Callable[..., xr.Dataset]
) -> None:
    with pytest.raises(StoreError, match=word):
        collected(
            ({"width": 1}, {}, None),
            ({"width": 1}, {"first_seed": 5}, None),
            ({"width": 2}, {}, None),
            ({"width": 2}, other, None),
        )


@pytest.mark.parametrize(
    ("run", "twin", "word"),
    [
        ({"dt": 2}, None, "dt"),
        ({"seeds": 3}, None, "seed"),
        ({}, {"steps": np.arange(0, 30)}, "steps"),
        ({}, {"boundaries": (10,)}, "steps"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    run: dict[str, Any], twin: Any, word: str, collected: Callable[..., xr.Dataset]
) -> None:
    with pytest.raises(StoreError, match=word):
        collected(({"width": 1}, {}, None), ({"width": 2}, run, twin))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([64, 128], [64, 128]),
        ([0.1, 1], [0.1, 1.0]),
        ([True, False], ["true", "false"]),
        (["relu", None], ["relu", "null"]),
        ([None], ["null"]),
    ],
)
def test_coordinates_of_axes(values: list[Any], expected: list[Any]) -> None:
    found = coordinate(values)
    assert found.tolist() == expected
    assert found.dtype == np.asarray(expected).dtype
