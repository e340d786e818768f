"""Whether a dataset's files are on this machine: a look at one of them, nothing is read."""

from __future__ import annotations

from pathlib import Path

from ntkscope.config.sections import Dataset
from ntkscope.data.sources.fashion_mnist import DEBIAN
from ntkscope.data.sources.files import places

_SIGNS = {
    "fashion_mnist": (
        ("FashionMNIST/raw/train-images-idx3-ubyte.gz",),
        ("train-images-idx3-ubyte.gz",),
    ),
    "cifar10": (("cifar-10-batches-py/data_batch_1",), ("data_batch_1",)),
    "cifar100": (("cifar-100-python/meta",), ("meta",)),
    "svhn": (("train_32x32.mat",),),
    "imagenet100": (("train", "val"),),
    "cifar5m": (("part0.npz",), ("cifar5m_part0.npz",)),
}
"""For each dataset: any of these in a folder is a sign of it, if all of the sign is there."""
_NEVER_DOWNLOADED = ("imagenet100", "cifar5m")


def is_there(dataset: Dataset) -> bool:
    """Whether the dataset can be prepared here: it comes with a library, lies on disk or is had.

    A file of the right name in a right place will do; the source itself verifies all of them.
    """
    if dataset.name == "digits":
        return True
    if dataset.download and dataset.name not in _NEVER_DOWNLOADED:
        return True
    folders: list[Path] = list(places(dataset))
    if dataset.name == "fashion_mnist" and not dataset.root:
        folders.append(DEBIAN)
    return any(
        all((folder / part).exists() for part in sign)
        for folder in folders
        for sign in _SIGNS[dataset.name]
    )
