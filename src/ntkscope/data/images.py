"""A prepared dataset in memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ntkscope.errors import StoreError
from ntkscope.stores import read_store

_REMEDY = "delete it and run the rule prepare_data again"
_DIMS = ("sample", "y", "x", "channel")


@dataclass(frozen=True)
class LoadedImages:
    """All images of a prepared dataset.

    Attributes:
        train, test: images, uint8 [n, y, x, channel].
        train_labels, test_labels: their classes, int64 [n].
        white: the value of full intensity (16 for digits, else 255).
        mean, std: of train / white, float64 [channel].
        classes: name of each class.
    """

    train: np.ndarray
    train_labels: np.ndarray
    test: np.ndarray
    test_labels: np.ndarray
    white: int
    mean: np.ndarray
    std: np.ndarray
    classes: tuple[str, ...]


def load_images(path: str | Path) -> LoadedImages:
    """Read a whole store of kind `images`.

    Raises:
        StoreError: missing, incomplete, damaged, of another kind, or not as `prepare_data` writes.
    """
    data = read_store(path, "images")
    _check_layout(data, path)
    image, label, split = (_values(data, name, path) for name in ("image", "label", "split"))
    border = int(np.count_nonzero(split == 0))
    attrs = _attributes(data, path)
    _check_content(label, split, len(attrs["classes"]), path)
    return LoadedImages(image[:border], label[:border], image[border:], label[border:], **attrs)


def _check_layout(data: xr.Dataset, path: str | Path) -> None:
    expected = {"image": (_DIMS, np.uint8), "label": (_DIMS[:1], np.int64)}
    for name, (dims, dtype) in {**expected, "split": (_DIMS[:1], np.uint8)}.items():
        if name not in data.variables:
            raise StoreError(f"the store has no array {name!r}", where=path, remedy=_REMEDY)
        found = data[name]
        if found.dims != dims or found.dtype != dtype:
            raise StoreError(
                f"{name} is {found.dtype} {found.dims}, not {np.dtype(dtype)} {dims}",
                where=path,
                remedy=_REMEDY,
            )


def _values(data: xr.Dataset, name: str, path: str | Path) -> np.ndarray:
    try:
        return np.asarray(data[name].values)
    except (ValueError, RuntimeError, OSError) as error:
        raise StoreError(f"{name} is damaged: {error}", where=path, remedy=_REMEDY) from None


def _attributes(data: xr.Dataset, path: str | Path) -> dict[str, Any]:
    channels = data.sizes["channel"]
    try:
        mean, std = (np.asarray(data.attrs[key], dtype=np.float64) for key in ("mean", "std"))
        white, classes = int(data.attrs["white"]), tuple(map(str, data.attrs["classes"]))
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(
            f"an attribute is missing or not as expected: {error}", where=path, remedy=_REMEDY
        ) from None
    if mean.shape != (channels,) or std.shape != (channels,):
        raise StoreError(
            f"mean {mean.shape} and std {std.shape} are not one number for each of "
            f"{channels} channels",
            where=path,
            remedy=_REMEDY,
        )
    return {"white": white, "mean": mean, "std": std, "classes": classes}


def _check_content(label: np.ndarray, split: np.ndarray, classes: int, path: str | Path) -> None:
    if not (np.isin(split, (0, 1)).all() and (np.diff(split.astype(np.int8)) >= 0).all()):
        raise StoreError("split is not 0 (train) and then 1 (test)", where=path, remedy=_REMEDY)
    if label.size and (label.min() < 0 or label.max() >= classes):
        raise StoreError(
            f"labels run from {label.min()} to {label.max()}, but there are {classes} classes",
            where=path,
            remedy=_REMEDY,
        )
