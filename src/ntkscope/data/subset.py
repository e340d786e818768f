"""Seeded, class-balanced choices of images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ntkscope.errors import DataError


def balanced_subset(
    labels: np.ndarray, classes: Sequence[int], samples: int, seed: Sequence[int], setting: str
) -> list[np.ndarray]:
    """Choose `samples` images, equally many of each class; the first classes take the remainder.

    The choice within a class depends on `seed` and that class alone, and a larger subset holds
    every smaller one.

    Args:
        labels: class of each image, int64 [n].
        classes: the classes to choose from, distinct.
        samples: how many images in all.
        seed: entropy of the choice, non-negative integers.
        setting: the key of the configuration that asks for `samples`, for the error.

    Returns:
        Ascending indices into `labels`, int64, one array for each of `classes`.

    Raises:
        DataError: a class has too few images.
    """
    each, remainder = divmod(samples, len(classes))
    wanted = [each + (position < remainder) for position in range(len(classes))]
    members = [np.flatnonzero(labels == label) for label in classes]
    for label, want, found in zip(classes, wanted, members, strict=True):
        if want > found.size:
            most = len(classes) * min(indices.size for indices in members)
            raise DataError(
                f"class {label} has {found.size} images, but {samples} images of {len(classes)} "
                f"classes in equal numbers need {want} of it",
                where=setting,
                remedy=f"set {setting} to at most {most}",
            )
    return [
        np.sort(_shuffled(found, [*seed, int(label)])[:want])
        for label, want, found in zip(classes, wanted, members, strict=True)
    ]


def _shuffled(indices: np.ndarray, seed: list[int]) -> np.ndarray:
    return np.random.default_rng(np.random.SeedSequence(seed)).permutation(indices)
