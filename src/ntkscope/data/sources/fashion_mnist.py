"""Fashion-MNIST: 70,000 images of 28×28 pixels, as four gzipped IDX files."""

from __future__ import annotations

import gzip
import io
import zlib
from pathlib import Path

import numpy as np

from ntkscope.config.datasets import DatasetFacts, Source
from ntkscope.config.sections import Dataset
from ntkscope.data.sources.base import Samples, in_memory
from ntkscope.data.sources.files import download, find, holder, lies_in, places, read, verified
from ntkscope.errors import DataError

DEBIAN = Path("/usr/share/datasets/fashion-mnist")
"""Where Debian's package dataset-fashion-mnist puts the files."""

_REMEDY = (
    "set dataset.download: true, or run `apt-get install dataset-fashion-mnist`, or put the four "
    ".gz files of the official page into dataset.root"
)
_LARGEST = 5 * 10**7  # of the unpacked files: more is not what has the MD5
_CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)

# MD5s of the unpacked files. The published ones, which torchvision lists, are of the gzip files,
# and Debian's differ from those in the name and time of the gzip header alone: with both put back
# (31 August 2017, 10:50 UTC) Debian's four files have the published MD5s.
MD5 = {
    "train-images-idx3-ubyte": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
    "train-labels-idx1-ubyte": "9018921c3c673c538a1fc5bad174d6f9",
    "t10k-images-idx3-ubyte": "8181f5470baa50b63fa0f6fddb340f0a",
    "t10k-labels-idx1-ubyte": "15d484375f8d13e6eb1aabb0c3f46965",
}


def open_fashion_mnist(dataset: Dataset) -> Samples:
    """60,000 training and 10,000 test images.

    The four .gz files may lie in the root, in `fashion_mnist/` there, where torchvision puts them
    (`FashionMNIST/raw/`), or, if no root is given, where Debian puts them.

    Raises:
        DataError: a file is missing or not the published one.
    """
    raw, *_ = folders = _folders(dataset)
    names = [f"{name}.gz" for name in MD5]
    if dataset.download and holder(folders, names) is None:
        _download(raw)
    folder = find(folders, names, _REMEDY)
    arrays = [read_idx(folder / f"{name}.gz", md5) for name, md5 in MD5.items()]
    return Samples(
        train=in_memory(arrays[0][..., None], arrays[1]),
        test=in_memory(arrays[2][..., None], arrays[3]),
        classes=_CLASSES,
        files=tuple(str(folder / name) for name in names),
    )


def _folders(dataset: Dataset) -> list[Path]:
    base, own = places(dataset)
    debian = [] if dataset.root else [DEBIAN]
    return [base / "FashionMNIST" / "raw", base, own, *debian]


def _is_there(dataset: Dataset) -> bool:
    return dataset.download or lies_in(_folders(dataset), ("train-images-idx3-ubyte.gz",))


def _download(folder: Path) -> None:
    from torchvision.datasets import FashionMNIST

    for name, md5 in FashionMNIST.resources:
        download(FashionMNIST.mirrors[0] + name, folder, name, md5)


def read_idx(file: Path, md5: str) -> np.ndarray:
    """A gzipped IDX file of unsigned bytes.

    The format: two zero bytes, 8 for uint8, the number of dimensions, each size as a big-endian
    uint32, then the values in C order.

    Args:
        file: the gzip file.
        md5: of its unpacked content.

    Raises:
        DataError: missing, truncated, not the published file, or not such a file.
    """
    packed = read(file, _REMEDY)
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(packed)) as stream:
            unpacked = stream.read(_LARGEST)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(
            f"the file is truncated or damaged ({len(packed)} bytes): {error}",
            where=file,
            remedy=f"move it away; then {_REMEDY}",
        ) from None
    return _parse(verified(unpacked, md5, file, _REMEDY), file)


def _parse(content: bytes, file: Path) -> np.ndarray:
    dims = content[3] if content[:3] == b"\x00\x00\x08" else 0
    start = 4 + 4 * dims
    shape = tuple(np.frombuffer(content[4:start], dtype=">u4").tolist())
    if dims == 0 or len(content) != start + np.prod(shape):
        raise DataError("this is not an IDX file of bytes", where=file, remedy=_REMEDY)
    return np.frombuffer(content, dtype=np.uint8, offset=start).reshape(shape)


DATASET = Source(
    title="Fashion-MNIST",
    facts=DatasetFacts(
        classes=10,
        shape=(28, 28, 1),
        train_per_class=6000,
        counts=((6000,) * 10, (1000,) * 10),
    ),
    open=open_fashion_mnist,
    is_there=_is_there,
    licence="MIT",
    citation="H. Xiao, K. Rasul, R. Vollgraf: Fashion-MNIST: a Novel Image Dataset for "
    "Benchmarking Machine Learning Algorithms. arXiv:1708.07747, 2017",
)
