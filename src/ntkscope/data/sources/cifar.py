"""The files of CIFAR-10 and CIFAR-100: 60,000 colour images of 32×32 pixels, "python version".

That version is what torchvision downloads and most machines have, but its batches are pickles,
and unpickling runs what a file says. Two barriers therefore stand before it. The bytes that are
unpickled are the very bytes whose MD5 was found to be the published one (not a file that is read
again after the check), and the unpickler knows NumPy's array constructors and nothing else, so
that a pickle can name no other code.
"""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from ntkscope.config.datasets import DatasetFacts, Source
from ntkscope.config.sections import Dataset
from ntkscope.data.sources.base import Samples, Split, in_memory
from ntkscope.data.sources.files import download, find, holder, lies_in, places, read, verified
from ntkscope.errors import DataError

LICENCE = "none stated by the authors"
CITATION = (
    "A. Krizhevsky: Learning Multiple Layers of Features from Tiny Images. Technical report, "
    "University of Toronto, 2009"
)
_ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}


def published(title: str, classes: int, *, label: str, folder: str, file: str) -> Source:
    """CIFAR-10 or CIFAR-100, whose images have their class under `label` in the batches.

    Args:
        title: such as `CIFAR-10`; without the hyphen, torchvision's name of it.
        classes: each of as many images.
        label: key of the batches.
        folder, file: by which the archive is recognised, see `is_there`.
    """

    def open_published(dataset: Dataset) -> Samples:
        import torchvision.datasets

        return open_batches(dataset, getattr(torchvision.datasets, title.replace("-", "")), label)

    train, test = 50_000 // classes, 10_000 // classes
    return Source(
        title=title,
        facts=DatasetFacts(
            classes=classes,
            shape=(32, 32, 3),
            train_per_class=train,
            counts=((train,) * classes, (test,) * classes),
        ),
        open=open_published,
        is_there=lambda dataset: is_there(dataset, folder, file),
        licence=LICENCE,
        citation=CITATION,
    )


def open_batches(dataset: Dataset, published: Any, label: str) -> Samples:
    """Open what torchvision's class `published` describes: names and MD5s of its files.

    Raises:
        DataError: a file is missing or not the published one.
    """
    base, own = places(dataset)
    folders = [place / published.base_folder for place in (base, own)] + [base, own]
    meta = (published.meta["filename"], published.meta["md5"])
    names = [name for name, _ in (*published.train_list, *published.test_list, meta)]
    if dataset.download and holder(folders, names) is None:
        archive = (published.filename, published.tgz_md5)
        download(published.url, base, *archive, unpack=True)
    remedy = (
        f"set dataset.download: true, or get {published.filename} from the official page of CIFAR "
        f"and unpack it in {base}"
    )
    folder = find(folders, names, remedy)
    classes = read_batch(folder / meta[0], meta[1], remedy)
    return Samples(
        train=_split(folder, published.train_list, label, remedy),
        test=_split(folder, published.test_list, label, remedy),
        classes=tuple(classes[published.meta["key"]]),
        files=tuple(str(folder / name) for name in names),
    )


def is_there(dataset: Dataset, folder: str, file: str) -> bool:
    """Whether a file of the archive is there, in the archive's folder or without it."""
    return dataset.download or lies_in(places(dataset), (f"{folder}/{file}",), (file,))


def _split(folder: Path, files: list[list[str]], label: str, remedy: str) -> Split:
    batches = [read_batch(folder / name, md5, remedy) for name, md5 in files]
    planes = np.concatenate([batch["data"] for batch in batches]).reshape(-1, 3, 32, 32)
    labels = np.concatenate([batch[label] for batch in batches])
    return in_memory(np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), labels)


def read_batch(file: Path, md5: str, remedy: str) -> Any:
    """Verify a pickle of containers, numbers, strings and NumPy arrays, then unpickle it.

    Raises:
        DataError: missing or not the published file; or the pickle names anything else.
    """
    content = verified(read(file, remedy), md5, file, remedy)
    try:
        return _ArraysOnly(io.BytesIO(content), encoding="latin1").load()
    except (pickle.UnpicklingError, EOFError, ValueError, TypeError) as error:
        raise DataError(f"the pickle is refused: {error}", where=file, remedy=remedy) from None


class _ArraysOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which no batch of CIFAR does")
        return _ALLOWED[module, name]
