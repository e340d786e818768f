"""From a source of images to the store that every later stage reads."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ntkscope.config.sections import Dataset
from ntkscope.config.specs import DatasetSpec
from ntkscope.data.sources import Images, open_source
from ntkscope.data.subset import balanced_subset
from ntkscope.errors import DataError
from ntkscope.runtime.logs import progress
from ntkscope.runtime.provenance import provenance
from ntkscope.stores import Array, JobDirectory, ZarrStore, read_store

if TYPE_CHECKING:
    import xarray as xr

CHUNK = 2048
"""Images in a chunk."""

_SEED = 20220610  # of the class-balanced subsets
_MARKS = 64  # the completion mask is one chunk, so it is rewritten at most so many times

Kept = tuple[np.ndarray, np.ndarray]
"""Ascending indices of the images kept, int64: of the training split and of the test split."""


def prepare_data(
    dataset: Dataset, spec: DatasetSpec, output: Path, state: Path, identity: dict[str, Any]
) -> None:
    """Write a dataset's images as a store of kind `images`: training images first, then test.

    A killed job goes on with the chunk it was at. What the store says of its content (sha256,
    mean, std) is taken from the store itself, read back.

    Args:
        dataset: where the images come from.
        spec: how many are kept, class-balanced.
        output: the store to be made.
        state: folder for the work in progress.
        identity: all that the result depends on, JSON-able; the source's state is added to it.

    Raises:
        DataError: a file is missing, truncated or wrong, or there are too few images.
        BusyError: another process prepares the same store.
    """
    started = time.monotonic()
    source = open_source(dataset)
    kept = (_kept(source, 0, spec.train_samples), _kept(source, 1, spec.test_samples))
    with JobDirectory(state, {"asked": identity, **_fingerprint(dataset, source, kept)}) as place:
        store = _begin(place, source, kept)
        _fill(store, place, source, kept)
        facts = _describe(read_store(place.store, "images"), source.white)
        record = provenance(
            dataset=dataset.model_dump(mode="json"),
            spec=spec.model_dump(mode="json"),
            subset_seed=_SEED,
            wall_seconds=round(time.monotonic() - started, 3),
        )
        store.describe(**facts, **_origin(dataset, source), provenance=record)
        store.group["split"].attrs.update(flag_values=[0, 1], flag_meanings="train test")
        place.finish(output)


def _kept(source: Images, number: int, samples: int | None) -> np.ndarray:
    name, split = (("train", source.train), ("test", source.test))[number]
    if samples is None:
        return np.arange(split.labels.size)
    classes, setting = range(len(source.classes)), f"dataset.{name}_samples"
    chosen = balanced_subset(split.labels, classes, samples, [_SEED, number], setting)
    return np.sort(np.concatenate(chosen))


def _fingerprint(dataset: Dataset, source: Images, kept: Kept) -> dict[str, Any]:
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


def _begin(place: JobDirectory, source: Images, kept: Kept) -> ZarrStore:
    """The store that an earlier job began, or a new one."""
    if place.store.exists():
        return ZarrStore.resume(place.store, "images")
    samples, shape = kept[0].size + kept[1].size, source.train.read(kept[0][:1]).shape[1:]
    arrays = {
        "image": Array(
            ("sample", "y", "x", "channel"),
            (samples, *shape),
            np.uint8,
            chunks=(CHUNK, *shape),
            attrs={"long_name": "pixel intensity", "units": "1", "white": source.white},
            compress=True,
        ),
        "label": Array(
            ("sample",),
            (samples,),
            np.int64,
            chunks=(CHUNK,),
            attrs={"long_name": "class"},
            compress=True,
        ),
    }
    split = np.repeat(np.array([0, 1], dtype=np.uint8), [kept[0].size, kept[1].size])
    coords: dict[str, tuple[tuple[str, ...], Any]] = {"split": (("sample",), split)}
    return ZarrStore.allocate(
        place.store, "images", arrays, coords=coords, mask=("sample",), attrs={}
    )


def _fill(store: ZarrStore, place: JobDirectory, source: Images, kept: Kept) -> None:
    """Write the chunks that are not done yet."""
    labels = np.concatenate([source.train.labels[kept[0]], source.test.labels[kept[1]]])
    mask = store.mask
    block = CHUNK * (1 + labels.size // (CHUNK * _MARKS))
    todo = [span for span in _spans(0, labels.size, block) if not mask[span].all()]
    for span in progress(todo, len(todo), "blocks of images"):
        for chunk in _spans(span.start, span.stop, CHUNK):
            store.write("image", chunk, _images(source, kept, chunk))
            store.write("label", chunk, labels[chunk])
            place.heartbeat()
        store.done(span)


def _spans(start: int, stop: int, size: int) -> Iterator[slice]:
    for begin in range(start, stop, size):
        yield slice(begin, min(begin + size, stop))


def _images(source: Images, kept: Kept, span: slice) -> np.ndarray:
    """Images of a span of the store, which may hold the border between the splits."""
    border = kept[0].size
    train = kept[0][span]
    test = kept[1][max(span.start - border, 0) : max(span.stop - border, 0)]
    parts = ((source.train, train), (source.test, test))
    return np.concatenate([split.read(index) for split, index in parts if index.size])


def _describe(data: xr.Dataset, white: int) -> dict[str, Any]:
    """Checksum, mean and standard deviation of what was written.

    sha256 is of all image bytes, then all label bytes (little-endian int64), in order. Mean and
    std (population) are of the training images / white, one for each channel: from histograms,
    so that sums are exact integers.

    Raises:
        DataError: a channel is the same in all training images.
    """
    border = int((data["split"] == 0).sum())
    checksum = hashlib.sha256()
    counts = np.zeros((data.sizes["channel"], 256), dtype=np.int64)
    for span in _spans(0, data.sizes["sample"], CHUNK):
        images = data["image"][span].values
        checksum.update(images.tobytes())
        counts += _histogram(images[: max(border - span.start, 0)])
    checksum.update(data["label"].values.astype("<i8").tobytes())
    moments = [_moments(channel, white) for channel in counts]
    mean, std = (list(column) for column in zip(*moments, strict=True))
    if min(std) == 0:
        raise DataError(
            f"a channel has one value in all training images (std {std}), so they cannot be "
            "normalised",
            where="the source's images",
            remedy="get the dataset's files again",
        )
    return {"sha256": checksum.hexdigest(), "white": white, "mean": mean, "std": std}


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


def _origin(dataset: Dataset, source: Images) -> dict[str, Any]:
    return {
        "dataset": dataset.name,
        "source": list(source.files),
        "licence": source.licence,
        "citation": source.citation,
        "classes": list(source.classes),
    }
