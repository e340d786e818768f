"""Data of one's own without code: an archive of arrays, or a folder of images."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import yaml
from PIL import Image

from ntkscope.config import Config, datasets_of, expand, load_config, runs_of
from ntkscope.config.datasets import facts_of, title_of
from ntkscope.config.memory_needs import megabytes_to_measure
from ntkscope.config.sections import Dataset
from ntkscope.config.specs import DatasetSpec
from ntkscope.data import load_samples, prepare_data
from ntkscope.data.sources import folder, is_there, open_source
from ntkscope.errors import ConfigError, DataError

ROOT = Path(__file__).parents[3]
RNG = np.random.default_rng(0)
LABELS = np.arange(60) % 3
VECTORS = RNG.normal(3, 2, (60, 5)) + LABELS[:, None]
TOKENS = RNG.integers(0, 1000, (60, 7))
PIXELS = RNG.integers(0, 256, (60, 8, 9), dtype=np.uint8)


def npz(folder: Path, **arrays: Any) -> Dataset:
    np.savez(folder / "my data.npz", **arrays)
    return Dataset(kind="npz", path=str(folder / "my data.npz"))


def with_value(values: np.ndarray, value: int, dtype: str = "i8") -> np.ndarray:
    changed = values.astype(dtype)
    changed.flat[1] = value
    return changed


def images(root: Path, splits: dict[str, np.ndarray], mode: str = "L") -> Dataset:
    """Images a class of each split, as PNG in split/class/."""
    for split, pixels in splits.items():
        for number, image in enumerate(pixels):
            file = root / split / ["cat", "dog", "emu"][number % 3] / f"{number:03}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).convert(mode).save(file)
    return Dataset(kind="folder", path=str(root))


def config(dataset: dict[str, Any], **more: Any) -> Config:
    values = yaml.safe_load((ROOT / "config/config.yaml").read_text(encoding="utf-8"))
    experiment = {
        "analysis": "table",
        "model": {"kind": "mlp", "width": 8},
        "regimes": ["feature"],
        "stream": {"kind": "relabel", "change": "permute", "classes": 3, "steps": 6},
        "training": {"batch_size": 4},
        "snapshots": {"around_boundary": 1, "log_spaced": 1},
        "probe": {"samples": 6},
        **more,
    }
    own = {"dataset": {"name": "digits", **dataset}, "experiments": {"own": experiment}}
    return load_config({**values, **own, "seeds": [0, 1]})


def prepared(configured: Config, folder: Path) -> Path:
    (run,) = {run.dataset for run in runs_of(configured).values()}
    output = folder / f"{run.id}.zarr"
    prepare_data(datasets_of(configured)[run.id], run, output, folder / "state", {"spec": run.id})
    return output


def test_vectors_are_kept_and_standardised_as_the_store_says(tmp_path: Path) -> None:
    constant = np.c_[VECTORS, np.full(60, 7.0)]
    dataset = npz(
        tmp_path, inputs=constant, labels=LABELS, test_inputs=constant[:9], test_labels=LABELS[:9]
    )
    store = prepared(config(dataset.model_dump()), tmp_path)
    loaded, data = load_samples(store), xr.open_zarr(store, consolidated=False)
    assert data["vector"].dims == ("sample", "feature")
    assert (data.attrs["kind"], data.attrs["dataset"]) == ("samples", "my_data")
    np.testing.assert_array_equal(loaded.train, constant.astype("f4"))
    np.testing.assert_array_equal(loaded.test_labels, LABELS[:9])
    np.testing.assert_allclose(loaded.mean, constant.astype("f4").astype("f8").mean(0), rtol=1e-12)
    np.testing.assert_allclose(loaded.std[:5], constant.astype("f4").astype("f8").std(0)[:5])
    assert loaded.std[5] == 1
    assert "each feature" in data.attrs["standardisation"]


def test_tokens_stay_whole_numbers(tmp_path: Path) -> None:
    import torch

    from ntkscope.data.inputs import to_inputs

    source = {"x_train": TOKENS, "y_train": LABELS[:, None], "x_test": TOKENS[:6]}
    dataset = npz(tmp_path, **source, y_test=LABELS[:6])
    with pytest.raises(ConfigError, match="mlp cannot be given tokens"):
        config(dataset.model_dump())
    facts = facts_of(dataset)
    assert (title_of(dataset), title_of(Dataset(name="svhn"))) == ("my_data", "SVHN")
    assert (facts.shape, facts.dtype, facts.classes) == ((7,), "int64", 3)
    spec = DatasetSpec(name=dataset.known_as, content=facts.content, classes=facts.classes)
    prepare_data(dataset, spec, tmp_path / "t.zarr", tmp_path / "state", {})
    loaded = load_samples(tmp_path / "t.zarr")
    inputs = to_inputs(loaded, loaded.train, torch.device("cpu"), torch.float32)
    assert inputs.dtype == torch.int64
    np.testing.assert_array_equal(inputs.numpy(), TOKENS)


def test_images_without_a_test_split_are_split_by_class(tmp_path: Path) -> None:
    names = np.array(["ant", "bee", "cow"])
    dataset = npz(tmp_path, images=PIXELS, labels=LABELS, classes=names)
    loaded = load_samples(prepared(config(dataset.model_dump()), tmp_path))
    assert loaded.train.shape == (48, 8, 9, 1)
    assert np.bincount(loaded.test_labels).tolist() == [4, 4, 4]
    assert loaded.classes == ("ant", "bee", "cow")
    both = {image.tobytes() for image in (*loaded.train, *loaded.test)}
    assert both == {image.tobytes() for image in PIXELS}


@pytest.mark.parametrize(("splits", "mode"), [(("train", "test"), "L"), (("",), "RGB")])
def test_a_folder_of_images(splits: tuple[str, ...], mode: str, tmp_path: Path) -> None:
    parts = dict(zip(splits, (PIXELS, PIXELS[:6]), strict=False))
    dataset = images(tmp_path / "pets", parts, mode)
    loaded = load_samples(prepared(config(dataset.model_dump()), tmp_path))
    assert loaded.classes == ("cat", "dog", "emu")
    assert loaded.train.shape[1:] == (8, 9, 1 if mode == "L" else 3)
    both = sorted(i[..., 0].tobytes() for i in (*loaded.train, *loaded.test))
    assert both == sorted(i.tobytes() for part in parts.values() for i in part)
    if len(splits) == 2:
        np.testing.assert_array_equal(loaded.train_labels, np.repeat(np.arange(3), 20))
        np.testing.assert_array_equal(loaded.train[20, ..., 0], PIXELS[1])


def test_the_identity_is_what_the_files_hold(tmp_path: Path) -> None:
    def id_of(dataset: Dataset) -> str:
        (found,) = datasets_of(config(dataset.model_dump()))
        return found

    before = id_of(npz(tmp_path, inputs=VECTORS, labels=LABELS))
    (tmp_path / "elsewhere").mkdir()
    again = npz(tmp_path / "elsewhere", inputs=VECTORS, labels=LABELS, other=np.arange(3))
    assert id_of(again) == before
    assert id_of(npz(tmp_path, inputs=VECTORS + 1, labels=LABELS)) != before
    pets = images(tmp_path / "pets", {"": PIXELS})
    first = id_of(pets)
    (tmp_path / "pets" / "cat" / "000.png").touch()
    folder._look_again.cache_clear()  # as another process
    assert id_of(pets) == first
    images(tmp_path / "pets", {"": PIXELS[::-1].copy()})
    folder._look_again.cache_clear()
    assert id_of(pets) != first


def test_files_that_change_before_they_are_prepared_are_refused(tmp_path: Path) -> None:
    configured = config(npz(tmp_path, inputs=VECTORS, labels=LABELS).model_dump())
    spec = next(iter(runs_of(configured).values())).dataset
    dataset = npz(tmp_path, inputs=-VECTORS, labels=LABELS)
    with pytest.raises(DataError, match="not those that were there when the configuration"):
        prepare_data(dataset, spec, tmp_path / "out.zarr", tmp_path / "state", {})


@pytest.mark.parametrize("value", [np.nan, -np.inf, 1e300])
@pytest.mark.parametrize("split", ["inputs", "test_inputs"])
def test_values_that_are_not_finite_are_refused(split: str, value: float, tmp_path: Path) -> None:
    holes = VECTORS.copy()
    holes[3, 2] = value
    arrays = {"inputs": VECTORS, "labels": LABELS, "test_inputs": VECTORS, "test_labels": LABELS}
    configured = config(npz(tmp_path, **{**arrays, split: holes}).model_dump())
    with pytest.raises(DataError, match="feature 2 has values that are not finite") as caught:
        prepared(configured, tmp_path)
    assert caught.value.where == str(tmp_path / "my data.npz")


WRONG = {
    "but no inputs with labels": {"x": VECTORS, "y": LABELS},
    "labels is float64": {"inputs": VECTORS, "labels": LABELS / 2},
    "inputs has 59 samples": {"inputs": VECTORS[1:], "labels": LABELS},
    "neither images, vectors nor tokens": {"inputs": PIXELS / 255, "labels": LABELS},
    "class 1 has no": {"inputs": VECTORS, "labels": LABELS * 2},
    "class 3 has no": {"inputs": VECTORS, "labels": LABELS, "classes": np.array(list("abcd"))},
    "2 classes are named, but there is a label 2": {
        "inputs": VECTORS,
        "labels": LABELS,
        "classes": np.array(["a", "b"]),
    },
    "3 classes are named, but there is a label 3": {
        "inputs": VECTORS,
        "labels": LABELS,
        "test_inputs": VECTORS,
        "test_labels": LABELS + 1,
        "classes": np.array(list("abc")),
    },
    "labels holds Python objects": {"inputs": VECTORS, "labels": LABELS.astype(object)},
    "test_inputs has 6 samples": {
        "inputs": VECTORS,
        "labels": LABELS,
        "test_inputs": VECTORS[:6, :4],
        "test_labels": LABELS[:6],
    },
    "labels has the value 1099511627776, not from 0 to below 60": {
        "inputs": VECTORS,
        "labels": with_value(LABELS, 2**40),
    },
    "labels has the value 9223372036854775813, not from 0": {
        "inputs": VECTORS,
        "labels": with_value(LABELS, 2**63 + 5, "u8"),
    },
    "labels has the value -1, not from 0": {"inputs": VECTORS, "labels": with_value(LABELS, -1)},
    "test_labels has the value 1099511627776, not from 0 to below 60": {
        "inputs": VECTORS,
        "labels": LABELS,
        "test_inputs": VECTORS,
        "test_labels": with_value(LABELS, 2**40),
    },
    "cast inputs to float32 if its rows are vectors, to int64 if": {
        "inputs": PIXELS[:, 0],
        "labels": LABELS,
    },
    "move the channel axis last: numpy.moveaxis(images, 1, -1)": {
        "images": np.stack([PIXELS] * 3, axis=1),
        "labels": LABELS,
    },
    "too few to keep one fifth": {"inputs": VECTORS[:9], "labels": LABELS[:9]},
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_archive_is_told_with_the_configuration(what: str, tmp_path: Path) -> None:
    dataset = npz(tmp_path, **WRONG[what])
    with pytest.raises(ConfigError) as caught:
        config(dataset.model_dump())
    for said in ("dataset.path: ", what, "my data.npz", "to do: "):
        assert said in str(caught.value)


@pytest.mark.parametrize(("value", "dtype"), [(-1, "i8"), (2**63 + 5, "u8")])
def test_tokens_that_are_not_from_0_are_named(value: int, dtype: str, tmp_path: Path) -> None:
    split = {"test_inputs": with_value(TOKENS, value, dtype), "test_labels": LABELS}
    dataset = npz(tmp_path, inputs=TOKENS, labels=LABELS, **split)
    with pytest.raises(DataError, match=rf"test_inputs has the value {value}, not") as caught:
        open_source(dataset)
    assert caught.value.where == tmp_path / "my data.npz"


@pytest.mark.parametrize(
    ("dataset", "says"),
    [
        ({"kind": "npz", "path": "no.npz"}, "the archive cannot be read"),
        ({"kind": "folder", "path": "no"}, "there is no such folder"),
        ({"kind": "folder", "path": "."}, "there are no images"),
        ({"kind": "npz"}, "kind: npz needs a path"),
        ({"path": "a.npz"}, "set kind: npz or kind: folder"),
        ({"kind": "nzp", "path": "a.npz"}, "did you mean 'npz'?"),
    ],
)
def test_missing_files_are_told_before_any_job(
    dataset: dict[str, Any], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as caught:
        config(dataset)
    assert says in str(caught.value)


def test_what_the_files_say_is_checked_before_any_job(tmp_path: Path) -> None:
    dataset = npz(tmp_path, inputs=VECTORS, labels=LABELS).model_dump()
    assert is_there(Dataset(kind="npz", path=dataset["path"]))
    with pytest.raises(ConfigError, match="the dataset has 3"):
        config(dataset, stream={"kind": "class_split", "classes_per_task": 2})
    with pytest.raises(ConfigError, match="use at most 48"):
        config(dataset, probe={"samples": 60})
    with pytest.raises(ConfigError, match="cnn cannot be given vectors"):
        config(dataset, model={"kind": "cnn"})


def test_images_of_two_sizes_are_named(tmp_path: Path) -> None:
    dataset = images(tmp_path, {"": PIXELS})
    Image.fromarray(PIXELS[0, :4]).save(tmp_path / "cat" / "z.png")
    (tmp_path / "cat" / "zz.png").write_bytes(b"no image")
    every = open_source(dataset)
    with pytest.raises(DataError, match=r"z\.png") as caught:
        every.train.read(np.arange(every.train.labels.size))
        every.test.read(np.arange(every.test.labels.size))
    assert caught.value.remedy


def png16(colour: int, channels: int) -> bytes:
    """A 16-bit PNG of 9 × 8 pixels, of a colour type; Pillow itself writes only grey ones."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", 9, 8, 16, colour, 0, 0, 0)
    rows = (b"\0" + bytes(range(2 * 9 * channels))) * 8
    parts = ((b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


DEEP: dict[str, Any] = {
    "I;16": PIXELS[0].astype("u2"),
    "I": PIXELS[0].astype("i4"),
    "F": PIXELS[0].astype("f4"),
    "RGB": png16(2, 3),
    "RGBA": png16(4, 2),
}


@pytest.mark.parametrize("name", ["000", "003"], ids=["first", "later"])
@pytest.mark.parametrize("mode", DEEP)
def test_more_than_8_bits_are_refused(mode: str, name: str, tmp_path: Path) -> None:
    dataset = images(tmp_path, {"": PIXELS})
    file = tmp_path / "cat" / f"{name}.png"
    file.unlink()
    if isinstance(DEEP[mode], bytes):
        file.write_bytes(DEEP[mode])
    else:
        file = file.with_suffix(".tif")
        Image.fromarray(DEEP[mode]).save(file)
    with pytest.raises(DataError, match=rf"8 bits per channel \(Pillow's mode {mode}\)") as caught:
        every = open_source(dataset)
        every.train.read(np.arange(every.train.labels.size))
        every.test.read(np.arange(every.test.labels.size))
    assert (caught.value.where, caught.value.remedy) == (file, "convert to 8 bits per channel")


def test_vectors_are_learnt_and_measured(tmp_path: Path) -> None:
    from ntkscope.kernels import compute_kernels
    from ntkscope.stores import read_store
    from ntkscope.training import train_task

    configured = config(npz(tmp_path, inputs=VECTORS, labels=LABELS).model_dump())
    samples = prepared(configured, tmp_path)
    (cell,) = expand(configured, "own")
    run = cell.run.lineage[0]
    snapshots, kernels = tmp_path / "snapshots.zarr", tmp_path / "kernels.zarr"
    train_task(run, samples, None, snapshots, state=tmp_path / "train", stage="0")
    compute_kernels(run, cell.kernel, samples, snapshots, kernels, state=tmp_path / "k", stage="0")
    ntk = read_store(kernels, "kernels")["ntk"].values
    assert ntk.shape[-2:] == (6, 6)
    assert np.linalg.eigvalsh(ntk[:, -1]).min() > -1e-5
    assert megabytes_to_measure(run, cell.kernel.model_copy(update={"kind": "full"})) == 2000
