"""SVHN: 99,289 colour images of house-number digits, 32×32 pixels, as two MATLAB files."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ntkscope.config.datasets import DatasetFacts, Source
from ntkscope.config.sections import Dataset
from ntkscope.data.sources.base import Samples, Split, in_memory
from ntkscope.data.sources.files import download, find, holder, lies_in, places, read, verified
from ntkscope.errors import DataError

CLASSES = tuple("0123456789")


def open_svhn(dataset: Dataset) -> Samples:
    """73,257 training and 26,032 test images (format 2, cropped digits; without `extra`).

    Raises:
        DataError: a file is missing or not the published one.
    """
    (train, test), files = open_splits(dataset, ("train", "test"))
    return Samples(train=train, test=test, classes=CLASSES, files=files)


def open_splits(
    dataset: Dataset, splits: Sequence[str]
) -> tuple[tuple[Split, ...], tuple[str, ...]]:
    """Splits (train, test, extra), each a file of its own, and the paths of the files.

    Raises:
        DataError: a file is missing or not the published one.
    """
    from torchvision.datasets import SVHN

    base, *_ = places_ = folders(dataset)
    published = [SVHN.split_list[split] for split in splits]
    names = [name for _, name, _ in published]
    if dataset.download and holder(places_, names) is None:
        for url, name, md5 in published:
            download(url, base, name, md5)
    remedy = (
        f"set dataset.download: true, or put {' and '.join(names)} of the official page into {base}"
    )
    folder = find(places_, names, remedy)
    read = (read_mat(folder / name, md5, remedy) for _, name, md5 in published)
    return tuple(read), tuple(str(folder / name) for name in names)


def folders(dataset: Dataset) -> tuple[Path, ...]:
    """Where the files may lie: the folder of data sets, and SVHN's own in it."""
    base, own = places(dataset)
    return (base, own, base / "svhn") if own.name != "svhn" else (base, own)


def read_mat(file: Path, md5: str, remedy: str) -> Split:
    """One split: X is uint8 [y, x, channel, n]; y is [n, 1], in which the digit 0 is labelled 10.

    Raises:
        DataError: missing, not the published file, or without these arrays.
    """
    from scipy.io import loadmat

    content = verified(read(file, remedy), md5, file, remedy)
    try:
        arrays = loadmat(io.BytesIO(content), variable_names=("X", "y"))
        images, labels = np.moveaxis(arrays["X"], -1, 0), arrays["y"].ravel().astype(np.int64)
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(f"this is not SVHN's format: {error}", where=file, remedy=remedy) from None
    return in_memory(images, np.where(labels == 10, 0, labels))


DATASET = Source(
    title="SVHN",
    facts=DatasetFacts(classes=10, shape=(32, 32, 3), train_per_class=4659),
    open=open_svhn,
    is_there=lambda dataset: dataset.download or lies_in(folders(dataset), ("train_32x32.mat",)),
    licence="for non-commercial use only",
    citation="Y. Netzer, T. Wang, A. Coates, A. Bissacco, B. Wu, A. Y. Ng: Reading Digits in "
    "Natural Images with Unsupervised Feature Learning. NIPS Workshop on Deep Learning and "
    "Unsupervised Feature Learning, 2011",
)
