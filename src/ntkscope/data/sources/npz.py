"""kind: npz. Arrays of the user's own in one NumPy archive, none of them pickled.

`inputs` and `labels`, and `test_inputs` and `test_labels` if there is a test split (or `images`
and `test_images`; or Keras's `x_train`, `y_train`, `x_test`, `y_test`). Labels are whole numbers
[N] from 0, below the number of training samples; `classes`, if given, names them. Inputs are images
uint8 [N, y, x] or [N, y, x, channel], vectors of floating-point numbers [N, feature], or tokens of
whole numbers [N, position] from 0, not of type uint8.
"""

from __future__ import annotations

import math
import zipfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ntkscope.config.datasets import DatasetFacts, Source
from ntkscope.config.sections import Dataset
from ntkscope.data.sources import own
from ntkscope.data.sources.base import Samples, in_memory
from ntkscope.data.sources.files import DAMAGES, npy_header
from ntkscope.errors import DataError

_NAMES = (
    ("inputs", "labels", "test_inputs", "test_labels"),
    ("images", "labels", "test_images", "test_labels"),
    ("x_train", "y_train", "x_test", "y_test"),
)
_CHANNELS = (1, 3, 4)
_LARGE, _DENSEST = 10**8, 200  # bytes; as many times its bytes does no array of samples unpack to
_LONGEST_NAME = 4000  # bytes of a class's
_END = 2**63  # above every token and label: they are kept as int64

_REMEDY = (
    "save inputs and labels (and test_inputs, test_labels) with numpy.savez: images uint8 "
    "[N, y, x] or [N, y, x, channel], vectors float [N, feature] or tokens int [N, position]; "
    "labels int [N]"
)


@dataclass(frozen=True)
class _Archive:
    """What a look into an archive tells: all labels, and of the inputs their form.

    Attributes:
        names: of inputs, labels, test inputs and test labels; two without a test split.
        labels: as many arrays as there are splits.
        shape, dtype: of a sample as prepared.
    """

    path: Path
    names: tuple[str, ...]
    labels: tuple[np.ndarray, ...]
    classes: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: str
    content: str

    @property
    def splits(self) -> tuple[np.ndarray, np.ndarray]:
        """Training and test samples, as indices into their arrays."""
        if len(self.labels) == 1:
            return own.split_by_class(self.labels[0], self.path)
        return np.arange(self.labels[0].size), np.arange(self.labels[1].size)


def _look(dataset: Dataset) -> _Archive:
    """The archive that a section names; its arrays of inputs are not read.

    Raises:
        DataError: missing, not an archive, or not as the module says.
    """
    path = own.own_path(dataset)
    try:
        stat = path.stat()
    except OSError as error:
        raise DataError(
            f"the archive cannot be read: {error.strerror}",
            where=path,
            remedy="set dataset.path to an .npz file that exists",
        ) from None
    return _look_again(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=32)
def _look_again(path: Path, changed: int, size: int) -> _Archive:
    try:
        with zipfile.ZipFile(path) as archive, np.load(path, allow_pickle=False) as arrays:
            names = _names(arrays.files, path)
            forms = [_form(archive, name, path) for name in names[::2]]
            counts = [count for count, *_ in forms]
            _check_small(archive, dict(zip(names[1::2], counts, strict=True)))
            labels = tuple(_labels(arrays[name], name, path) for name in names[1::2])
            titles = [str(name) for name in arrays["classes"]] if "classes" in arrays else []
            sums = {member.filename: member.CRC for member in archive.infolist()}
    except DAMAGES as error:
        raise _wrong(path, f"this is no archive of plain arrays: {error}") from None
    for (count, *form), of_split, name in zip(forms, labels, names[::2], strict=True):
        if count != of_split.size or tuple(form) != forms[0][1:]:
            raise _wrong(path, f"{name} has {count} samples {form} for {of_split.size} labels")
    for of_split, name in zip(labels, names[1::2], strict=True):
        _check_range(of_split, name, labels[0].size, path)
    classes = tuple(titles or map(str, range(max(int(each.max()) for each in labels) + 1)))
    own.check_labels(labels, len(classes), path)
    content = own.content_digest([*((name, sums[f"{name}.npy"]) for name in names), *titles])
    _, shape, dtype = forms[0]
    return _Archive(path, names, labels, classes, shape, dtype, content)


def _names(there: list[str], path: Path) -> tuple[str, ...]:
    """The names of the arrays, with those of a test split if it is there."""
    for names in _NAMES:
        if {*names} <= {*there}:
            return names
        if {*names[:2]} <= {*there}:
            return names[:2]
    raise _wrong(path, f"it holds {', '.join(there) or 'nothing'}, but no inputs with labels")


def _form(archive: zipfile.ZipFile, name: str, path: Path) -> tuple[int, tuple[int, ...], str]:
    """How many samples an array of inputs holds, and their shape and dtype as prepared."""
    (count, *shape), dtype = _header(archive, name)
    _check_meaning(name, dtype, (count, *shape), path)
    if min(count, *shape, 1) > 0:
        match dtype.kind, dtype.itemsize, len(shape):
            case "u", 1, 2:
                return count, (*shape, 1), "uint8"
            case "u", 1, 3:
                return count, tuple(shape), "uint8"
            case "f", _, 1:
                return count, tuple(shape), "float32"
            case "i" | "u", _, 1:
                return count, tuple(shape), "int64"
    raise _wrong(path, f"{name} is {dtype} {(count, *shape)}: neither images, vectors nor tokens")


def _header(archive: zipfile.ZipFile, name: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and dtype of an array, none of which is read.

    Raises:
        ValueError: it says otherwise than it holds, or is a bomb: next to nothing, made large.
    """
    info = archive.getinfo(f"{name}.npy")
    if info.file_size > _LARGE and info.file_size > _DENSEST * info.compress_size:
        raise ValueError(f"{name} is {info.compress_size} bytes that unpack to {info.file_size:,}")
    with archive.open(info) as member:
        shape, _, dtype = npy_header(member, info.file_size, name)
    return shape or (0,), dtype


def _check_small(archive: zipfile.ZipFile, labels: dict[str, int]) -> None:
    """Refuse labels and names of classes that are many more than samples, before reading.

    Args:
        archive: of the arrays.
        labels: name of each array of labels → number of its samples.
    """
    most = {**labels, "classes": max(labels.values())}
    for name in (*labels, *(["classes"] if "classes.npy" in archive.namelist() else [])):
        shape, dtype = _header(archive, name)
        if math.prod(shape) > 10 * most[name] + 1000 or dtype.itemsize > _LONGEST_NAME:
            raise ValueError(f"{name} is {dtype} {shape} for {most[name]} samples")


def _check_meaning(name: str, dtype: np.dtype[Any], shape: tuple[int, ...], path: Path) -> None:
    """Refuse uint8 [N, feature], which may be vectors or tokens, and images with channels first."""
    if dtype != np.uint8:
        return
    if len(shape) == 2:
        remedy = f"cast {name} to float32 if its rows are vectors, to int64 if they are tokens"
        raise _wrong(path, f"{name} is uint8 {shape}: vectors or tokens?", remedy)
    if len(shape) == 4 and shape[-1] not in _CHANNELS and shape[1] in _CHANNELS:
        remedy = f"move the channel axis last: numpy.moveaxis({name}, 1, -1)"
        raise _wrong(path, f"{name} is uint8 {shape}: its channels come first", remedy)


def _labels(values: np.ndarray, name: str, path: Path) -> np.ndarray:
    values = values.reshape(len(values)) if values.shape[1:] == (1,) else values
    if values.dtype.kind not in "iu" or values.ndim != 1 or not values.size:
        raise _wrong(path, f"{name} is {values.dtype} {values.shape}, not whole numbers [N] from 0")
    _check_range(values, name, _END, path)
    return values.astype(np.int64)


def _check_range(values: np.ndarray, name: str, end: int, path: Path) -> None:
    """Refuse whole numbers, of any type, below 0 or not below an end."""
    low, high = int(values.min()), int(values.max())
    if low < 0 or high >= end:
        bound = "2^63" if end == _END else f"{end}, the number of training samples"
        wrong = low if low < 0 else high
        raise _wrong(path, f"{name} has the value {wrong}, not from 0 to below {bound}")


def _wrong(path: Path, what: str, remedy: str = _REMEDY) -> DataError:
    return DataError(what, where=path, remedy=remedy)


def _facts(dataset: Dataset) -> DatasetFacts:
    archive = _look(dataset)
    train, test = (each[kept] for each, kept in zip(_ends(archive), archive.splits, strict=True))
    return own.facts(train, test, archive.shape, archive.dtype, archive.content)


def open_npz(dataset: Dataset) -> Samples:
    """Its arrays, in memory; without a test split, a seeded fifth of each class is the test split.

    Raises:
        DataError: missing, damaged, or not as the module says.
    """
    archive = _look(dataset)
    inputs = _read(archive)
    parts = zip(archive.splits, (inputs[0], inputs[-1]), _ends(archive), strict=True)
    train, test = (in_memory(values[index], labels[index]) for index, values, labels in parts)
    white = 255 if archive.dtype == "uint8" else 1
    return Samples(train, test, archive.classes, (str(archive.path),), white)


def _ends(archive: _Archive) -> tuple[np.ndarray, np.ndarray]:
    return archive.labels[0], archive.labels[-1]


def _read(archive: _Archive) -> list[np.ndarray]:
    """The inputs of each split as prepared. Reading verifies the archive's CRC-32 of each."""
    try:
        with np.load(archive.path, allow_pickle=False) as arrays:
            read = [np.asarray(arrays[name]) for name in archive.names[::2]]
    except DAMAGES as error:
        raise _wrong(archive.path, f"the archive is damaged: {error}") from None
    if archive.dtype == "int64":
        for values, name in zip(read, archive.names[::2], strict=True):
            _check_range(values, name, _END, archive.path)
    with np.errstate(over="ignore"):  # to ∞, which is refused when it is prepared
        return [each.astype(archive.dtype).reshape(len(each), *archive.shape) for each in read]


DATASET = Source(
    title="samples of one's own",
    facts=_facts,
    open=open_npz,
    is_there=own.is_there,
    licence=own.LICENCE,
    citation="",
    published=False,
)
