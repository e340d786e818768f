"""Chunks of snapshots: their sides, their bits, and how often each is written."""

import numpy as np
import pytest
import torch
import xarray as xr

from ntkscope.stores import Array, ZarrStore, read_store
from ntkscope.training.recorder import Recorder, allocate_snapshots
from ntkscope.training.schedule import snapshot_steps
from ntkscope.training.snapshot_chunks import snapshot_chunks

ODD = [0, 1, 0x80000000, 0x7FC00001, 0xFFC12345, 0x7F800000, 0xFF800000, 0x007FFFFF]
"""Bits of zeros, subnormal numbers, infinities, and NaNs with a message."""


def mlp(width, seeds=5):
    return {
        name: torch.empty(seeds, *shape, device="meta")
        for name, shape in {"w1": (width, 64), "w2": (width, width), "b": (width,)}.items()
    }


@pytest.mark.parametrize(
    ("width", "seeds", "snapshots"), [(64, 5, 16), (256, 1, 16), (1024, 1, 6), (2048, 1, 1)]
)
def test_chunks_and_what_waits_for_them_are_bounded(width, seeds, snapshots):
    parameters = mlp(width)
    chunks = snapshot_chunks(parameters, 29)
    assert (chunks.seeds, chunks.snapshots) == (seeds, snapshots)
    for tensor in parameters.values():
        sides = chunks.of(tensor)
        assert len(sides) == tensor.ndim + 1
        assert np.prod(sides) * 4 <= 2**23
        assert np.prod(sides[2:]) <= 2**17
    waiting = sum(t.nbytes for t in parameters.values()) * snapshots
    assert snapshots == 1 or waiting <= 2**27


def test_chunks_of_numbers_and_of_rows_that_are_long():
    parameters = {"scale": torch.empty(3), "wide": torch.empty(3, 2, 2**20, device="meta")}
    chunks = snapshot_chunks(parameters, 20)
    assert chunks.of(parameters["scale"]) == (1, 5)
    assert chunks.of(parameters["wide"]) == (1, 5, 1, 2**20)


@pytest.fixture
def recorded(run, tmp_path):
    """Recorder and store of a run's first task, and the snapshots to come: name → [S, 8, 2]."""
    first, generator = run.lineage[0], np.random.default_rng(0)
    drawn = generator.standard_normal((len(snapshot_steps(first)), len(run.seeds), 8, 2))
    values = drawn.astype("f4")
    values[:, :, :, 1] = np.array(ODD, "u4").view("f4")
    snapshots = [{"w": torch.from_numpy(each), "scale": torch.ones(3)} for each in values]
    store = allocate_snapshots(first, snapshots[0], {}, tmp_path / "snapshots.zarr", {})
    return Recorder(first, store, snapshots[0]), snapshots


def written(monkeypatch, store):
    """The files that are written from now on, in order."""
    files, note = [], type(store.files)._note
    monkeypatch.setattr(
        type(store.files),
        "_note",
        lambda self, key, value: (files.append(key), note(self, key, value)),
    )
    return files


@pytest.mark.parametrize("flushes", [(), (4,)], ids=["in one go", "with a checkpoint"])
def test_every_bit_is_kept_and_chunks_are_written_once(recorded, monkeypatch, flushes):
    recorder, snapshots = recorded
    files = written(monkeypatch, recorder.store)
    log = {"loss": np.zeros((3, 1)), "accuracy": np.zeros((3, 1))}
    log |= {"batch_loss": np.zeros(3), "gradient_norm": np.zeros(3)}
    for number, step in enumerate(recorder.number):
        recorder.add(step, snapshots[number], {}, log)
        if number in flushes:
            recorder.flush()
    recorder.flush()
    recorder.store.write("diverged_step", ..., np.zeros(3, "i8"))
    recorder.store.seal()
    assert files.count("parameters/w/c/0/0/0/0") == 1 + len(flushes)
    path = recorder.store.path
    for opened in (
        xr.open_zarr(path, group="parameters", consolidated=False),
        read_store(path, "snapshots", group="parameters"),
    ):
        found = opened["w"].values
        for number, named in enumerate(snapshots):
            assert found[:, number].tobytes() == named["w"].numpy().tobytes()


def test_what_changes_little_takes_less_room(tmp_path):
    values = np.random.default_rng(0).standard_normal((2, 1, 200, 50)).astype("f4")
    values = values * (1 + 1e-4 * np.arange(8, dtype="f4")[:, None, None])
    sizes = []
    for compress in (None, "shuffled"):
        path = tmp_path / f"{compress}.zarr"
        array = Array(("seed", "snapshot", "y", "x"), values.shape, "f4", compress=compress)
        store = ZarrStore.allocate(path, "k", {"w": array}, coords={}, mask=("seed",), attrs={})
        store.write("w", ..., values)
        assert store.read("w").tobytes() == values.tobytes()
        sizes.append((path / "w/c/0/0/0/0").stat().st_size)
    assert sizes[1] < 0.75 * sizes[0]
