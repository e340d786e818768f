"""Every kind of damage to every kind of file: refused by an error that names it, or harmless."""

from __future__ import annotations

import errno
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from ntkscope.errors import StoreError
from ntkscope.stores import Array, JobDirectory, ZarrStore, read_store, write_netcdf, write_text
from ntkscope.stores.going_on import forget_damaged_mask
from ntkscope.stores.manifest import Journal, read_journals
from ntkscope.stores.seal import seal, unseal
from ntkscope.stores.verify import everything, look, main, verify
from tests.damage import told, try_damages

RUN = "mlp-w4-0123456789ab"


def sealed(path, kind="snapshots", seed=0, **attrs):
    """A finished store with groups, words, NaN and zeros."""
    values = {
        "loss": np.random.default_rng(seed).normal(size=(5, 6)),
        "image": np.zeros((5, 4, 4), np.uint8),
        "parameters/weight": np.random.default_rng(seed + 1).normal(size=(5, 3)).astype("f4"),
        "undefined": np.full(5, np.nan),
    }
    arrays = {
        name: Array(
            ("sample", *(f"{name}{axis}" for axis in range(v.ndim - 1))),
            v.shape,
            v.dtype,
            (2, *v.shape[1:]),
            compress="whole" if name == "image" else None,
        )
        for name, v in values.items()
    }
    coords = {"layer": (("layer",), ["first", "second"])}
    store = ZarrStore.allocate(
        path, kind, arrays, coords=coords, mask=("sample",), attrs={"mean": [0.25], **attrs}
    )
    for name, value in values.items():
        store.write(name, ..., value)
    store.done(...)
    store.seal()
    return path


@pytest.fixture
def results(tmp_path):
    folder = tmp_path / "results"
    for number, run in enumerate((RUN, "mlp-w8-ba9876543210")):
        sealed(folder / "runs" / run / "snapshots.zarr", seed=number, run=run)
        data = xr.Dataset({"a": (("x",), np.arange(3.0) + number), "s": (("x",), ["p", "q", "r"])})
        data = data.assign_attrs(boundaries=np.array([3, 6]), window=3)
        write_netcdf(data, folder / "runs" / run / "metrics-k.nc", "metrics", {"run": run})
        for kind in ("csv", "md", "tex"):
            write_text(f"a,b\n{number},2.5\n", folder / f"findings/{number}.{kind}")
    return folder


def test_no_damage_is_unnoticed(results):
    tally = try_damages(results, random.Random(0), 120)
    refused = sum(count for (*_, end), count in tally.items() if end == "refused")
    assert refused > 0.9 * sum(tally.values()), told(tally)
    assert main([str(results), "--jobs", "1"]) == 0


def test_one_digit_of_the_metadata_is_refused(results):
    file = results / "runs" / RUN / "snapshots.zarr/zarr.json"
    file.write_text(file.read_text().replace("0.25", "0.26"))
    for read in (ZarrStore.open, read_store):
        with pytest.raises(StoreError, match=r"zarr\.json is damaged") as error:
            read(file.parent, "snapshots")
        assert f"ntkscope remake {file.parent} " in error.value.remedy


def test_what_is_lost_after_opening_is_not_read_as_fill_values(results):
    path = results / "runs" / RUN / "snapshots.zarr"
    data, store = read_store(path, "snapshots"), ZarrStore.open(path, "snapshots")
    (path / "loss/c/1/0").unlink()
    with pytest.raises(StoreError, match="loss/c/1/0 is lost"):
        data["loss"].load()
    with pytest.raises(StoreError, match="loss/c/1/0 is lost"):
        store.read("loss", slice(2, 4))


def test_a_store_of_another_run_is_refused(results, tmp_path):
    here, other = (results / "runs" / run for run in (RUN, "mlp-w8-ba9876543210"))
    for file, what in (("snapshots.zarr", "store"), ("metrics-k.nc", "table")):
        (here / file).rename(tmp_path / file)
        (other / file).rename(here / file)
        assert f"this is a {what} of mlp-w8" in look(here / file).wrong
        (here / file).rename(other / file)
    assert read_store(tmp_path / "snapshots.zarr", "snapshots").attrs["run"] == RUN


def test_a_store_without_manifest_is_read_as_before(results, capsys):
    path = results / "runs" / RUN / "snapshots.zarr"
    (path / "complete/manifest").unlink()
    assert read_store(path, "snapshots")["loss"].shape == (5, 6)
    assert main([str(results), "--jobs", "1"]) == 0
    assert "10 as they were written, 0 damaged; 1 of an older" in capsys.readouterr().out
    (path / "loss/c/0/0").write_bytes(b"")
    assert look(path).wrong
    sealed(results / "b.zarr")


def test_writing_to_a_finished_store_breaks_its_manifest(results):
    path = results / "runs" / RUN / "snapshots.zarr"
    store = ZarrStore.resume(path, "snapshots")
    store.write("undefined", slice(0, 2), 1.0)
    assert read_store(path, "snapshots")["undefined"].values[:2].tolist() == [1, 1]
    store.seal()
    assert not look(path).wrong
    assert sorted(f.name for f in (path / "complete").iterdir()) == ["c", "manifest", "zarr.json"]


def test_a_chunk_that_nobody_noted_is_not_sealed(results):
    path = results / "runs" / RUN / "snapshots.zarr"
    store = ZarrStore.resume(path, "snapshots")
    store.write("undefined", slice(0, 2), 1.0)
    for journal in (path / "complete").glob("journal-*"):
        lines = journal.read_text().splitlines(keepends=True)
        journal.write_text("".join(line for line in lines if "loss/c/1/0" not in line))
    with pytest.raises(StoreError, match="loss/c/1/0 is not as it was written"):
        store.seal()
    assert not (path / "complete/manifest").exists()


def test_a_journal_that_a_full_disk_cut_is_an_error(tmp_path, monkeypatch):
    write = os.write
    monkeypatch.setattr(os, "write", lambda handle, content: write(handle, content[:-3]))
    journal = Journal(tmp_path)
    with pytest.raises(OSError, match="No space left") as error:
        journal.add("loss/c/0/0", "01234567 8")
    assert error.value.errno == errno.ENOSPC
    monkeypatch.undo()
    journal.add("loss/c/0/1", "89abcdef 8")
    assert "loss/c/0/0" not in read_journals(tmp_path)
    assert read_journals(tmp_path)["loss/c/0/1"] == {"89abcdef 8"}


def test_a_store_that_is_sealed_meanwhile_is_known(results, monkeypatch):
    path = results / "runs" / RUN / "snapshots.zarr"
    known, manifest = read_journals(path), path / "complete/manifest"
    elsewhere = manifest.rename(results / "manifest")
    monkeypatch.setattr(Path, "glob", lambda *_: [elsewhere.rename(manifest)][:0])
    assert read_journals(path) == known


def test_what_another_process_wrote_meanwhile_is_not_damaged(tmp_path):
    array = Array(("sample",), (4,), np.dtype("f8"), (1,))
    mine = ZarrStore.allocate(
        tmp_path / "k.zarr", "kernels", {"a": array}, coords={}, mask=("sample",), attrs={}
    )
    known = read_journals(mine.path)
    ZarrStore.resume(mine.path, "kernels").done(slice(1, 2))
    forget_damaged_mask(mine, known)
    assert mine.mask.tolist() == [False, True, False, False]
    next((mine.path / "complete/c").iterdir()).write_bytes(b"other")
    forget_damaged_mask(mine, known)
    assert not mine.mask.any()


def test_verify_says_what_is_damaged_and_how_to_make_it_again(results, capsys, monkeypatch):
    monkeypatch.chdir(results.parent)
    assert main(["--jobs", "1"]) == 0
    assert capsys.readouterr().out == (
        "10 stores and tables in results: 10 as they were written, 0 damaged\n"
    )
    (results / "runs" / RUN / "snapshots.zarr/loss/c/1/0").unlink()
    (results / "findings/0.csv").write_text("a,b\n0,2.6\n")
    (results / "runs" / RUN / ".kernels.state").mkdir()
    assert main(["--jobs", "1"]) == 1
    store = f"results/runs/{RUN}/snapshots.zarr"
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "results/findings/0.csv: the text was changed, or its note"
    assert lines[2] == f"{store}: loss/c/1/0 is lost"
    assert f"ntkscope remake {store} (" in lines[3]
    assert lines[4].endswith("8 as they were written, 2 damaged")
    assert main(["nowhere"]) == 1
    assert "there is no such folder" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["run.zarr", "runfolder"])
@pytest.mark.parametrize("lost", ["loss/c/1/0", "zarr.json"])
def test_verify_looks_at_a_store_itself_whatever_its_name(
    tmp_path, capsys, monkeypatch, name, lost
):
    sealed(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    for path in (name, "."):
        assert main([path, "--jobs", "1"]) == 0
        assert f"1 stores and tables in {path}: 1 as they were" in capsys.readouterr().out
    (tmp_path / name / lost).unlink()
    for path in (name, "."):
        assert main([path, "--jobs", "1"]) == 1
        assert f"{name}: {lost} is lost" in capsys.readouterr().out


def test_verify_follows_links_and_ends_where_they_lead_in_a_circle(results, tmp_path):
    runs, elsewhere = results / "runs", tmp_path / "elsewhere"
    runs.rename(elsewhere)
    runs.symlink_to(elsewhere)
    (elsewhere / RUN / "up").symlink_to(elsewhere)
    found = dict(everything(results))
    assert len(found) == 10
    (elsewhere / RUN / "snapshots.zarr/loss/c/1/0").unlink()
    assert main([str(results), "--jobs", "1"]) == 1


def test_verify_looks_at_a_table_itself(results, capsys):
    for table in (results / "runs" / RUN / "metrics-k.nc", results / "findings/0.csv"):
        assert main([str(table), "--jobs", "1"]) == 0
        table.write_bytes(table.read_bytes()[: table.stat().st_size // 2])
        assert main([str(table), "--jobs", "1"]) == 1
        assert f"{table}: " in capsys.readouterr().out
        table.unlink()


def test_nothing_to_verify_is_no_success(tmp_path, capsys):
    store, text = sealed(tmp_path / "run.zarr"), tmp_path / "notes"
    text.touch()
    (tmp_path / "empty").mkdir()
    for path in (store / "loss", store / "loss/zarr.json", text, tmp_path / "empty"):
        assert main([str(path)]) == 1
        said = capsys.readouterr().err
        assert said.startswith(f"nothing to verify in {path}\n")
        assert (f"name the store as a whole: {store}\n" in said) == (store in path.parents)
    (tmp_path / "empty/file.zarr").touch()
    assert main([str(tmp_path / "empty")]) == 1
    assert "a file in the place of a store" in capsys.readouterr().out


def test_verify_runs_where_no_affinity_is_known(results, monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    assert not any(verdict.wrong for verdict in verify(results))


def test_verify_needs_no_torch():
    code = "import ntkscope.stores.verify, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_checkpoint_has_a_seal_and_the_one_before_stays(tmp_path, caplog):
    with JobDirectory(tmp_path / "state", {}) as place:
        place.save("state", b'{"step": 10}')
        place.save("state", b'{"step": 20}')
        assert list(place.saved("state")) == [b'{"step": 20}', b'{"step": 10}']
        file = place.folder / "state"
        for content in (
            b"",
            b'{"step": 20}',
            file.read_bytes().replace(b"20", b"10" * 9),
            seal(b'{"step": 99}', "another job"),
        ):
            file.write_bytes(content)
            caplog.clear()
            assert list(place.saved("state")) == [b'{"step": 10}']
            assert f"{file} is damaged: going on from what was saved before" in caplog.text


def test_a_seal_is_broken_by_any_bit():
    content = seal(b"abc")
    assert unseal(content) == b"abc"
    for place in range(len(content)):
        for bit in range(8):
            damaged = bytearray(content)
            damaged[place] ^= 1 << bit
            assert unseal(bytes(damaged)) is None


def test_plain_readers_open_sealed_files_without_a_warning(results, recwarn):
    run = results / "runs" / RUN
    assert xr.open_zarr(run / "snapshots.zarr", consolidated=False)["loss"].shape == (5, 6)
    assert xr.open_dataset(run / "metrics-k.nc")["a"].values.tolist() == [0, 1, 2]
    assert json.loads(xr.open_dataset(run / "metrics-k.nc").attrs["provenance"]) == {"run": RUN}
    assert not [w for w in recwarn if "zarr" in str(w.message).lower()]
