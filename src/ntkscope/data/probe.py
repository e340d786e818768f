"""The probe: the fixed images on which kernels are evaluated."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ntkscope.config.specs import KernelSpec
from ntkscope.data.subset import balanced_subset
from ntkscope.identity import digest


@dataclass(frozen=True)
class Probe:
    """A choice of N training images.

    Attributes:
        index: their places among the training images, int64 [N], class after class.
        label: the label that the spec gives to the class of each, int64 [N].
        digest: 12 hex digits of index and label.
    """

    index: np.ndarray
    label: np.ndarray
    digest: str


def choose_probe(labels: np.ndarray, spec: KernelSpec) -> Probe:
    """Choose the probe of a kernel: class-balanced, the remainder to the first classes.

    A class's images depend on the seed and that class alone, and a larger probe holds every
    smaller one: kernels of the same seed can be compared image by image.

    Args:
        labels: class of each training image, int64 [n].
        spec: gives `samples`, `seed`, and the `classes` with their `labels`. With fewer samples
            than classes the last classes have none.

    Raises:
        DataError: a class has too few training images.
    """
    chosen = balanced_subset(labels, spec.classes, spec.samples, [spec.seed], "probe.samples")
    sizes = [part.size for part in chosen]
    index = np.concatenate(chosen).astype(np.int64)
    label = np.repeat(np.asarray(spec.labels, dtype=np.int64), sizes)
    return Probe(index, label, digest({"index": index.tolist(), "label": label.tolist()}))
