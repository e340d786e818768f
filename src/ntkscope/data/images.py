"""A prepared dataset in memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ntkscope.errors import StoreError
from ntkscope.stores import ZarrStore

_REMEDY = "delete it and run the rule prepare_data again"


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
    store = ZarrStore.open(Path(path), "images")
    image, label, split = (store.read(name) for name in ("image", "label", "split"))
    _check_layout({"image": image, "label": label, "split": split}, path)
    border = int(np.count_nonzero(split == 0))
    attrs = _attributes(dict(store.group.attrs), image.shape[3], path)
    _check_content(label, split, len(attrs["classes"]), path)
    return LoadedImages(image[:border], label[:border], image[border:], label[border:], **attrs)


def _check_layout(arrays: dict[str, np.ndarray], path: str | Path) -> None:
    samples = len(arrays["label"])
    for name, dtype, ndim in (("image", "uint8", 4), ("label", "int64", 1), ("split", "uint8", 1)):
        found = arrays[name]
        if found.dtype != dtype or found.ndim != ndim or len(found) != samples:
            raise StoreError(
                f"{name} is {found.dtype} {found.shape}, not {dtype} with {ndim} dimensions, "
                f"the first of {samples} samples",
                where=path,
                remedy=_REMEDY,
            )


def _attributes(attrs: dict[str, Any], channels: int, path: str | Path) -> dict[str, Any]:
    try:
        mean, std = (np.asarray(attrs[key], dtype=np.float64) for key in ("mean", "std"))
        white, classes = int(attrs["white"]), tuple(map(str, attrs["classes"]))
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
