"""CIFAR-5m: 6,002,688 synthetic CIFAR-10-like images of 32×32 pixels, in six NumPy files.

Each part is an .npz of 1,000,448 images: X uint8 [n, 32, 32, 3] and Y, the class [n], 0 to 9 in
CIFAR-10's order. Parts 0 to 4 are the training split and part 5, "the 6th million", is the test
split, as in the loader of the dataset's authors. Images are mapped, never all in memory.
"""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path

import numpy as np

from ntkscope.config.datasets import DatasetFacts, Source
from ntkscope.config.sections import Dataset
from ntkscope.data.sources.base import Samples, in_memory, joined
from ntkscope.data.sources.files import DAMAGES, find, holder, lies_in, npy_header, places
from ntkscope.errors import DataError

_CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)
_TRAIN, _TEST = range(5), range(5, 6)
_SHAPE = (32, 32, 3)
_REMEDY = (
    "get part0.npz to part5.npz from gs://gresearch/cifar5m (18 GB), the place named on the "
    "dataset's official page"
)


def open_cifar5m(dataset: Dataset) -> Samples:
    """5,002,240 training and 1,000,448 test images.

    The parts are named part0.npz to part5.npz, or cifar5m_part0.npz and so on.

    Raises:
        DataError: a part is missing, truncated, compressed, or holds other arrays.
    """
    folders, names = places(dataset), [f"part{i}.npz" for i in range(6)]
    prefixed = [f"cifar5m_{name}" for name in names]
    if holder(folders, names) is None and holder(folders, prefixed) is not None:
        names = prefixed
    folder = find(folders, names, _REMEDY)
    parts = [folder / name for name in names]
    return Samples(
        train=joined([in_memory(*open_part(parts[i])) for i in _TRAIN]),
        test=joined([in_memory(*open_part(parts[i])) for i in _TEST]),
        classes=_CLASSES,
        files=tuple(map(str, parts)),
    )


def open_part(file: Path) -> tuple[np.ndarray, np.ndarray]:
    """X of one part, mapped, and its Y as int64.

    Both are read once, in order, so that the archive's CRC-32 of each is verified.

    Raises:
        DataError: truncated or damaged, compressed, or with other arrays.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            damaged = archive.testzip()
            if damaged is not None:
                raise zipfile.BadZipFile(f"wrong CRC-32 of {damaged}")
            images = _map(file, archive.getinfo("X.npy"))
            with archive.open("Y.npy") as member:
                npy_header(member, archive.getinfo("Y.npy").file_size, "Y")
                member.seek(0)
                labels = np.lib.format.read_array(member, allow_pickle=False)
    except DAMAGES as error:
        raise _wrong(file, f"truncated or damaged: {error}") from None
    if images.dtype != np.uint8 or images.shape[1:] != _SHAPE:
        raise _wrong(file, f"X is {images.dtype} {images.shape}, not uint8 (n, 32, 32, 3)")
    if labels.dtype.kind not in "iu" or labels.shape != images.shape[:1]:
        raise _wrong(file, f"Y is {labels.dtype} {labels.shape}, not int64 ({len(images)},)")
    if len(labels) == 0 or labels.min() < 0 or labels.max() >= len(_CLASSES):
        raise _wrong(file, f"Y has labels out of 0 to {len(_CLASSES) - 1}, or none")
    return images, labels.astype(np.int64)


def _map(file: Path, member: zipfile.ZipInfo) -> np.ndarray:
    """Map an array that lies uncompressed in an archive; np.load maps no archive's members.

    A local header of a ZIP file has 30 bytes, the last four being the lengths of the name and of
    the extra field, which follow it; then comes the member, a .npy file.
    """
    if member.compress_type != zipfile.ZIP_STORED:
        raise ValueError("X is compressed and cannot be mapped; save it again with numpy.savez")
    with file.open("rb") as stream:
        stream.seek(member.header_offset + 26)
        stream.seek(sum(struct.unpack("<HH", stream.read(4))), 1)
        shape, fortran, dtype = npy_header(stream, member.file_size, "X")
        offset = stream.tell()
    return np.memmap(file, dtype, "r", offset, shape, "F" if fortran else "C")


def _wrong(file: Path, what: str) -> DataError:
    return DataError(f"this is no part of CIFAR-5m: {what}", where=file, remedy=_REMEDY)


DATASET = Source(
    title="CIFAR-5m",
    facts=DatasetFacts(classes=len(_CLASSES), shape=_SHAPE, train_per_class=None),
    open=open_cifar5m,
    is_there=lambda dataset: lies_in(places(dataset), ("part0.npz",), ("cifar5m_part0.npz",)),
    licence="none stated by the authors",
    citation="P. Nakkiran, B. Neyshabur, H. Sedghi: The Deep Bootstrap Framework: Good Online "
    "Learners are Good Offline Generalizers. ICLR 2021, arXiv:2010.08127",
)
