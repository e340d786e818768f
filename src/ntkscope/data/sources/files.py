"""Finding, downloading and verifying the files of a dataset."""

from __future__ import annotations

import hashlib
import io
import lzma
import math
import re
import struct
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ntkscope.config.sections import Dataset
from ntkscope.config.sections.texts import visible
from ntkscope.errors import DataError

if TYPE_CHECKING:
    from PIL import Image


LARGEST = 2 * 10**9
"""Bytes of a published file, the largest of which is SVHN's extra images, 1.3 GB."""

_LONGEST_HEADER = 10**4


def places(dataset: Dataset) -> tuple[Path, Path]:
    """The folder of datasets and the one of this dataset in it.

    The first is `dataset.root`, or `data` in the working directory. Files may lie in either.
    """
    base = Path(dataset.root).expanduser() if dataset.root else Path("data")
    return base, base / dataset.name


def lies_in(folders: Iterable[Path], *signs: Sequence[str]) -> bool:
    """Whether any folder holds all of any sign: names of files or folders."""
    return any(all(visible(folder / part) for part in sign) for folder in folders for sign in signs)


def _is_file(path: Path) -> bool:
    return visible(path) and path.is_file()


def holder(folders: Sequence[Path], names: Sequence[str]) -> Path | None:
    """The first folder that holds every one of the named files, or None."""
    for folder in folders:
        if all(_is_file(folder / name) for name in names):
            return folder
    return None


def find(folders: Sequence[Path], names: Sequence[str], remedy: str) -> Path:
    """The first folder that holds every one of the named files.

    Raises:
        DataError: no folder does; names what the fullest of them lacks.
    """
    found = holder(folders, names)
    if found is not None:
        return found
    fullest = max(folders, key=lambda folder: sum(_is_file(folder / n) for n in names))
    missing = [name for name in names if not _is_file(fullest / name)]
    searched = f"{fullest} (searched: {', '.join(map(str, folders))})"
    raise DataError(f"missing: {', '.join(missing)}", where=searched, remedy=remedy)


def read(file: Path, remedy: str, most: int = LARGEST) -> bytes:
    """The bytes of a file that has at most so many.

    Raises:
        DataError: it cannot be read, is larger, or is no file: a pipe or a device.
    """
    try:
        if not file.is_file() or file.stat().st_size > most:
            what = "has more than {most:,} bytes" if file.is_file() else "is none that can be read"
            raise DataError(f"the file {what.format(most=most)}", where=file, remedy=remedy)
        return file.read_bytes()
    except OSError as error:
        raise DataError(
            f"the file cannot be read: {error.strerror}", where=file, remedy=remedy
        ) from None


def verified(content: bytes, md5: str, file: Path, remedy: str) -> bytes:
    """The content of a file, once it is found to be what the dataset's authors published.

    Raises:
        DataError: its MD5 is not `md5`.
    """
    found = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if found != md5:
        raise DataError(
            f"the file is truncated or not the published one: its {len(content)} bytes have the "
            f"MD5 {found}, not {md5}",
            where=file,
            remedy=f"move it away; then {remedy}",
        )
    return content


DAMAGES = (  # what zipfile, its decompressors and NumPy raise for archives that are none
    OSError,
    ValueError,
    EOFError,
    LookupError,
    ArithmeticError,
    MemoryError,
    RuntimeError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
)


def npy_header(stream: Any, size: int, name: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether in Fortran's order, and dtype of a .npy file, leaving its data to be read.

    Args:
        stream: at the beginning of the file.
        size: bytes of the whole file.
        name: of the array, for the error.

    Raises:
        ValueError: no such file, or its header says that it holds more or less than it does.
    """
    version = np.lib.format.read_magic(stream)
    length = stream.read(2 if version == (1, 0) else 4)
    if int.from_bytes(length, "little") > _LONGEST_HEADER:
        raise ValueError(f"the header of {name} has no end")
    header = length + stream.read(int.from_bytes(length, "little"))
    parsed = np.lib.format.read_array_header_1_0
    if version != (1, 0):
        parsed = np.lib.format.read_array_header_2_0
    shape, fortran, dtype = parsed(io.BytesIO(header))
    if dtype.hasobject:
        raise ValueError(f"{name} holds Python objects")
    held = size - np.lib.format.MAGIC_LEN - len(header)
    if min(shape, default=1) < 0 or math.prod(shape) * dtype.itemsize != held:
        raise ValueError(f"{name} is not {dtype} {shape}: it has {held:,} bytes")
    return shape, fortran, dtype


def check_depth(image: Image.Image, file: Path) -> None:
    """Refuse an opened image of more than 8 bits per channel: Pillow clips or cuts its values.

    Raises:
        DataError: names the file.
    """
    stored = str(getattr(image, "tile", ""))  # a 16-bit PNG in colour says so nowhere else
    if image.mode.startswith(("I", "F")) or re.search(r";16[BLN]", stored):
        raise DataError(
            f"the image has more than 8 bits per channel (Pillow's mode {image.mode})",
            where=file,
            remedy="convert to 8 bits per channel",
        )


def download(url: str, folder: Path, name: str, md5: str, *, unpack: bool = False) -> None:
    """Download a file and verify its MD5, unless it is there already.

    Args:
        url: of http, https or ftp.
        folder: where it goes.
        name: of the file there.
        md5: of its content.
        unpack: whether it is a tar archive, whose members go into the folder too.

    Raises:
        DataError: it could not be had, or is not the published one.
    """
    import pooch

    unpacked = pooch.Untar(extract_dir=".") if unpack else None
    try:
        pooch.retrieve(url, f"md5:{md5}", fname=name, path=folder, processor=unpacked)
    except (OSError, ValueError) as error:
        raise DataError(
            f"{name} could not be downloaded: {error}",
            where=url,
            remedy=f"try again, or put the file into {folder} by hand",
        ) from None
