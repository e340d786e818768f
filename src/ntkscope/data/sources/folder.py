"""kind: folder. Images of the user's own, a folder a class.

`train/<class>/` and `test/<class>/`, or `<class>/` alone, of which a seeded fifth is the test
split. Images are PNG, JPEG, BMP or TIFF of 8 bits per channel, all of one size: that of the
first; in grey if the first is, else in colour (RGB).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from ntkscope.config.datasets import DatasetFacts, Source
from ntkscope.config.sections import Dataset
from ntkscope.config.sections.texts import visible
from ntkscope.data.sources import own
from ntkscope.data.sources.base import Samples, Split
from ntkscope.data.sources.files import check_depth, read
from ntkscope.errors import DataError, NtkscopeError

_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"}
_REMEDY = "put images into train/<class>/ and test/<class>/ below dataset.path, or into <class>/"

_UNREADABLE = "replace or remove it"
_LARGEST = 10**9  # bytes of an image


@dataclass(frozen=True)
class _Folder:
    """What a look into a folder tells.

    Attributes:
        files: all images, of the training split first, class after class.
        labels: of each split there is; one without a test split.
        shape: of the first image, (y, x, channel).
        content: digest of every image and its place.
    """

    root: Path
    files: tuple[Path, ...]
    classes: tuple[str, ...]
    labels: tuple[np.ndarray, ...]
    shape: tuple[int, ...]
    content: str

    @property
    def splits(self) -> tuple[np.ndarray, np.ndarray]:
        """Training and test images, as indices into the files."""
        if len(self.labels) == 1:
            return own.split_by_class(self.labels[0], self.root)
        train, test = (labels.size for labels in self.labels)
        return np.arange(train), train + np.arange(test)


def _look(dataset: Dataset) -> _Folder:
    """The folder that a section names, read once unless images come or go.

    Raises:
        DataError: missing, without images, or with a class of which the training split has none.
    """
    root = own.own_path(dataset)
    if not visible(root) or not root.is_dir():
        raise DataError("there is no such folder", where=root, remedy=_REMEDY)
    splits = [root / "train", root / "test"] if (root / "train").is_dir() else [root]
    folders = [folder for split in splits for folder in _below(split)]
    changed = tuple((folder, folder.stat().st_mtime_ns) for folder in folders)
    return _look_again(root, tuple(splits), changed)


def _below(split: Path) -> list[Path]:
    return sorted(each for each in split.glob("*") if each.is_dir())


@lru_cache(maxsize=8)
def _look_again(root: Path, splits: tuple[Path, ...], changed: tuple[object, ...]) -> _Folder:
    classes = tuple(folder.name for folder in _below(splits[0]))
    for name in classes:
        _check_name(root / name)
    found = [[_images(split / name) for name in classes] for split in splits]
    labels = [np.repeat(np.arange(len(classes)), list(map(len, each))) for each in found]
    if not classes or min(each.size for each in labels) == 0:
        raise DataError("there are no images in the folders of classes", where=root, remedy=_REMEDY)
    own.check_labels(labels, len(classes), splits[0])
    files = tuple(file for split in found for of_class in split for file in of_class)
    sums = [(str(f.relative_to(root)), _digest(f)) for f in files]
    shape, content = _decode(files[0]).shape, own.content_digest(sums)
    return _Folder(root, files, classes, tuple(labels), shape, content)


def _check_name(folder: Path) -> None:
    """Refuse the name of a class that no store can hold: bytes that are no text."""
    try:
        folder.name.encode()
    except UnicodeEncodeError:
        raise DataError(
            f"the name of the folder {folder.name!a} is no UTF-8",
            where=folder.parent,
            remedy="give it another name",
        ) from None


def _digest(file: Path) -> str:
    content = read(file, _UNREADABLE, _LARGEST)
    return hashlib.sha256(content).hexdigest()


def _images(folder: Path) -> list[Path]:
    """The images of a class, sorted; none where the folder is not there."""
    return sorted(file for file in folder.glob("*") if file.suffix.lower() in _SUFFIXES)


def _facts(dataset: Dataset) -> DatasetFacts:
    folder = _look(dataset)
    labels = np.concatenate(folder.labels)
    train, test = (labels[kept] for kept in folder.splits)
    return own.facts(train, test, folder.shape, "uint8", folder.content)


def open_folder(dataset: Dataset) -> Samples:
    """Images that are decoded when they are read.

    Raises:
        DataError: missing; or, when read, an image that cannot be decoded, has another size or more
            than 8 bits per channel.
    """
    folder = _look(dataset)
    labels = np.concatenate(folder.labels)
    train, test = (
        Split(labels[index], _reader([folder.files[i] for i in index], folder.shape))
        for index in folder.splits
    )
    return Samples(train, test, folder.classes, (str(folder.root),))


def _reader(files: list[Path], shape: tuple[int, ...]) -> Callable[[np.ndarray], np.ndarray]:
    return lambda index: np.stack([_decode(files[i], shape) for i in index])


def _decode(file: Path, shape: tuple[int, ...] | None = None) -> np.ndarray:
    """One image as uint8 [y, x, channel], of a shape if one is given."""
    from PIL import Image

    try:
        with Image.open(file) as image:
            check_depth(image, file)
            grey = image.mode in ("1", "L") if shape is None else shape[2] == 1
            pixels = np.asarray(image.convert("L" if grey else "RGB"), dtype=np.uint8)
    except NtkscopeError:
        raise
    except Exception as error:  # a decoder of Pillow may stumble in any way
        raise DataError(
            f"the image cannot be decoded: {error}", where=file, remedy=_UNREADABLE
        ) from None
    pixels = pixels[..., None] if grey else pixels
    if shape not in (None, pixels.shape):
        raise DataError(
            f"this image is {pixels.shape[0]} × {pixels.shape[1]} pixels, the first one "
            f"{shape[0]} × {shape[1]}",
            where=file,
            remedy="give all images one size",
        )
    return pixels


DATASET = Source(
    title="images of one's own",
    facts=_facts,
    open=open_folder,
    is_there=own.is_there,
    licence=own.LICENCE,
    citation="",
    published=False,
)
