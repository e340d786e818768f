"""CIFAR-10: 50,000 training and 10,000 test images of 32×32 pixels, 10 classes."""

from __future__ import annotations

from ntkscope.config.datasets import DatasetFacts, Source
from ntkscope.config.sections import Dataset
from ntkscope.data.sources import cifar
from ntkscope.data.sources.base import Samples


def open_cifar10(dataset: Dataset) -> Samples:
    """Its batches, which are pickles: see `cifar`.

    Raises:
        DataError: a file is missing or not the published one.
    """
    from torchvision.datasets import CIFAR10

    return cifar.open_batches(dataset, CIFAR10, label="labels")


DATASET = Source(
    title="CIFAR-10",
    facts=DatasetFacts(
        classes=10,
        shape=(32, 32, 3),
        train_per_class=5000,
        counts=((5000,) * 10, (1000,) * 10),
    ),
    open=open_cifar10,
    is_there=lambda dataset: cifar.is_there(dataset, "cifar-10-batches-py", "data_batch_1"),
    licence=cifar.LICENCE,
    citation=cifar.CITATION,
)
