"""What is known of each dataset before any of it is read: enough to refuse an impossible config."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DatasetFacts:
    """Facts of a dataset.

    Attributes:
        classes: number of classes.
        shape: image shape (y, x, channel) as prepared.
        train_per_class: fewest training images in any class; None where only the files tell.
        title: the name as printed in a figure.
    """

    classes: int
    shape: tuple[int, int, int]
    train_per_class: int | None
    title: str


DATASETS: dict[str, DatasetFacts] = {
    "digits": DatasetFacts(10, (8, 8, 1), 130, "digits"),
    "fashion_mnist": DatasetFacts(10, (28, 28, 1), 6000, "Fashion-MNIST"),
    "cifar10": DatasetFacts(10, (32, 32, 3), 5000, "CIFAR-10"),
    "cifar100": DatasetFacts(100, (32, 32, 3), 500, "CIFAR-100"),
    "svhn": DatasetFacts(10, (32, 32, 3), 4659, "SVHN"),
    "imagenet100": DatasetFacts(100, (64, 64, 3), None, "ImageNet-100"),
    "cifar5m": DatasetFacts(10, (32, 32, 3), None, "CIFAR-5m"),
}
