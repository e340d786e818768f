"""CIFAR-100: 50,000 training and 10,000 test images of 32×32 pixels, 100 (fine) classes."""

from __future__ import annotations

from ntkscope.config.datasets import DatasetFacts, Source
from ntkscope.config.sections import Dataset
from ntkscope.data.sources import cifar
from ntkscope.data.sources.base import Samples


def open_cifar100(dataset: Dataset) -> Samples:
    """Its batches, which are pickles: see `cifar`.

    Raises:
        DataError: a file is missing or not the published one.
    """
    from torchvision.datasets import CIFAR100

    return cifar.open_batches(dataset, CIFAR100, label="fine_labels")


DATASET = Source(
    title="CIFAR-100",
    facts=DatasetFacts(
        classes=100,
        shape=(32, 32, 3),
        train_per_class=500,
        counts=((500,) * 100, (100,) * 100),
    ),
    open=open_cifar100,
    is_there=lambda dataset: cifar.is_there(dataset, "cifar-100-python", "meta"),
    licence=cifar.LICENCE,
    citation=cifar.CITATION,
)
