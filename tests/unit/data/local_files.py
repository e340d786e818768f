"""Tiny files in the true formats of the datasets, and what they hold."""

from __future__ import annotations

import gzip
import hashlib
import struct
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image
from scipy.io import savemat


class Truth(NamedTuple):
    """What a tiny dataset holds: images uint8 [n, y, x, channel] and labels [n]."""

    train: np.ndarray
    train_labels: np.ndarray
    test: np.ndarray
    test_labels: np.ndarray


def truth(train: int, test: int, shape: tuple[int, int, int], classes: int = 10) -> Truth:
    """Random images; labels go round the classes."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (train + test, *shape), dtype=np.uint8)
    labels = np.arange(train + test) % classes
    return Truth(images[:train], labels[:train], images[train:], labels[train:])


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


def write(file: Path, content: bytes) -> str:
    """Write a file; its MD5."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return md5(content)


def idx(array: np.ndarray) -> bytes:
    """An array of bytes in IDX format."""
    head = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    return head + array.astype(np.uint8).tobytes()


def fashion_files(folder: Path, data: Truth) -> dict[str, str]:
    """Fashion-MNIST's four files; MD5 of the unpacked content by name without .gz."""
    arrays = {
        "train-images-idx3-ubyte": data.train[..., 0],
        "train-labels-idx1-ubyte": data.train_labels,
        "t10k-images-idx3-ubyte": data.test[..., 0],
        "t10k-labels-idx1-ubyte": data.test_labels,
    }
    for name, array in arrays.items():
        write(folder / f"{name}.gz", gzip.compress(idx(array)))
    return {name: md5(idx(array)) for name, array in arrays.items()}


def python2_pickle(value: Any) -> bytes:
    """Pickle protocol 2 as Python 2 wrote it (strings are byte strings), for CIFAR's batches."""
    return b"\x80\x02" + _opcodes(value) + b"."


def _opcodes(value: Any) -> bytes:
    if isinstance(value, dict):
        items = b"".join(_opcodes(k) + _opcodes(v) for k, v in value.items())
        return b"}(" + items + b"u"
    if isinstance(value, list):
        return b"](" + b"".join(map(_opcodes, value)) + b"e"
    if isinstance(value, str):
        return b"T" + struct.pack("<i", len(value)) + value.encode("latin1")
    if isinstance(value, np.ndarray):
        return _array_opcodes(value)
    return b"J" + struct.pack("<i", value)


def _array_opcodes(array: np.ndarray) -> bytes:
    """A uint8 matrix by numpy.core.multiarray._reconstruct, as NumPy 1 and Python 2 pickled it."""
    empty = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
    minus_one = b"J\xff\xff\xff\xff"
    dtype = b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNN" + 2 * minus_one + b"K\x00tb"
    shape = b"".join(map(_opcodes, array.shape)) + b"\x86"
    data = b"T" + struct.pack("<i", array.size) + array.tobytes()
    return empty + b"(K\x01" + shape + dtype + b"\x89" + data + b"tb"


def cifar_files(folder: Path, data: Truth, published: Any, label: str) -> dict[str, Any]:
    """CIFAR's batches; the attributes of torchvision's class with the MD5s of these files."""
    test_name, meta_name = published.test_list[0][0], published.meta["filename"]
    names = [name for name, _ in published.train_list]
    parts = np.array_split(np.arange(len(data.train)), len(names))
    train_list = [
        [name, write(folder / name, _batch(data.train[part], data.train_labels[part], label))]
        for name, part in zip(names, parts, strict=True)
    ]
    test = write(folder / test_name, _batch(data.test, data.test_labels, label))
    count = 100 if "100" in published.__name__ else 10
    meta = python2_pickle({published.meta["key"]: [f"class{i}" for i in range(count)]})
    return {
        "train_list": train_list,
        "test_list": [[test_name, test]],
        "meta": {**published.meta, "md5": write(folder / meta_name, meta)},
    }


def _batch(images: np.ndarray, labels: np.ndarray, label: str) -> bytes:
    planes = images.transpose(0, 3, 1, 2).reshape(len(images), -1)
    return python2_pickle({"data": planes, label: labels.tolist(), "batch_label": "tiny"})


def svhn_files(folder: Path, data: Truth, extra: int = 0) -> dict[str, list[str]]:
    """SVHN's files, the last training images as `extra`; torchvision's `split_list` with MD5s."""
    folder.mkdir(parents=True, exist_ok=True)
    listed, border = {}, len(data.train) - extra
    parts = [("train", data.train[:border], data.train_labels[:border]), ("test", *data[2:])]
    if extra:
        parts.append(("extra", data.train[border:], data.train_labels[border:]))
    for split, images, labels in parts:
        file = folder / f"{split}_32x32.mat"
        numbered = np.where(labels == 0, 10, labels).astype(np.uint8)[:, None]
        savemat(file, {"X": images.transpose(1, 2, 3, 0), "y": numbered})
        listed[split] = ["", file.name, md5(file.read_bytes())]
    return listed


def imagenet_files(root: Path, classes: list[str]) -> None:
    """Two training JPEGs and one of the validation set for each class, 80×100 pixels."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 2), ("val", 1)):
        for name in classes:
            (root / split / name).mkdir(parents=True)
            for number in range(count):
                noise = rng.integers(0, 256, (5, 4, 3), dtype=np.uint8)
                picture = Image.fromarray(noise).resize((80, 100))
                picture.save(root / split / name / f"{name}_{number}.JPEG")


def cifar5m_files(folder: Path, each: int = 20, prefix: str = "") -> Truth:
    """CIFAR-5m's six parts, `each` images in each."""
    data = truth(5 * each, each, (32, 32, 3))
    images = np.concatenate([data.train, data.test])
    labels = np.concatenate([data.train_labels, data.test_labels])
    folder.mkdir(parents=True, exist_ok=True)
    for part in range(6):
        span = slice(part * each, (part + 1) * each)
        np.savez(folder / f"{prefix}part{part}.npz", X=images[span], Y=labels[span])
    return data
