"""CIFAR-100: 50,000 training and 10,000 test images of 32×32 pixels, 100 (fine) classes."""

from __future__ import annotations

from ntkscope.data.sources import cifar

DATASET = cifar.published(
    "CIFAR-100", 100, label="fine_labels", folder="cifar-100-python", file="meta"
)
