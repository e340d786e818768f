"""From what a person knows of an experiment to the kernels of a run."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ntkscope import open_kernels
from ntkscope.errors import StoreError
from ntkscope.fits.runs_table import write_runs
from ntkscope.watch.experiment_kernels import SelectionError
from tests.unit.metrics.conftest import write_kernels

SEEDS, N = 2, 5
FIRST, SECOND = [0, 1, 2], [3, 6]


@pytest.fixture
def kernels(tmp_path: Path) -> np.ndarray:
    """An experiment of two widths: of the narrow one the kernels (seed, snapshot, N, N)."""
    half = np.random.default_rng(0).standard_normal((SEEDS, 5, N, 8))
    whole = np.einsum("stik,stjk->stij", half, half).astype("f4")
    runs = tmp_path / "results/runs"
    layers = np.stack([0.25 * whole, 0.75 * whole], axis=2)
    for run, part, steps in (("first", slice(3), FIRST), ("second", slice(3, 5), SECOND)):
        task = 1 if run == "first" else 2
        store = runs / f"{run}-1/kernels-k.zarr"
        write_kernels(store, whole[:, part], steps, task, layers[:, part])
    cells = [
        {
            "axes": {"regime": "lazy", "width": width, "variant": variant},
            "run": runs / f"second-{width}/metrics-k.nc",
            "twin": runs / f"third-{width}/metrics-k.nc" if variant is None else None,
            "lineage": {
                arm: [f"first-{width}", f"{last}-{width}"]
                for arm, last in (("run", "second"), ("twin", "third"))
            },
            "seeds": [0, 1],
        }
        for width, variant in ((1, None), (64, None), (64, "b"))
    ]
    write_runs(cells, tmp_path / "results/experiments/mine/runs.csv")
    return whole


@pytest.fixture
def divided(tmp_path: Path) -> np.ndarray:
    """An experiment of one point, whose four seeds are in two runs."""
    half = np.random.default_rng(1).standard_normal((4, 5, N, 8))
    whole = np.einsum("stik,stjk->stij", half, half).astype("f4")
    cells = []
    for run, mine in enumerate((slice(3), slice(3, 4))):
        seeds = [8, 2, 5, 4][mine]
        for task, at, steps in ((1, slice(3), FIRST), (2, slice(3, 5), SECOND)):
            store = tmp_path / f"results/runs/r{run}-{task}/kernels-k.zarr"
            write_kernels(store, whole[mine, at], steps, task, seeds=seeds)
        lineage = {"run": [f"r{run}-1", f"r{run}-2"]}
        metrics = tmp_path / f"results/runs/r{run}-2/metrics-k.nc"
        row = {"run": metrics, "twin": None, "lineage": lineage, "seeds": seeds}
        cells.append({"axes": {"width": 1}, **row})
    write_runs(cells, tmp_path / "results/experiments/mine/runs.csv")
    return whole


def test_kernels_of_all_runs_of_a_point_are_joined(divided: np.ndarray, tmp_path: Path) -> None:
    data = opened(tmp_path, width=1)
    assert data["seed"].values.tolist() == [8, 2, 5, 4]
    assert data["step"].values.tolist() == FIRST + SECOND
    assert data.attrs["run"] == ["r0-2", "r1-2"]
    np.testing.assert_array_equal(data["ntk"].values, divided)
    for seed, snapshot in ((3, 1), (slice(1, 4), [4, 0]), ([3, 0, 2], slice(None, None, -2))):
        part = data["ntk"].isel(seed=seed, snapshot=snapshot, sample=2)
        expected = data["ntk"].copy(data=divided)
        wanted = expected.isel(seed=seed, snapshot=snapshot, sample=2)
        np.testing.assert_array_equal(part.values, wanted.values)
    one = opened(tmp_path, width=1, seed=[4, 2])
    np.testing.assert_array_equal(one["ntk"].values, divided[[3, 1]])


def test_runs_of_a_point_with_other_kernels_are_refused(
    divided: np.ndarray, tmp_path: Path
) -> None:
    runs = tmp_path / "results/runs"
    for change, word in (
        ({"seeds": [4], "probe_digest": "other"}, "differ in: probe_digest"),
        ({"seeds": [4], "labels": [1] * N}, "differ in: label"),
        ({"seeds": [5]}, "of the same seed"),
    ):
        for task, at, steps in ((1, slice(3), FIRST), (2, slice(3, 5), SECOND)):
            store = runs / f"r1-{task}/kernels-k.zarr"
            shutil.rmtree(store)
            write_kernels(store, divided[3:, at], steps, task, **change)
        with pytest.raises(StoreError, match=word):
            opened(tmp_path, width=1)


def opened(folder: Path, **at: Any) -> Any:
    return open_kernels("mine", folder / "results", **at)


def test_the_kernels_of_all_tasks_are_joined(kernels: np.ndarray, tmp_path: Path) -> None:
    data = opened(tmp_path, regime="lazy", width=1, arm="shift")
    assert data["step"].values.tolist() == FIRST + SECOND
    assert data["task"].values.tolist() == [1, 1, 1, 2, 2]
    assert data.attrs["boundaries"].tolist() == [2]
    assert (data.attrs["run"], data.attrs["arm"], data.attrs["width"]) == ("second-1", "shift", "1")
    np.testing.assert_array_equal(data["ntk"].values, kernels)
    np.testing.assert_array_equal(data["layer_ntk"].sum("layer").values, kernels)
    assert opened(tmp_path, width=1, arm="shift", task=2).sizes["snapshot"] == 2
    one = opened(tmp_path, width=1.0, arm="shift", seed=1)
    np.testing.assert_array_equal(one["ntk"].values, kernels[1:])


@pytest.mark.parametrize(
    "index",
    [
        {"snapshot": 4},
        {"snapshot": -1, "seed": 0},
        {"snapshot": slice(1, 4), "sample": 2},
        {"snapshot": [4, 0, 2, 2], "seed": [1]},
        {"snapshot": slice(None, None, -2), "sample2": slice(1, 3)},
        {"snapshot": []},
    ],
)
def test_any_part_is_read_as_from_an_array(
    index: dict[str, Any], kernels: np.ndarray, tmp_path: Path
) -> None:
    data = opened(tmp_path, width=1, arm="shift")["ntk"]
    np.testing.assert_array_equal(
        data.isel(index).values, data.copy(data=kernels).isel(index).values
    )


def test_no_chunk_is_read_before_it_is_asked_for(kernels: np.ndarray, tmp_path: Path) -> None:
    data = opened(tmp_path, width=1, arm="shift")
    chunk = next((tmp_path / "results/runs/second-1/kernels-k.zarr/ntk/c").rglob("0"))
    while chunk.is_dir():
        chunk = next(chunk.iterdir())
    chunk.write_bytes(b"damaged")
    np.testing.assert_array_equal(data["ntk"].isel(snapshot=0).values, kernels[:, 0])
    with pytest.raises(Exception, match=r"."):
        data["ntk"].isel(snapshot=-1).load()


@pytest.mark.parametrize(
    ("at", "word"),
    [
        ({}, r"choose width = 1, 64; variant = \(none\), b; arm = shift, twin"),
        ({"width": 64, "arm": "shift"}, r"choose variant = \(none\), b"),
        ({"width": 3}, "width is one of 1, 64"),
        ({"width": 64, "variant": "c"}, "no run with variant = 'c' and width = 64"),
        ({"depth": 3}, "choose by regime, width, variant, arm"),
        ({"width": 1, "arm": "shift", "seed": 7}, "seed is one of 0, 1"),
        ({"width": 1, "arm": "shift", "task": 3}, "task is one of 1, 2"),
    ],
)
def test_a_selection_that_fits_none_or_several_lists_the_choices(
    at: dict[str, Any], word: str, kernels: np.ndarray, tmp_path: Path
) -> None:
    with pytest.raises(SelectionError, match=word):
        opened(tmp_path, **at)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "has no runs"),
        ("width,arm,task,run,kernels", "has no runs"),
        ("width,task,kernels\n4,1,mine.zarr", "no column arm, run"),
        ("width,arm,task,run,kernels\n4,shift,1,mine", "line 2 has more or fewer cells"),
        ("width,arm,task,run,kernels\n4,shift,1,mine,a,b", "line 2 has more or fewer cells"),
        ("arm,task,run,kernels\nshift,1,m,a\nshift,x,m,a", "task of line 3 is 'x'"),
        (
            "arm,task,run,kernels\nshift,1,m,a\nshift,2,m,b\nshift,2,n,c\nshift,02,o,d",
            "lines 3, 4, 5 are all of task 2 of one run",
        ),
    ],
)
def test_a_table_written_by_hand_says_what_it_lacks(text: str, word: str, tmp_path: Path) -> None:
    file = tmp_path / "runs.csv"
    file.write_text(text)
    with pytest.raises(StoreError, match=word) as error:
        open_kernels(file)
    assert str(file) in str(error.value)


def test_no_advice_costs_good_stores(kernels: np.ndarray, tmp_path: Path) -> None:
    """Neither of stores in a wrong order, nor of a table that was edited."""
    stores = [f"results/runs/{name}-1/kernels-k.zarr" for name in ("first", "second")]
    lines = [f"shift,{task},m,{path}" for task, path in enumerate(reversed(stores), 1)]
    (tmp_path / "runs.csv").write_text("\n".join(["arm,task,run,kernels", *lines]))
    table = tmp_path / "results/experiments/mine/runs.csv"
    table.write_text(table.read_text().replace("third", "second"))
    for path, words in ((tmp_path, "do not follow on one another"), (table, "was changed")):
        with pytest.raises(StoreError, match=words) as error:
            open_kernels(path)
        remedy = str(error.value.remedy)
        assert "mend the line" in remedy or remedy.startswith("copy it to a folder of yours")
        assert "rm " not in remedy


def test_what_is_not_there_is_named(kernels: np.ndarray, tmp_path: Path) -> None:
    (tmp_path / "results/fashion/experiments/other").mkdir(parents=True)
    (tmp_path / "results/fashion/experiments/other/runs.csv").touch()
    with pytest.raises(StoreError, match="there are: fashion/other, mine"):
        open_kernels("yours", tmp_path / "results")
    with pytest.raises(StoreError, match="no store here") as error:
        opened(tmp_path, width=64, variant=None, arm="twin")
    assert ".." not in str(error.value)  # Snakemake knows it by its plain path
    file = tmp_path / "results/experiments/mine/runs.csv"
    assert open_kernels(file, width=1, arm="shift").sizes["snapshot"] == 5
    assert file.read_text().splitlines()[1].split(",")[:6] == ["lazy", "1", "", "shift", "1", "0 1"]


def test_a_table_behind_a_link_leads_to_where_its_kernels_are(
    kernels: np.ndarray, tmp_path: Path
) -> None:
    (tmp_path / "deep/er").mkdir(parents=True)
    (tmp_path / "deep/er/link").symlink_to(tmp_path / "results/experiments/mine")
    found = open_kernels(tmp_path / "deep/er/link", width=1, arm="shift")
    np.testing.assert_array_equal(found.ntk, kernels)
