"""CIFAR-10: 50,000 training and 10,000 test images of 32×32 pixels, 10 classes."""

from __future__ import annotations

from ntkscope.data.sources import cifar

DATASET = cifar.published(
    "CIFAR-10", 10, label="labels", folder="cifar-10-batches-py", file="data_batch_1"
)
