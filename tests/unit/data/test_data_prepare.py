"""The store of prepared images: content, statistics, subsets, interruption, and reading it."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ntkscope.config.sections import Dataset
from ntkscope.config.specs import DatasetSpec
from ntkscope.data import load_samples, open_samples, prepare, prepare_data
from ntkscope.data.sources import open_source
from ntkscope.errors import DataError, StoreError
from ntkscope.stores import Array, ZarrStore

from . import local_files as files

DIGITS = Dataset(name="digits")


def make(
    folder: Path, train: int | None = None, test: int | None = None, dataset: Dataset = DIGITS
) -> Path:
    spec = DatasetSpec(name=dataset.name, train_samples=train, test_samples=test)
    output = folder / f"{spec.id}.zarr"
    prepare_data(dataset, spec, output, folder / "state" / spec.id, {"spec": spec.id})
    return output


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("digits"))


def test_digits_survive_the_round_trip(digits: Path) -> None:
    images, source = load_samples(digits), open_source(DIGITS)
    np.testing.assert_array_equal(images.train, source.train.read(np.arange(1437)))
    np.testing.assert_array_equal(images.train_labels, source.train.labels)
    np.testing.assert_array_equal(images.test, source.test.read(np.arange(360)))
    np.testing.assert_array_equal(images.test_labels, source.test.labels)
    assert images.classes == tuple("0123456789")
    assert not (digits.parent / "state" / "digits").exists()


def test_the_time_stamp_that_snakemake_leaves_is_no_warning(tmp_path: Path) -> None:
    store = make(tmp_path, 20, 10)
    (store / ".snakemake_timestamp").touch()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load_samples(store).train.shape[0] == 20


def test_the_store_says_what_it_holds(digits: Path) -> None:
    data = xr.open_zarr(digits, consolidated=False)
    content = data["image"].values.tobytes() + data["label"].values.tobytes()
    assert data.attrs["sha256"] == hashlib.sha256(content).hexdigest()
    assert data["split"].attrs["flag_meanings"] == "train test"
    assert data.attrs["provenance"]["wall_seconds"] > 0
    for key in ("source", "licence", "citation", "classes", "white"):
        assert data.attrs[key]


def test_mean_and_std_are_those_of_float64(digits: Path) -> None:
    images = load_samples(digits)
    values = images.train / images.white
    np.testing.assert_allclose(images.mean, values.mean((0, 1, 2)), rtol=1e-14)
    np.testing.assert_allclose(images.std, values.std((0, 1, 2)), rtol=1e-13)


@settings(deadline=None, max_examples=50)
@given(arrays(np.uint8, st.tuples(*[st.integers(1, 4)] * 4)), st.sampled_from([16, 255]))
def test_moments_from_histograms_are_exact(images: np.ndarray, white: int) -> None:
    moments = [prepare._moments(channel, white) for channel in prepare._histogram(images)]
    values = images / white
    np.testing.assert_allclose(
        moments, np.stack([values.mean((0, 1, 2)), values.std((0, 1, 2))], -1), atol=1e-12
    )


def test_colours_and_chunks_across_the_border(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = files.cifar5m_files(tmp_path / "files")
    monkeypatch.setattr(prepare, "CHUNK", 7)
    images = load_samples(make(tmp_path, dataset=Dataset(name="cifar5m", root=f"{tmp_path}/files")))
    np.testing.assert_array_equal(images.train, data.train)
    np.testing.assert_array_equal(images.test_labels, data.test_labels)
    np.testing.assert_allclose(images.mean, (data.train / 255).mean((0, 1, 2)), rtol=1e-13)
    np.testing.assert_allclose(images.std, (data.train / 255).std((0, 1, 2)), rtol=1e-13)


def test_subsets_are_balanced_seeded_and_nested(tmp_path: Path) -> None:
    small, again = (
        load_samples(make(tmp_path, 105, 20)),
        load_samples(make(tmp_path / "b", 105, 20)),
    )
    large = load_samples(make(tmp_path, 210, 20))
    np.testing.assert_array_equal(small.train, again.train)
    assert np.bincount(small.train_labels).tolist() == [11] * 5 + [10] * 5
    assert np.bincount(small.test_labels).tolist() == [2] * 10
    held = {image.tobytes() for image in large.train}
    assert all(image.tobytes() in held for image in small.train)


@pytest.mark.parametrize("split", ["train", "test"])
def test_more_images_than_there_are_is_refused(tmp_path: Path, split: str) -> None:
    with pytest.raises(DataError, match=f"set dataset.{split}_samples to at most"):
        make(tmp_path, **{split: 1500})


def test_constant_images_are_refused_and_replaced_files_read_anew(tmp_path: Path) -> None:
    dataset = Dataset(name="cifar5m", root=str(tmp_path))
    data = files.cifar5m_files(tmp_path, each=2)
    for part in range(5):
        np.savez(tmp_path / f"part{part}.npz", X=np.zeros((2, 32, 32, 3), np.uint8), Y=[0, 1])
    with pytest.raises(DataError, match="cannot be normalised"):
        make(tmp_path, dataset=dataset)
    files.cifar5m_files(tmp_path, each=2)
    np.testing.assert_array_equal(load_samples(make(tmp_path, dataset=dataset)).train, data.train)


def interrupted(monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    """Let the writing of images fail after so many chunks."""
    write, left = ZarrStore.write, [after]

    def failing(self: ZarrStore, name: str, index: object, values: object) -> None:
        left[0] -= name == "image"
        if left[0] < 0:
            raise KeyboardInterrupt
        write(self, name, index, values)

    monkeypatch.setattr(ZarrStore, "write", failing)


def test_an_interrupted_job_goes_on_and_makes_the_same(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepare, "CHUNK", 256)
    with monkeypatch.context() as broken:
        interrupted(broken, after=5)
        with pytest.raises(KeyboardInterrupt):
            make(tmp_path)
    assert not (tmp_path / "digits.zarr").exists()
    with monkeypatch.context() as counted:
        interrupted(counted, after=3)  # 8 chunks in all, of which 5 are done
        output = make(tmp_path)
    whole, continued = (xr.open_zarr(p, consolidated=False).attrs for p in (digits, output))
    assert continued["sha256"] == whole["sha256"]
    assert (continued["mean"], continued["std"]) == (whole["mean"], whole["std"])


def test_a_job_killed_while_it_allocated_begins_anew(tmp_path: Path) -> None:
    (tmp_path / "state" / "digits" / "store.zarr").mkdir(parents=True)
    assert load_samples(make(tmp_path)).train.shape == (1437, 8, 8, 1)


def test_the_script_needs_no_torch(tmp_path: Path) -> None:
    script = Path(__file__).parents[3] / "scripts" / "prepare_data.py"
    code = f"""
import runpy, sys
from types import SimpleNamespace as N
params = N(spec={{"name": "digits"}}, source={{"name": "digits"}}, state="state", code="0")
files = {{"output": ["digits.zarr"], "log": ["log/prepare.log"]}}
job = N(params=params, wildcards=N(dataset="digits"), **files)
runpy.run_path({str(script)!r}, init_globals={{"snakemake": job}})
assert not any(m.split(".")[0] in ("torch", "torchvision") for m in sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    assert load_samples(tmp_path / "digits.zarr").white == 16


# Reading


def broken(folder: Path, **changes: object) -> Path:
    """A complete store of kind images with something wrong."""
    image = changes.get("image", np.zeros((4, 2, 2, 3), np.uint8))
    label, split = changes.get("label", np.arange(4)), changes.get("split", [0, 0, 1, 1])
    dims = ("sample", "y", "x", "channel")[: image.ndim]
    store = ZarrStore.allocate(
        folder / "broken.zarr",
        "images",
        {
            "image": Array(dims, image.shape, image.dtype),
            "label": Array(("sample",), label.shape, label.dtype),
        },
        coords={"split": (("sample",), np.array(split, np.uint8))},
        mask=("sample",),
        attrs={"white": 255, "mean": [0.5] * 3, "std": [0.5] * 3, "classes": list("abcd")}
        | changes.get("attrs", {}),
    )
    store.write("image", ..., image)
    store.write("label", ..., label)
    store.done(...)
    return store.path


def test_a_whole_store_is_read(tmp_path: Path) -> None:
    assert load_samples(broken(tmp_path)).test.shape == (2, 2, 2, 3)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"image": np.zeros((4, 2, 2, 3))}, "image is float64"),
        ({"label": np.zeros(4, np.uint8)}, "label is uint8"),
        ({"label": np.arange(4) + 1}, "labels run from 1 to 4"),
        ({"split": [1, 0, 0, 1]}, "split is not 0"),
        ({"attrs": {"mean": [0.5]}}, "not one number for each"),
        ({"attrs": {"std": None}}, "std"),
        ({"attrs": {"white": None}}, "attribute"),
    ],
)
def test_a_wrong_store_is_refused(tmp_path: Path, change: dict[str, object], what: str) -> None:
    with pytest.raises(StoreError, match=what):
        load_samples(broken(tmp_path, **change))


def test_what_stays_on_the_disk_is_read_in_any_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepare, "CHUNK", 70)
    path = make(tmp_path, 300, 150)
    loaded = load_samples(path)
    for opened in (open_samples(path), open_samples(path, in_memory=0)):
        assert (opened.shape, opened.white, opened.classes) == ((8, 8, 1), 16, loaded.classes)
        np.testing.assert_array_equal(opened.mean, loaded.mean)
        for split, samples, labels in (
            ("train", loaded.train, loaded.train_labels),
            ("test", loaded.test, loaded.test_labels),
        ):
            np.testing.assert_array_equal(opened.labels[split], labels)
            for order in (np.random.default_rng(0).permutation(len(samples))[:90], np.array([71])):
                np.testing.assert_array_equal(opened.read(split, order), samples[order])


def test_a_damaged_chunk_is_refused(tmp_path: Path) -> None:
    output = make(tmp_path, 20, 10)
    chunk = output / "image" / "c" / "0" / "0" / "0" / "0"
    content = bytearray(chunk.read_bytes())
    content[len(content) // 2] ^= 1
    chunk.write_bytes(content)
    with pytest.raises(StoreError, match="image/c/0/0/0/0 is damaged"):
        load_samples(output)
