"""Sources of images, one file each; a dataset's name chooses its source from `SOURCES`."""

from __future__ import annotations

from collections.abc import Callable

from ntkscope.config.datasets import DATASETS
from ntkscope.config.sections import Dataset
from ntkscope.data.sources.base import Images, Split, check
from ntkscope.data.sources.cifar import open_cifar10, open_cifar100
from ntkscope.data.sources.cifar5m import open_cifar5m
from ntkscope.data.sources.digits import open_digits
from ntkscope.data.sources.fashion_mnist import open_fashion_mnist
from ntkscope.data.sources.imagenet100 import open_imagenet100
from ntkscope.data.sources.presence import is_there
from ntkscope.data.sources.svhn import open_svhn

__all__ = ["SOURCES", "Images", "Split", "is_there", "open_source"]

SOURCES: dict[str, Callable[[Dataset], Images]] = {
    "digits": open_digits,
    "fashion_mnist": open_fashion_mnist,
    "cifar10": open_cifar10,
    "cifar100": open_cifar100,
    "svhn": open_svhn,
    "imagenet100": open_imagenet100,
    "cifar5m": open_cifar5m,
}


def open_source(dataset: Dataset) -> Images:
    """Find, verify and open the files of a dataset.

    Raises:
        DataError: a file is missing, truncated or not what it should be; says how to get it.
    """
    images = SOURCES[dataset.name](dataset)
    check(images, DATASETS[dataset.name])
    return images
