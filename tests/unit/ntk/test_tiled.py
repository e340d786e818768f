"""Kernels tile by tile: exact, whole, and the same bytes whoever writes them and when."""

import hashlib
import math
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import ntkscope
from ntkscope.errors import ModelError, StoreError
from ntkscope.identity import sources_digest
from ntkscope.kernels import compute_kernels, snapshot_blocks, stage
from ntkscope.ntk import KINDS, empirical_ntk, write_ntk
from ntkscope.ntk.tiled import grid as grids
from ntkscope.ntk.tiled.grid import largest_side, lay_out
from ntkscope.runtime.device import float32_products
from ntkscope.stores import Array, ZarrStore, read_store
from tests.damage import copy, damage
from tests.oracles.ntk import ntk
from tests.unit.kernels.test_stage import KERNEL, trained

torch.set_num_threads(1)


def network(dtype=torch.float64):
    torch.manual_seed(0)
    layers = (nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 5), nn.Tanh())
    return nn.Sequential(*layers, nn.Linear(5, 3)).to(dtype)


def inputs(count, seed=1, dtype=torch.float64):
    return torch.randn(count, 1, 4, 4, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def content(store):
    """Digest of every chunk."""
    others = ("zarr.json", "manifest")
    files = [f for f in Path(store).rglob("*") if f.is_file() and f.name not in others]
    return {str(f.relative_to(store)): hashlib.sha256(f.read_bytes()).digest() for f in files}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("other", [None, 5])
@pytest.mark.parametrize("by_layer", [False, True])
def test_the_whole_kernel_is_in_the_store(tmp_path, kind, other, by_layer):
    x1, x2 = inputs(11), None if other is None else inputs(other, 2)
    path = tmp_path / "a.zarr"
    assert write_ntk(path, network(), x1, x2, kind=kind, by_layer=by_layer, tile=4)
    found = read_store(path, "kernels")
    expected = ntk(network(), x1, x1 if x2 is None else x2, kind)
    np.testing.assert_allclose(found["ntk"].values, expected.numpy(), rtol=1e-10, atol=1e-12)
    if by_layer:
        layers = empirical_ntk(network(), x1, x2, kind=kind, by_layer=True)
        assert found["layer"].values.tolist() == list(layers)
        expected = torch.stack(list(layers.values())).numpy()
        np.testing.assert_allclose(found["layer_ntk"].values, expected, rtol=1e-10, atol=1e-12)
    if x2 is None:
        matrix = found["ntk"].values.reshape(11 * (3 if kind == "full" else 1), -1)
        np.testing.assert_array_equal(matrix, matrix.T)
    with xr.open_zarr(path, consolidated=False) as plain:  # by anyone
        assert plain["ntk"].dims == found["ntk"].dims


@pytest.mark.parametrize("parts", [2, 3, 20])
def test_any_parts_in_any_order_write_the_same_bytes(tmp_path, parts):
    options = {"kind": "full", "by_layer": True, "tile": 4}
    write_ntk(tmp_path / "whole.zarr", network(), inputs(11), **options)
    path, complete = tmp_path / "parts.zarr", []
    for part in reversed(range(parts)):
        complete.append(write_ntk(path, network(), inputs(11), part=(part, parts), **options))
    assert complete == [False] * (parts - 1) + [True]
    assert content(path) == content(tmp_path / "whole.zarr")


def test_a_store_that_lacks_parts_is_refused(tmp_path):
    write_ntk(tmp_path / "a.zarr", network(), inputs(11), tile=4, part=(0, 2))
    with pytest.raises(StoreError, match="incomplete"):
        read_store(tmp_path / "a.zarr", "kernels")


def test_stopped_after_any_write_it_ends_with_the_same_bytes(tmp_path, monkeypatch):
    """6 tiles, 9 with the mirror images: whatever was written before the stop."""
    write_ntk(tmp_path / "whole.zarr", network(), inputs(11), tile=4)
    for stop in range(9):
        path, left = tmp_path / f"{stop}.zarr", [stop]

        def write(store, *arguments, left=left, put=ZarrStore.write):
            if not left[0]:
                raise KeyboardInterrupt
            left[0] -= 1
            put(store, *arguments)

        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(ZarrStore, "write", write)
            write_ntk(path, network(), inputs(11), tile=4)
        assert not ZarrStore.resume(path, "kernels").mask.all()
        (path / "ntk/c/0").mkdir(parents=True, exist_ok=True)
        (path / "ntk/c/0/0.0123.partial").touch()  # as zarr's, killed
        assert write_ntk(path, network(), inputs(11), tile=4)
        assert content(path) == content(tmp_path / "whole.zarr")


def test_what_is_complete_is_not_computed_again(tmp_path, monkeypatch):
    write_ntk(tmp_path / "a.zarr", network(), inputs(11), tile=4, part=(0, 2))
    tiles, calls = sys.modules["ntkscope.ntk.tiled.tiled_kernel"], []
    compute = tiles.compute_kernels

    def counted(*arguments, **options):
        calls.append(1)
        return compute(*arguments, **options)

    monkeypatch.setattr(tiles, "compute_kernels", counted)
    assert write_ntk(tmp_path / "a.zarr", network(), inputs(11), tile=4)
    assert len(calls) == 3
    assert write_ntk(tmp_path / "a.zarr", network(), inputs(11), tile=4)
    assert len(calls) == 3


@pytest.mark.parametrize("part", [(0, 2), (0, 1)], ids=["begun", "finished"])
def test_damaged_tiles_are_computed_again(tmp_path, part):
    """Called again, whatever happened to a chunk or to the mask of a store, begun or finished."""
    write_ntk(tmp_path / "whole.zarr", network(), inputs(11), tile=4)
    write_ntk(tmp_path / "begun.zarr", network(), inputs(11), tile=4, part=part)
    chunks = sorted(
        f.relative_to(tmp_path / "begun.zarr") for f in tmp_path.glob("begun.zarr/*/c/*/*")
    )
    kinds = ("flip", "cut", "empty", "delete", "foreign")
    for number, chunk in enumerate(chunks[::3]):
        path = copy(tmp_path / "begun.zarr", tmp_path / "a.zarr")
        damage(path / chunk, kinds[number % 5], random.Random(number), [path / f for f in chunks])
        assert write_ntk(path, network(), inputs(11), tile=4)
        assert content(path) == content(tmp_path / "whole.zarr"), chunk


def test_damaged_metadata_of_a_begun_store_are_refused(tmp_path):
    write_ntk(tmp_path / "a.zarr", network(), inputs(11), tile=4, part=(0, 2))
    file = tmp_path / "a.zarr/ntk/zarr.json"
    file.write_text(file.read_text().replace('"fill_value": "NaN"', '"fill_value": 0.0'))
    with pytest.raises(StoreError, match=r"ntk/zarr\.json is damaged"):
        write_ntk(tmp_path / "a.zarr", network(), inputs(11), tile=4)


def test_of_two_stores_allocated_at_once_the_first_stays(tmp_path):
    for number in range(2):
        store = ZarrStore.allocate(
            tmp_path / "a.zarr",
            "kernels",
            {"a": Array(("x",), (2,), "f4")},
            coords={},
            mask=("x",),
            attrs={"number": number},
            shared=True,
        )
        assert store.group.attrs["number"] == 0
    assert [file.name for file in tmp_path.iterdir()] == ["a.zarr"]


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"x1": inputs(11, 7)}, "x1"),
        ({"x2": inputs(11)}, "x2"),
        ({"kind": "pseudo"}, "kind"),
        ({"by_layer": True}, "by_layer"),
        ({"tile": 8}, "tile"),
        ({"memory": "2GB"}, "memory"),
        ({"tf32": True}, "tf32"),
        ({"model": network().requires_grad_(False)}, "model"),
    ],
)
def test_a_store_of_another_kernel_is_refused(tmp_path, changed, says):
    write_ntk(tmp_path / "a.zarr", network(), inputs(11), tile=4)
    before = content(tmp_path / "a.zarr")
    arguments = {"model": network(), "x1": inputs(11), "tile": 4, **changed}
    arguments["model"][-1].requires_grad_()
    with pytest.raises(StoreError, match=rf"another.* {says}\b"):
        write_ntk(tmp_path / "a.zarr", **arguments)
    assert content(tmp_path / "a.zarr") == before


def test_a_model_with_one_other_weight_is_refused(tmp_path):
    write_ntk(tmp_path / "a.zarr", network(), inputs(11), tile=4)
    model = network()
    model[-1].bias.data[0] += 1e-9
    with pytest.raises(StoreError, match="another model\n"):
        write_ntk(tmp_path / "a.zarr", model, inputs(11), tile=4)


@pytest.mark.parametrize(
    "wrong", [{"kind": "sum"}, {"part": (3, 3)}, {"part": (-1, 3)}, {"tile": 0}]
)
def test_senseless_arguments_are_refused(tmp_path, wrong):
    with pytest.raises(ValueError, match=r"give|allowed"):
        write_ntk(tmp_path / "a.zarr", network(), inputs(4), **wrong)
    assert not (tmp_path / "a.zarr").exists()


def test_the_model_is_left_as_it_was_found(tmp_path):
    model = network().train()
    model[-1].weight.grad = torch.ones_like(model[-1].weight)
    write_ntk(tmp_path / "a.zarr", model, inputs(6))
    assert model.training
    assert (model[-1].weight.grad == 1).all()
    with pytest.raises(ModelError, match="do not fit"):
        write_ntk(tmp_path / "b.zarr", model, inputs(6), memory=100)
    assert model.training


@given(
    rows=st.integers(1, 5000),
    columns=st.integers(0, 5000),
    largest=st.integers(300, 9000),
    pair_bytes=st.integers(1, 40),
)
def test_tiles_cover_every_pair_once_and_in_whole_chunks(rows, columns, largest, pair_bytes):
    symmetric = columns == 0
    grid = lay_out(rows, columns or rows, symmetric, pair_bytes, largest)
    tiles = list(grid.tiles())
    areas = [math.prod(s.stop - s.start for s in grid.samples(t)) for t in tiles]
    twice = [1 + grid.is_mirrored(tile) for tile in tiles]
    assert np.dot(areas, twice) == rows * (columns or rows)
    assert min(areas) > 0
    assert len(set(tiles)) == len(tiles)
    assert grid.side % grid.chunk == 0
    assert grid.side < largest + grid.chunk
    assert grid.chunk**2 * pair_bytes <= max(2**22, pair_bytes)


@given(st.integers(1, 10**6), st.integers(1, 10**4), st.integers(1, 10**5), st.integers(1, 10**12))
def test_the_largest_tile_fits(samples, pair_bytes, held, budget):
    side = largest_side(samples, pair_bytes, held, budget)
    assert side == 1 or side**2 * pair_bytes <= budget
    assert side <= max(4096, samples / 4 + 1)


def test_products_are_exact_unless_asked_and_settings_are_restored():
    def settings():
        cudnn = torch.backends.cudnn
        return torch.get_float32_matmul_precision(), cudnn.allow_tf32, cudnn.deterministic

    before = settings()
    for tf32, expected in ((False, ("highest", False, True)), (True, ("high", True, True))):
        with pytest.raises(KeyError), float32_products(tf32):
            assert settings() == expected
            raise KeyError
        assert settings() == before


@pytest.mark.gpu
@pytest.mark.parametrize("kind", KINDS)
def test_a_gpu_writes_the_same_kernel(tmp_path, kind):
    x = inputs(50, dtype=torch.float32)
    write_ntk(tmp_path / "a.zarr", network(torch.float32), x, kind=kind, tile=16)
    write_ntk(tmp_path / "b.zarr", network(torch.float32).cuda(), x, kind=kind, tile=16)
    a, b = (read_store(tmp_path / f"{name}.zarr", "kernels")["ntk"].values for name in "ab")
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5 * np.abs(a).max())


def taken(run, kernel, paths, folder, **options):
    output = folder / "kernels.zarr"
    compute_kernels(run, kernel, *paths, output, state=folder / "state", stage="", **options)
    assert not list((folder).glob("state*"))
    return output


def part_of(run, paths, folder, part, stage=""):
    output, state = folder / f"{part}.zarr", folder / f"{part}.state"
    compute_kernels(run, KERNEL, *paths, output, state=state, stage=stage, part=part)
    return output


@pytest.fixture
def paths(run, images_path, tmp_path):
    """Images, and snapshots of the first task."""
    return images_path, trained(run.parent, images_path, tmp_path)


@pytest.fixture
def in_tiles(monkeypatch):
    """All kernels are large, and have tiles of 2 samples."""
    monkeypatch.setattr(stage, "_WHOLE_BYTES", 0)
    monkeypatch.setattr(grids, "_SMALLEST", 2)


@pytest.mark.parametrize("kind", KINDS)
def test_a_large_kernel_of_the_stage_is_the_same_to_rounding(
    run, paths, tmp_path, kind, monkeypatch, request
):
    kernel = KERNEL.model_copy(update={"kind": kind, "by_layer": kind == "trace"})
    small = read_store(taken(run.parent, kernel, paths, tmp_path / "small"), "kernels")
    request.getfixturevalue("in_tiles")
    monkeypatch.setattr(grids, "_CHUNK_BYTES", 300)
    large = read_store(taken(run.parent, kernel, paths, tmp_path / "large"), "kernels")
    assert large.attrs["tile"] == 2
    xr.testing.assert_allclose(large, small, rtol=1e-9, atol=1e-12)
    assert set(large.variables) == set(small.variables)


@pytest.mark.parametrize("large", [False, True])
def test_parts_of_the_stage_write_the_same_bytes(run, paths, tmp_path, large, monkeypatch, request):
    monkeypatch.setattr(snapshot_blocks, "block_size", lambda *_: 2)
    if large:
        request.getfixturevalue("in_tiles")
    whole = content(taken(run.parent, KERNEL, paths, tmp_path / "whole"))
    parts, calls = [part_of(run.parent, paths, tmp_path, (i, 3)) for i in (2, 0, 1)], []
    for module, name in (
        (snapshot_blocks, "empirical_ntk"),
        (sys.modules[write_ntk.__module__], "write_tiles"),
    ):
        monkeypatch.setattr(module, name, lambda *a, **k: calls.append(a))
    assert content(taken(run.parent, KERNEL, paths, tmp_path / "parts", parts=parts)) == whole
    assert calls == []


def test_what_a_part_left_undone_is_taken_in_the_end(run, paths, tmp_path, in_tiles):
    whole = content(taken(run.parent, KERNEL, paths, tmp_path / "whole"))
    parts = [part_of(run.parent, paths, tmp_path, (0, 2))]
    assert content(taken(run.parent, KERNEL, paths, tmp_path / "parts", parts=parts)) == whole


def test_a_damaged_chunk_of_a_part_is_computed_again(run, paths, tmp_path, monkeypatch):
    monkeypatch.setattr(snapshot_blocks, "block_size", lambda *_: 2)
    whole = content(taken(run.parent, KERNEL, paths, tmp_path / "whole"))
    for number, kind in enumerate(("flip", "foreign", "delete")):
        parts = [part_of(run.parent, paths, tmp_path / kind, (i, 2)) for i in (0, 1)]
        chunks = sorted(file for file in parts[0].glob("ntk/c/**/*") if file.is_file())
        damage(chunks[number], kind, random.Random(number), chunks)
        assert content(taken(run.parent, KERNEL, paths, tmp_path / kind, parts=parts)) == whole


def test_parts_of_other_code_are_not_used(run, paths, tmp_path):
    part = part_of(run.parent, paths, tmp_path, (0, 1), stage="old")
    store = ZarrStore.resume(part, "kernels")
    store.write("ntk", ..., store.read("ntk") + 1)
    found = read_store(taken(run.parent, KERNEL, paths, tmp_path, parts=[part]), "kernels")["ntk"]
    whole = read_store(taken(run.parent, KERNEL, paths, tmp_path / "whole"), "kernels")["ntk"]
    np.testing.assert_array_equal(found.values, whole.values)


WRITER = """
import sys, torch
from ntkscope.ntk import write_ntk
torch.set_num_threads(1)
torch.manual_seed(0)
path, part, parts, samples = sys.argv[1], *map(int, sys.argv[2:])
net = torch.nn.Sequential(torch.nn.Linear(20, 200), torch.nn.ReLU(), torch.nn.Linear(200, 10))
write_ntk(path, net, torch.randn(samples, 20), tile=100, part=(part, parts))
"""


def writer(path, part=0, parts=1, samples=2400):
    arguments = [str(path), *map(str, (part, parts, samples))]
    return subprocess.Popen([sys.executable, "-c", WRITER, *arguments])


@pytest.mark.slow
def test_killed_at_three_moments_it_ends_with_the_same_bytes(tmp_path):
    assert writer(tmp_path / "whole.zarr").wait() == 0
    path, marks = tmp_path / "cut.zarr", np.random.default_rng().uniform(0, 0.6, 3)
    for mark in sorted(marks):
        process = writer(path)
        while len(list(path.glob("complete/c/*/*"))) <= mark * 24**2:
            assert process.poll() is None
            time.sleep(0.001)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert not ZarrStore.resume(path, "kernels").mask.all()
    assert writer(path).wait() == 0
    assert content(path) == content(tmp_path / "whole.zarr")


@pytest.mark.slow
def test_processes_side_by_side_write_the_same_bytes(tmp_path):
    assert writer(tmp_path / "whole.zarr").wait() == 0
    together = [writer(tmp_path / "parts.zarr", part, 3) for part in range(3)]
    assert [process.wait() for process in together] == [0, 0, 0]
    assert content(tmp_path / "parts.zarr") == content(tmp_path / "whole.zarr")
    assert [file.name for file in tmp_path.glob(".*")] == []


SCALED = """
import sys, time, torch
from pathlib import Path
from ntkscope.ntk import write_ntk
torch.set_num_threads(1)
path, samples = sys.argv[1], int(sys.argv[2])
x, net = torch.randn(samples, 64), torch.nn.Sequential(
    torch.nn.Linear(64, 256), torch.nn.ReLU(), torch.nn.Linear(256, 256), torch.nn.ReLU(),
    torch.nn.Linear(256, 10))
write_ntk(path + "-warm", net, x[:100])
def highest():  # in kB; ru_maxrss would begin with that of the parent
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
before, began = highest(), time.process_time()
write_ntk(path, net, x, memory="200MB")
print(time.process_time() - began, highest() - before)
"""


@pytest.mark.slow
def test_time_grows_as_the_square_and_memory_does_not(tmp_path):
    """At 12,000 samples the kernel alone would take 576 MB."""
    sizes, seconds = (3000, 6000, 12_000), []
    for samples in sizes:
        arguments = [str(tmp_path / f"{samples}.zarr"), str(samples)]
        said = subprocess.check_output([sys.executable, "-c", SCALED, *arguments], text=True)
        second, kilobytes = map(float, said.split())
        seconds.append(second)
        assert kilobytes * 1024 < 200e6
    exponent = np.polyfit(np.log(sizes), np.log(seconds), 1)[0]
    assert exponent < 2.2


def test_the_engine_of_a_store_is_the_instrument_and_no_stage(tmp_path):
    """A store half written is gone on with after a stage was edited, not after its engine was."""
    package = tmp_path / "ntkscope"
    shutil.copytree(Path(ntkscope.__file__).parent, package)
    entrance = "ntkscope.ntk.tiled.write"
    before = sources_digest(package, entrance)
    for stage_of_it in (
        "kernels/stage.py",
        "training/task.py",
        "metrics/cka.py",
        "stores/netcdf.py",
    ):
        append(package / stage_of_it, "EDITED = 1\n")
    assert sources_digest(package, entrance) == before
    for source in ("ntk/empirical/engine.py", "ntk/tiled/grid.py", "runtime/matmul.py"):
        append(package / source, "EDITED = 1\n")
        changed = sources_digest(package, entrance)
        assert changed != before
        before = changed
    write_ntk(tmp_path / "a.zarr", network(), inputs(5))
    attrs = read_store(tmp_path / "a.zarr", "kernels").attrs
    assert attrs["kernel_of"]["engine"] == sources_digest(Path(ntkscope.__file__).parent, entrance)


def append(file, text):
    file.write_text(file.read_text(encoding="utf-8") + text, encoding="utf-8")
