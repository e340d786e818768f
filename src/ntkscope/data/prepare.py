"""From a source of samples to the store that every later stage reads."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ntkscope.config.datasets import facts_of, source_of
from ntkscope.config.sections import Dataset
from ntkscope.config.specs import DatasetSpec
from ntkscope.data.sources import Samples, open_source
from ntkscope.data.sources.base import check_classes
from ntkscope.data.subset import balanced_subset
from ntkscope.errors import DataError
from ntkscope.runtime.logs import progress
from ntkscope.runtime.provenance import provenance
from ntkscope.stores import Array, JobDirectory, ZarrStore, read_store
from ntkscope.stores.going_on import forget_damaged

if TYPE_CHECKING:
    import xarray as xr

CHUNK = 2048
"""Samples in a chunk."""

_IMAGE = "(x / white − mean) / std, with the mean and std of each channel over the training images"
_VECTOR = (
    "(x − mean) / std, with the mean and std of each feature over the training samples; std is 1 "
    "for a feature that is the same in all of them"
)
_LAYOUT = {
    "uint8": ("images", "image", ("y", "x", "channel"), "pixel intensity", _IMAGE),
    "float32": ("samples", "vector", ("feature",), "features of a sample", _VECTOR),
    "int64": ("samples", "token", ("position",), "tokens of a sample", "none: whole numbers"),
}
"""dtype of a sample → kind of its store, array, its dimensions and name, how it is standardised."""

_SEED = 20220610  # of the class-balanced subsets
_MARKS = 64  # the completion mask is one chunk, so it is rewritten at most so many times

Kept = tuple[np.ndarray, np.ndarray]
"""Ascending indices of the samples kept, int64: of the training split and of the test split."""


def prepare_data(
    dataset: Dataset, spec: DatasetSpec, output: Path, state: Path, identity: dict[str, Any]
) -> None:
    """Write a dataset as a store: training samples first, then test.

    Images make one of kind `images` with an array `image`; vectors and tokens one of kind
    `samples` with an array `vector` or `token`. What a network is given, the store's attribute
    `standardisation` says.

    A killed job goes on with the chunk it was at. What the store says of its content (sha256,
    mean, std) is taken from the store itself, read back.

    Args:
        dataset: where the samples come from.
        spec: how many are kept, class-balanced.
        output: the store to be made.
        state: folder for the work in progress.
        identity: all that the result depends on, JSON-able; the source's state is added to it.

    Raises:
        DataError: a file is missing, truncated, wrong, or another than when the configuration
            was read; or there are too few samples.
        BusyError: another process prepares the same store.
    """
    started = time.monotonic()
    _same_content(dataset, spec)
    source = open_source(dataset)
    check_classes(source, facts_of(dataset))
    kept = (_kept(source, 0, spec.train_samples), _kept(source, 1, spec.test_samples))
    with JobDirectory(state, {"asked": identity, **_fingerprint(dataset, source, kept)}) as place:
        store = _begin(place, source, kept)
        forget_damaged(store)
        _fill(store, place, source, kept)
        facts = _describe(read_store(place.store, str(store.group.attrs["kind"])), source)
        record = provenance(
            dataset=dataset.model_dump(mode="json"),
            spec=spec.model_dump(mode="json"),
            subset_seed=_SEED,
            wall_seconds=round(time.monotonic() - started, 3),
        )
        store.describe(**facts, **_origin(dataset, source), provenance=record)
        store.group["split"].attrs.update(flag_values=[0, 1], flag_meanings="train test")
        store.seal()
        place.finish(output)


def _same_content(dataset: Dataset, spec: DatasetSpec) -> None:
    """Refuse files of the user's own that are no longer those of the run's identity."""
    if spec.content is not None and facts_of(dataset).content != spec.content:
        raise DataError(
            "the files are not those that were there when the configuration was read",
            where=dataset.path,
            remedy="run snakemake again: it will make a dataset of the new files",
        )


def _kept(source: Samples, number: int, samples: int | None) -> np.ndarray:
    name, split = (("train", source.train), ("test", source.test))[number]
    if samples is None:
        return np.arange(split.labels.size)
    classes, setting = range(len(source.classes)), f"dataset.{name}_samples"
    chosen = balanced_subset(split.labels, classes, samples, [_SEED, number], setting)
    return np.sort(np.concatenate(chosen))


def _fingerprint(dataset: Dataset, source: Samples, kept: Kept) -> dict[str, Any]:
    """What must not have changed for a job to go on with an earlier one's work."""
    checksum = hashlib.sha256()
    for index, split in zip(kept, (source.train, source.test), strict=True):
        checksum.update(index.astype("<i8").tobytes() + split.labels.astype("<i8").tobytes())
    stats = {file: Path(file).stat() for file in source.files if Path(file).is_file()}
    return {
        "dataset": dataset.model_dump(mode="json"),
        "labels": checksum.hexdigest(),
        "files": {file: [stat.st_size, stat.st_mtime_ns] for file, stat in stats.items()},
    }


def _begin(place: JobDirectory, source: Samples, kept: Kept) -> ZarrStore:
    """The store that an earlier job began, or a new one."""
    first = source.train.read(kept[0][:1])
    kind, name, dims, long_name, _ = _LAYOUT[str(first.dtype)]
    samples, shape = kept[0].size + kept[1].size, first.shape[1:]
    white = {"white": source.white} if name == "image" else {}
    arrays = {
        name: Array(
            ("sample", *dims),
            (samples, *shape),
            first.dtype,
            chunks=(CHUNK, *shape),
            attrs={"long_name": long_name, "units": "1", **white},
            compress="whole",
        ),
        "label": Array(
            ("sample",),
            (samples,),
            np.int64,
            chunks=(CHUNK,),
            attrs={"long_name": "class"},
            compress="whole",
        ),
    }
    split = np.repeat(np.array([0, 1], dtype=np.uint8), [kept[0].size, kept[1].size])
    coords: dict[str, tuple[tuple[str, ...], Any]] = {"split": (("sample",), split)}
    return ZarrStore.allocate(
        place.store, kind, arrays, coords=coords, mask=("sample",), attrs={}, going_on=True
    )


def _fill(store: ZarrStore, place: JobDirectory, source: Samples, kept: Kept) -> None:
    """Write the chunks that are not done yet."""
    labels = np.concatenate([source.train.labels[kept[0]], source.test.labels[kept[1]]])
    mask = store.mask
    name = _LAYOUT[str(source.train.read(kept[0][:1]).dtype)][1]
    block = CHUNK * (1 + labels.size // (CHUNK * _MARKS))
    todo = [span for span in _spans(0, labels.size, block) if not mask[span].all()]
    for span in progress(todo, len(todo), "blocks of samples"):
        for chunk in _spans(span.start, span.stop, CHUNK):
            store.write(name, chunk, _samples(source, kept, chunk))
            store.write("label", chunk, labels[chunk])
            place.heartbeat()
        store.done(span)


def _spans(start: int, stop: int, size: int) -> Iterator[slice]:
    for begin in range(start, stop, size):
        yield slice(begin, min(begin + size, stop))


def _samples(source: Samples, kept: Kept, span: slice) -> np.ndarray:
    """Samples of a span of the store, which may hold the border between the splits."""
    border = kept[0].size
    train = kept[0][span]
    test = kept[1][max(span.start - border, 0) : max(span.stop - border, 0)]
    parts = ((source.train, train), (source.test, test))
    return np.concatenate([split.read(index) for split, index in parts if index.size])


def _describe(data: xr.Dataset, source: Samples) -> dict[str, Any]:
    """Checksum and standardisation of what was written.

    sha256 is of all bytes of the samples, then all label bytes (little-endian int64), in order.

    Raises:
        DataError: a value is not finite, or a channel is the same in all training images.
    """
    (name,) = {"image", "vector", "token"} & set(data.data_vars)
    samples, dtype = data[name], str(data[name].dtype)
    checksum = hashlib.sha256()
    for span in _spans(0, data.sizes["sample"], CHUNK):
        values = samples[span].values
        _check_finite(values, source.files)
        checksum.update(values.tobytes())
    checksum.update(data["label"].values.astype("<i8").tobytes())
    train = samples[: int((data["split"] == 0).sum())]
    moments_of = {"image": _of_images, "vector": _of_vectors, "token": _of_tokens}[name]
    moments = moments_of(train, source.white)
    return {"sha256": checksum.hexdigest(), "standardisation": _LAYOUT[dtype][4], **moments}


def _check_finite(vectors: np.ndarray, files: tuple[str, ...]) -> None:
    if vectors.dtype.kind == "f" and not np.isfinite(vectors).all():
        feature = int(np.argmin(np.isfinite(vectors).all(axis=0)))
        raise DataError(
            f"feature {feature} has values that are not finite as {vectors.dtype}",
            where=", ".join(files),
            remedy="remove or replace them",
        )


def _of_images(train: xr.DataArray, white: int) -> dict[str, Any]:
    """Mean and std (population) of the training images / white, one for each channel.

    From histograms, so that sums are exact integers.

    Raises:
        DataError: a channel is the same in all training images.
    """
    counts = np.zeros((train.sizes["channel"], 256), dtype=np.int64)
    for span in _spans(0, len(train), CHUNK):
        counts += _histogram(train[span].values)
    moments = [_moments(channel, white) for channel in counts]
    mean, std = (list(column) for column in zip(*moments, strict=True))
    if min(std) == 0:
        raise DataError(
            f"a channel has one value in all training images (std {std}), so they cannot be "
            "normalised",
            where="the source's images",
            remedy="get the dataset's files again",
        )
    return {"white": white, "mean": mean, "std": std}


def _of_vectors(train: xr.DataArray, white: int) -> dict[str, Any]:
    """Mean and std (population) of each feature, in float64; std is 1 for a constant feature."""
    spans = list(_spans(0, len(train), CHUNK))
    total = sum(train[span].values.sum(0, dtype=np.float64) for span in spans)
    mean = np.asarray(total) / len(train)
    squares = sum(np.square(train[span].values - mean).sum(0) for span in spans)
    std = np.sqrt(np.asarray(squares) / len(train))
    std[std == 0] = 1.0
    return {"white": 1, "mean": mean.tolist(), "std": std.tolist()}


def _of_tokens(train: xr.DataArray, white: int) -> dict[str, Any]:
    """Nothing: whole numbers are not standardised."""
    return {"white": 1, "mean": None, "std": None}


def _histogram(images: np.ndarray) -> np.ndarray:
    """How often each value occurs, int64 [channel, 256], in uint8 images [n, y, x, channel]."""
    channels = np.moveaxis(images, -1, 0).reshape(images.shape[-1], -1)
    return np.stack([np.bincount(channel, minlength=256) for channel in channels])


def _moments(counts: np.ndarray, white: int) -> tuple[float, float]:
    values = range(256)
    total = sum(counts.tolist())
    first = sum(n * v for n, v in zip(counts.tolist(), values, strict=True))
    second = sum(n * v * v for n, v in zip(counts.tolist(), values, strict=True))
    variance = (total * second - first**2) / total**2
    return first / total / white, variance**0.5 / white


def _origin(dataset: Dataset, source: Samples) -> dict[str, Any]:
    facts = source_of(dataset)
    return {
        "dataset": dataset.known_as,
        "source": list(source.files),
        "licence": facts.licence,
        "citation": facts.citation,
        "classes": list(source.classes),
    }
