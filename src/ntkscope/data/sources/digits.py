"""Digits: 1,797 images of 8×8 pixels, bundled with scikit-learn. No file, no download, no torch."""

from __future__ import annotations

import numpy as np

from ntkscope.config.datasets import DatasetFacts, Source
from ntkscope.config.sections import Dataset
from ntkscope.data.sources.base import Samples, in_memory
from ntkscope.data.subset import balanced_subset

_TEST = 360
_SEED = 1998


def open_digits(dataset: Dataset) -> Samples:
    """1,437 training and 360 test images (36 a class, seeded); 16 is full intensity.

    scikit-learn has no split of its own: its copy is the test set of the original.
    """
    import sklearn
    from sklearn.datasets import load_digits

    bundle = load_digits()
    images, labels = bundle.images.astype(np.uint8)[..., None], bundle.target
    test = np.sort(np.concatenate(balanced_subset(labels, range(10), _TEST, [_SEED], "digits")))
    train = np.setdiff1d(np.arange(labels.size), test)
    return Samples(
        train=in_memory(images[train], labels[train]),
        test=in_memory(images[test], labels[test]),
        classes=tuple(str(name) for name in bundle.target_names),
        files=(f"sklearn.datasets.load_digits (scikit-learn {sklearn.__version__})",),
        white=16,
    )


DATASET = Source(
    title="digits",
    facts=DatasetFacts(
        classes=10,
        shape=(8, 8, 1),
        train_per_class=130,
        counts=((142, 146, 141, 147, 145, 146, 145, 143, 138, 144), (36,) * 10),
    ),
    open=open_digits,
    is_there=lambda dataset: True,
    licence="CC BY 4.0",
    citation="E. Alpaydin, C. Kaynak: Cascading Classifiers. Kybernetika 34(4), 1998; "
    "UCI Machine Learning Repository, Optical Recognition of Handwritten Digits",
)
