"""Zarr stores: round trip, damage, incompleteness; job directories: identities, moves."""

import json
import warnings

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ntkscope.errors import StoreError
from ntkscope.stores import (
    Array,
    JobDirectory,
    ZarrStore,
    atomic,
    read_netcdf,
    read_store,
    write_netcdf,
    zarr_store,
)


def make(path, values=None, complete=True):
    values = np.arange(12.0).reshape(3, 4) if values is None else values
    dims = tuple(f"d{i}" for i in range(values.ndim))
    store = ZarrStore.allocate(
        path,
        "kernels",
        {"a": Array(dims, values.shape, values.dtype, chunks=(1, *values.shape[1:]))},
        coords={"name": (("d0",), [f"row {i}" for i in range(len(values))])},
        mask=("d0",),
        attrs={"source": "test"},
    )
    store.write("a", ..., values)
    if complete:
        store.done(...)
    return store


@given(
    hnp.arrays(st.sampled_from(["f4", "f8", "i8", "u1"]), hnp.array_shapes(min_dims=1, max_dims=3))
)
def test_what_is_read_is_what_was_written(tmp_path_factory, values):
    path = tmp_path_factory.mktemp("store") / "a.zarr"
    make(path, values)
    read = read_store(path, "kernels")
    np.testing.assert_array_equal(read["a"].values, values)
    assert read["a"].dims[0] == "d0"
    assert read["name"].values.tolist() == [f"row {i}" for i in range(len(values))]


def test_opens_with_xarray_alone_and_without_warnings(tmp_path):
    make(tmp_path / "a.zarr")
    (tmp_path / "a.zarr" / ".snakemake_timestamp").touch()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_store(tmp_path / "a.zarr", "kernels")["a"].shape == (3, 4)
    (tmp_path / "a.zarr" / ".snakemake_timestamp").unlink()
    assert xr.open_zarr(tmp_path / "a.zarr", consolidated=False)["a"].dims == ("d0", "d1")


def test_a_flipped_byte_is_noticed(tmp_path):
    make(tmp_path / "a.zarr")
    chunk = tmp_path / "a.zarr" / "a" / "c" / "1" / "0"
    content = bytearray(chunk.read_bytes())
    content[3] ^= 1
    chunk.write_bytes(content)
    with pytest.raises(ValueError, match="checksum"):
        read_store(tmp_path / "a.zarr", "kernels")["a"].load()
    with pytest.raises(StoreError, match="'a' cannot be read"):
        ZarrStore.open(tmp_path / "a.zarr", "kernels").read("a")


@pytest.mark.parametrize(
    ("spoil", "says", "to_do"),
    [
        (lambda path: None, "there is no store here", "check the path"),
        (
            lambda path: make(path, complete=False),
            "incomplete: 0 of 3 parts",
            "again, and it goes on",
        ),
        (lambda path: make(path).describe(kind="images"), "'images', not of 'k", "as 'images'"),
        (lambda path: make(path).describe(kind=None), "did not write it", "with xarray itself"),
        (
            lambda path: make(path).describe(format=99),
            "format 99",
            "make it again: ntkscope remake",
        ),
        (lambda path: path.write_text("not a store"), "no Zarr store, or a damaged", "check the"),
        (lambda path: path.mkdir(), "no Zarr store, or a damaged", "check the path"),
    ],
)
def test_bad_stores_are_refused_with_their_place_and_what_to_do(tmp_path, spoil, says, to_do):
    spoil(tmp_path / "a.zarr")
    with pytest.raises(StoreError) as error:
        read_store(tmp_path / "a.zarr", "kernels")
    assert says in str(error.value)
    assert str(tmp_path / "a.zarr") in str(error.value)
    assert to_do in error.value.remedy
    assert ("remake" in error.value.remedy) == says.startswith(("format", "no Zarr", "incomplete"))


def test_an_array_or_group_that_is_not_there_is_no_damage(tmp_path):
    make(tmp_path / "a.zarr")
    with pytest.raises(StoreError, match=r"no array 'b'\n.*\n.*it has: .*\ba\b"):
        ZarrStore.open(tmp_path / "a.zarr", "kernels").read("b")
    with pytest.raises(StoreError, match=r"no group 'parameters'\n.*\n.*has: .*\ba\b"):
        read_store(tmp_path / "a.zarr", "kernels", "parameters")


def test_unwritten_floats_are_nan(tmp_path):
    store = ZarrStore.allocate(
        tmp_path / "a.zarr",
        "kernels",
        {"a": Array(("d",), (3,), "f4")},
        coords={},
        mask=("d",),
        attrs={},
    )
    assert np.isnan(store.read("a")).all()


def test_netcdf_round_trip_and_refusals(tmp_path):
    data = xr.Dataset({"a": (("x",), np.arange(3.0))}, {"x": [1, 2, 3]})
    write_netcdf(data, tmp_path / "a.nc", "metrics", {"made": "now"})
    read = read_netcdf(tmp_path / "a.nc", "metrics")
    xr.testing.assert_equal(read, data)
    assert json.loads(read.attrs["provenance"]) == {"made": "now"}
    with pytest.raises(StoreError, match="'metrics', not of 'fits'") as error:
        read_netcdf(tmp_path / "a.nc", "fits")
    assert "delete" not in error.value.remedy
    with pytest.raises(StoreError, match="there is no table here") as error:
        read_netcdf(tmp_path / "b.nc", "metrics")
    assert "delete" not in error.value.remedy
    content = bytearray((tmp_path / "a.nc").read_bytes())
    (tmp_path / "a.nc").write_bytes(content[: len(content) // 2])
    with pytest.raises(StoreError, match="cannot be read"):
        read_netcdf(tmp_path / "a.nc", "metrics")


def test_a_job_directory_moves_its_store_and_vanishes(tmp_path):
    with JobDirectory(tmp_path / "state", {"a": 1}) as place:
        make(place.store)
        place.save("note", b"x")
        assert list(place.saved("note")) == [b"x"]
        place.finish(tmp_path / "deep" / "out.zarr")
    assert read_store(tmp_path / "deep" / "out.zarr", "kernels")["a"].shape == (3, 4)
    assert not (tmp_path / "state").exists()


def test_what_a_killed_writer_left_in_a_store_does_not_stay_there(tmp_path):
    with JobDirectory(tmp_path / "state", {}) as place:
        store = make(place.store)
        (place.store / "a/c/0/0.0123.partial").touch()  # zarr's, between its write and its rename
        store.seal()
        place.finish(tmp_path / "out.zarr")
    assert not list(tmp_path.rglob("*.partial"))


def test_a_job_directory_keeps_what_is_its_own_and_forgets_others(tmp_path):
    for identity, kept in (({"a": 1}, []), ({"a": 1}, [b"x"]), ({"a": 2}, [])):
        with JobDirectory(tmp_path / "state", identity) as place:
            assert list(place.saved("note")) == kept
            place.save("note", b"x")


def test_a_store_killed_while_it_is_allocated_is_not_there(tmp_path, monkeypatch):
    create = zarr_store._create
    monkeypatch.setattr(zarr_store, "_create", lambda *a: (create(*a), 1 / 0))
    with pytest.raises(ZeroDivisionError):
        make(tmp_path / "a.zarr")
    assert not (tmp_path / "a.zarr").exists()
    monkeypatch.undo()
    make(tmp_path / "a.zarr")
    assert [p.name for p in tmp_path.iterdir()] == ["a.zarr"]


def test_a_file_is_there_whole_or_as_it_was(tmp_path):
    file = tmp_path / "deep" / "a.txt"
    with atomic(file) as partial:
        partial.write_text("old")
        assert not file.exists()
    with pytest.raises(ZeroDivisionError), atomic(file) as partial:
        partial.write_text("half")
        raise ZeroDivisionError
    assert file.read_text() == "old"
    with atomic(file) as partial:
        partial.write_text("new")
    assert [(p.name, p.read_text()) for p in file.parent.iterdir()] == [("a.txt", "new")]


def test_of_folders_made_side_by_side_the_first_stays(tmp_path):
    folder = tmp_path / "a"
    with atomic(folder, shared=True) as slow:
        slow.mkdir()
        with atomic(folder, shared=True) as fast:
            fast.mkdir()
            (fast / "fast").touch()
    assert [p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*")] == ["a", "a/fast"]
    with pytest.raises(OSError), atomic(folder) as partial:
        partial.mkdir()
        (partial / "x").touch()
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def varied(path):
    """A complete store with arrays of every form; zeros and NaN among their values."""
    values = {
        "kernel": np.arange(30.0).reshape(5, 6),
        "zeros": np.zeros((5, 2), np.uint8),
        "nan": np.full((5,), np.nan),
        "scalar": np.array(0),
        "layer/weight": np.zeros((5, 2, 2), np.float32),
    }
    arrays = {
        name: Array(
            tuple(f"{name}{axis}" for axis in range(v.ndim)),
            v.shape,
            v.dtype,
            tuple(2 for n in v.shape) if v.ndim else None,
            compress="whole" if name == "zeros" else None,
        )
        for name, v in values.items()
    }
    coords = {"seed": (("kernel0",), np.zeros(5, int)), "name": (("kernel1",), list("abcdef"))}
    store = ZarrStore.allocate(
        path, "kernels", arrays, coords=coords, mask=("kernel0",), attrs={"source": "test"}
    )
    for name in arrays:
        store.write(name, ..., values[name])
    store.done(...)
    return store


def test_every_lost_chunk_is_named(tmp_path):
    varied(tmp_path / "s.zarr")
    chunks = [f for f in (tmp_path / "s.zarr").rglob("c/**/*") if f.is_file()]
    chunks += [f for f in (tmp_path / "s.zarr").rglob("c") if f.is_file()]
    assert len(chunks) > 20
    for chunk in chunks:
        content = chunk.read_bytes()
        chunk.unlink()
        for read in (ZarrStore.open, read_store):
            with pytest.raises(StoreError) as caught:
                read(tmp_path / "s.zarr", "kernels")
            named = str(chunk.relative_to(tmp_path / "s.zarr"))
            assert named in str(caught.value) or "complete/" in named
        chunk.write_bytes(content)
    assert read_store(tmp_path / "s.zarr", "kernels").kernel.values[4, 5] == 29


def test_a_store_of_a_version_that_left_chunks_out_is_still_read(tmp_path):
    store = varied(tmp_path / "s.zarr")
    del store.group.attrs["chunks"]
    (tmp_path / "s.zarr/seed/c/0").unlink()
    assert read_store(tmp_path / "s.zarr", "kernels").seed.values.tolist() == [0] * 5


def test_what_is_undefined_is_on_the_disk(tmp_path):
    store = varied(tmp_path / "s.zarr")
    for name, expected in (("kernel", np.nan), ("zeros", 0), ("layer/weight", np.nan)):
        store.undefined(name, slice(0, 2))
        np.testing.assert_array_equal(store.read(name, slice(0, 2)), expected)
    ZarrStore.open(tmp_path / "s.zarr", "kernels")


def test_a_lost_chunk_is_not_read_as_fill_values(tmp_path):
    store = make(tmp_path / "a.zarr", np.zeros((3, 2), np.uint8))
    store.check_whole("a")
    (tmp_path / "a.zarr/a/c/1/0").unlink()
    with pytest.raises(StoreError, match="array 'a' lacks 1 of its 3 chunks"):
        store.check_whole("a")


@pytest.mark.parametrize("text", ["", "[]", '{"zarr_format": 3, "node_type": 7}'])
def test_damaged_metadata_of_an_array_name_the_store(tmp_path, text):
    make(tmp_path / "a.zarr")
    (tmp_path / "a.zarr/a/zarr.json").write_text(text)
    store = ZarrStore.open(tmp_path / "a.zarr", "kernels")
    for read in (lambda: store.read("a"), lambda: read_store(tmp_path / "a.zarr", "kernels")):
        with pytest.raises(StoreError, match=r"a\.zarr"):
            read()
