"""SVHN with `extra`: 604,388 training images of house-number digits, and SVHN's 26,032 for test.

The 531,131 extra images are the easier ones. They come after the 73,257 of `svhn`.
"""

from __future__ import annotations

from ntkscope.config.datasets import DatasetFacts, Source
from ntkscope.config.sections import Dataset
from ntkscope.data.sources.base import Samples, joined
from ntkscope.data.sources.files import lies_in
from ntkscope.data.sources.svhn import CLASSES, folders, open_splits
from ntkscope.data.sources.svhn import DATASET as SVHN


def open_svhn_extra(dataset: Dataset) -> Samples:
    """Files of `svhn`, and extra_32x32.mat beside them.

    Raises:
        DataError: a file is missing or not the published one.
    """
    (train, test, extra), files = open_splits(dataset, ("train", "test", "extra"))
    return Samples(train=joined([train, extra]), test=test, classes=CLASSES, files=files)


DATASET = Source(
    title="SVHN with extra",
    facts=DatasetFacts(classes=10, shape=(32, 32, 3), train_per_class=39_115),
    open=open_svhn_extra,
    is_there=lambda dataset: dataset.download or lies_in(folders(dataset), ("extra_32x32.mat",)),
    licence=SVHN.licence,
    citation=SVHN.citation,
)
