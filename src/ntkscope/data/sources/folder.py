"""kind: folder. Images of the user's own, a folder a class.

`train/<class>/` and `test/<class>/`, or `<class>/` alone, of which a seeded fifth is the test
split. Images are PNG, JPEG, BMP or TIFF, all of one size: that of the first; in grey if the first
is, else in colour (RGB).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np

from ntkscope.config.datasets import DatasetFacts, Source
from ntkscope.config.sections import Dataset
from ntkscope.data.sources import own
from ntkscope.data.sources.base import Samples, Split
from ntkscope.errors import DataError

_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"}
_REMEDY = "put images into train/<class>/ and test/<class>/ below dataset.path, or into <class>/"


def _listed(dataset: Dataset) -> tuple[Path, list[Path], tuple[str, ...], list[np.ndarray]]:
    """The folder, all its images, the classes, and the labels of each split; nothing is read.

    Raises:
        DataError: missing, without images, or with classes of which a split lacks one.
    """
    root = own.own_path(dataset)
    if not root.is_dir():
        raise DataError("there is no such folder", where=root, remedy=_REMEDY)
    splits = [root / "train", root / "test"] if (root / "train").is_dir() else [root]
    classes = tuple(sorted(each.name for each in splits[0].iterdir() if each.is_dir()))
    found = [[_images(split / name) for name in classes] for split in splits]
    labels = [np.repeat(np.arange(len(classes)), list(map(len, each))) for each in found]
    if not classes or min(each.size for each in labels) == 0:
        raise DataError("there are no images in the folders of classes", where=root, remedy=_REMEDY)
    own.check_labels(labels[0], len(classes), splits[0])
    files = [file for split in found for of_class in split for file in of_class]
    return root, files, classes, labels


def _images(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(file for file in folder.iterdir() if file.suffix.lower() in _SUFFIXES)


def _splits(labels: list[np.ndarray], root: Path) -> tuple[np.ndarray, np.ndarray]:
    """Training and test images, as indices into all files."""
    if len(labels) == 1:
        return own.split_by_class(labels[0], root)
    return np.arange(labels[0].size), labels[0].size + np.arange(labels[1].size)


def _facts(dataset: Dataset) -> DatasetFacts:
    root, files, _, labels = _listed(dataset)
    marks = tuple((stat.st_mtime_ns, stat.st_size) for stat in (file.stat() for file in files))
    content = _content(root, tuple(files), marks)
    every = np.concatenate(labels)
    train, _ = _splits(labels, root)
    return own.facts(every[train], _decode(files[0]).shape, "uint8", content)


@lru_cache(maxsize=8)
def _content(root: Path, files: tuple[Path, ...], marks: tuple[object, ...]) -> str:
    """Digest of every image and its place. `marks`, times and sizes, spare a second reading."""
    sums = [
        (file.relative_to(root).as_posix(), hashlib.sha256(file.read_bytes()).hexdigest())
        for file in files
    ]
    return own.content_digest(sums)


def open_folder(dataset: Dataset) -> Samples:
    """Images that are decoded when they are read.

    Raises:
        DataError: missing; or, when read, an image that cannot be decoded or has another size.
    """
    root, files, classes, labels = _listed(dataset)
    shape, every = _decode(files[0]).shape, np.concatenate(labels)
    train, test = (
        Split(every[index], _reader([files[i] for i in index], shape))
        for index in _splits(labels, root)
    )
    return Samples(train, test, classes, (str(root),))


def _reader(files: list[Path], shape: tuple[int, ...]) -> Callable[[np.ndarray], np.ndarray]:
    return lambda index: np.stack([_decode(files[i], shape) for i in index])


def _decode(file: Path, shape: tuple[int, ...] | None = None) -> np.ndarray:
    """One image as uint8 [y, x, channel], of a shape if one is given."""
    from PIL import Image

    try:
        with Image.open(file) as image:
            grey = image.mode in ("1", "L") if shape is None else shape[2] == 1
            pixels = np.asarray(image.convert("L" if grey else "RGB"), dtype=np.uint8)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(
            f"the image cannot be decoded: {error}", where=file, remedy="replace or remove it"
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
