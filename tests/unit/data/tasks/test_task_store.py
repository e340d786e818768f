"""A task's store: what is written is what is drawn, however often the job was killed."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from ntkscope.config.curve_specs import SampleCounts, ScalarTaskSpec
from ntkscope.config.tasks import TASKS
from ntkscope.data import load_task, open_samples, prepare_task
from ntkscope.data.tasks import write as task_writer
from ntkscope.errors import DataError, StoreError
from ntkscope.stores import ZarrStore, read_store

from .conftest import Make

SPEC = ScalarTaskSpec(name="digits_parity", seeds=(4, 0))
COUNTS = SampleCounts(train=4100, fresh=600, validation=100, test=2001)


@pytest.fixture(scope="module")
def parity(tmp_path_factory: pytest.TempPathFactory, digits_path: Path) -> Path:
    folder = tmp_path_factory.mktemp("parity")
    prepare(folder, digits_path)
    return folder / "out.zarr"


def prepare(folder: Path, images: Path | None, counts: SampleCounts = COUNTS) -> None:
    prepare_task(SPEC, counts, images, folder / "out.zarr", state=folder / "state", stage="s")


def contents(path: Path) -> dict[str, bytes]:
    data = read_store(path, "scalar_task")
    return {str(name): data[name].values.tobytes() for name in data.data_vars}


def test_what_is_read_is_what_is_drawn(parity: Path, digits_path: Path) -> None:
    task = load_task(parity)
    assert (task.seeds, task.shape, task.error) == ((4, 0), (8, 8, 1), "zero_one")
    assert task.counts == COUNTS.model_dump()
    source = TASKS["digits_parity"].open(SPEC, open_samples(digits_path))
    samples, targets = source.draw("test", 0, 0, 2001)
    np.testing.assert_array_equal(task.store.read("test_sample", 1), samples)
    torch.testing.assert_close(task.targets("test", 1), torch.from_numpy(targets))
    assert task.targets("test", 1, 7, torch.float64).dtype == torch.float64


def test_the_store_says_what_it_holds(parity: Path) -> None:
    data = read_store(parity, "scalar_task")
    assert data["fresh_sample"].dims == ("seed", "fresh_n", "y", "x", "channel")
    assert data["fresh_target"].dtype == np.float32
    assert data["seed"].values.tolist() == [4, 0]
    assert (data.attrs["error"], data.attrs["white"], data.attrs["mean"]) == (
        "zero_one",
        255,
        [0.2],
    )
    assert data.attrs["provenance"]["task"] == SPEC.model_dump(mode="json")
    assert len(data.attrs["sha256"]) == 64


def test_fewer_are_the_beginning_of_more(parity: Path, make: Make) -> None:
    few, many = make("digits_parity", train=30, test=600, seeds=(0,)), load_task(parity)
    for split, n in (("train", 30), ("test", 600)):
        torch.testing.assert_close(few.inputs(split, 0), many.inputs(split, 1, n))
        torch.testing.assert_close(few.targets(split, 0), many.targets(split, 1, n))
    assert few.count("fresh") == 0
    with pytest.raises(StoreError, match="no fresh samples"):
        few.inputs("fresh", 0)
    with pytest.raises(StoreError, match="has 30 train samples for each seed, not 31"):
        few.inputs("train", 0, 31)


@pytest.mark.parametrize("after", [0, 1, 7])
def test_a_killed_job_goes_on_and_makes_the_same(
    after: int, parity: Path, digits_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, written = ZarrStore.write, [0]

    def failing(self: ZarrStore, name: str, index: object, values: object) -> None:
        if written[0] == after:
            raise KeyboardInterrupt
        written[0] += 1
        write(self, name, index, values)

    monkeypatch.setattr(task_writer, "_BYTES", 1)  # one chunk after the other
    monkeypatch.setattr(ZarrStore, "write", failing)
    with pytest.raises(KeyboardInterrupt):
        prepare(tmp_path, digits_path)
    monkeypatch.setattr(ZarrStore, "write", write)
    assert not (tmp_path / "out.zarr").exists()
    prepare(tmp_path, digits_path)
    assert contents(tmp_path / "out.zarr") == contents(parity)
    assert not (tmp_path / "state").exists()


def test_a_damaged_store_is_refused(digits_path: Path, tmp_path: Path) -> None:
    few = SampleCounts(train=50, fresh=0, validation=0, test=0)
    prepare(tmp_path, digits_path, few)
    folder = tmp_path / "out.zarr/train_sample/c/1"
    (chunk,) = (file for file in folder.rglob("*") if file.is_file())
    content = bytearray(chunk.read_bytes())
    content[len(content) // 2] ^= 1
    chunk.write_bytes(content)
    task = load_task(tmp_path / "out.zarr")
    task.inputs("train", 0)
    with pytest.raises(StoreError, match="train_sample"):
        task.inputs("train", 1)


@pytest.mark.parametrize("file", ["train_sample/c/1/0/0/0/0", "test_target/c/0/0"])
def test_a_lost_chunk_is_refused(parity: Path, tmp_path: Path, file: str) -> None:
    shutil.copytree(parity, tmp_path / "task.zarr")
    (tmp_path / "task.zarr" / file).unlink()
    with pytest.raises(StoreError, match="lacks 1 of its"):
        load_task(tmp_path / "task.zarr")


@pytest.mark.parametrize("change", [{"mean": [0.2, 0.2]}, {"std": [0.0]}, {"white": "much"}])
def test_a_store_with_wrong_attributes_is_refused(
    change: dict[str, object], digits_path: Path, tmp_path: Path
) -> None:
    prepare(tmp_path, digits_path, SampleCounts(train=5, fresh=0, validation=0, test=0))
    (tmp_path / "out.zarr/complete/manifest").unlink()  # as in a store of an older version
    file = tmp_path / "out.zarr/zarr.json"
    content = json.loads(file.read_text())
    content["attributes"].update(change)
    file.write_text(json.dumps(content))
    with pytest.raises(StoreError, match="prepare_task"):
        load_task(tmp_path / "out.zarr")


def test_another_kind_of_store_and_no_images_are_refused(digits_path: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="a store of 'images', not of 'scalar_task'"):
        load_task(digits_path)
    with pytest.raises(DataError, match="made of a data set"):
        prepare(tmp_path, None)


def test_names_are_looked_up_without_torch_or_zarr() -> None:
    code = (
        "import sys; from ntkscope.config.tasks import TASKS; print(sorted(TASKS)); "
        "print([m for m in ('torch', 'zarr', 'sklearn') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    names, heavy = done.stdout.splitlines()
    assert "'digit_pairs'" in names
    assert heavy == "[]"
