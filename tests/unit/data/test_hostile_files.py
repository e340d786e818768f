"""Files that mean harm, or are broken in odd ways: refused, no code run, in bounded memory."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import pickle
import resource
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ntkscope.config.datasets import facts_of
from ntkscope.config.expand import dataset_spec
from ntkscope.config.sections import Dataset
from ntkscope.data import prepare_data
from ntkscope.data.sources import cifar, fashion_mnist, is_there, open_source
from ntkscope.data.sources.files import npy_header, read
from ntkscope.errors import DataError

LABELS = np.arange(60) % 3
VECTORS = np.random.default_rng(0).normal(size=(60, 5))
MEMORY = 6 * 10**8  # bytes that a refusal may take, of what a bomb says it has


class Bomb:
    """Makes a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.file,))


def npy(shape: str, *, dtype: str = "<f8", data: bytes = b"", length: int | None = None) -> bytes:
    """A .npy file whose header says a shape, whatever it holds."""
    header = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    size = len(header) if length is None else length
    return b"\x93NUMPY\x02\x00" + size.to_bytes(4, "little") + header + data


def packed(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def archive(folder: Path, compression: int = zipfile.ZIP_DEFLATED, **members: bytes) -> Dataset:
    with zipfile.ZipFile(folder / "mine.npz", "w", compression) as made:
        for name, content in {
            "inputs": packed(VECTORS),
            "labels": packed(LABELS),
            **members,
        }.items():
            made.writestr(f"{name}.npy", content)
    return Dataset(kind="npz", path=str(folder / "mine.npz"))


ARCHIVES = {
    "a shape without end": {"inputs": npy("(1000000000000, 5)")},
    "labels without end": {"labels": npy("(1000000000000,)", dtype="<i8")},
    "a header without end": {"labels": npy("(60,)", length=2**31)},
    "more than it says": {"labels": npy("(3,)", dtype="<i8", data=bytes(480))},
    "a zip bomb": {"inputs": npy("(60, 5000000)", dtype="|u1", data=bytes(3 * 10**8))},
    "labels that are a bomb": {"labels": npy("(30000000,)", dtype="<i4", data=bytes(12 * 10**7))},
    "names that are a bomb": {"classes": npy("(3,)", dtype="<U9999999", data=bytes(119999988))},
    "negative": {"inputs": npy("(-60, -5)", data=bytes(2400))},
    "no header": {"inputs": b"\x93NUMPY\x01\x00\x10\x00{'descr': '<f8'}"},
    "code for a header": {"labels": npy("__import__('os').abort()")},
    "nothing": {"labels": b""},
}


@pytest.fixture
def bounded(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The process may take little more memory than it has."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    limits = resource.getrlimit(resource.RLIMIT_AS)
    most = pages * os.sysconf("SC_PAGE_SIZE") + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, limits)


@pytest.mark.parametrize("kind", ARCHIVES)
@pytest.mark.usefixtures("bounded")
def test_an_archive_that_lies_is_refused(kind: str, tmp_path: Path) -> None:
    dataset = archive(tmp_path, **ARCHIVES[kind])
    with pytest.raises(DataError, match="no archive of plain arrays"):
        facts_of(dataset)


def test_objects_are_not_unpickled(tmp_path: Path) -> None:
    sign = tmp_path / "ran"
    objects = np.array([Bomb(sign)] * 60, dtype=object)
    for name in ("inputs", "labels", "classes"):
        dataset = archive(tmp_path, **{name: packed(objects)})
        with pytest.raises(DataError, match="Python objects"):
            facts_of(dataset)
    assert not sign.exists()


def test_an_archive_cut_or_encrypted_is_refused(tmp_path: Path) -> None:
    dataset = archive(tmp_path)
    content = bytearray((tmp_path / "mine.npz").read_bytes())
    for damaged in (content[: len(content) // 2], b"", b"PK\x05\x06" + bytes(18)):
        (tmp_path / "mine.npz").write_bytes(damaged)
        with pytest.raises(DataError, match="to do: save inputs and labels"):
            facts_of(dataset)
    place = content.rfind(b"PK\x01\x02")
    content[place + 8] |= 1  # the flag of encryption, of the labels
    (tmp_path / "mine.npz").write_bytes(content)
    with pytest.raises(DataError, match="no archive of plain arrays"):
        facts_of(dataset)


@pytest.mark.parametrize(
    "name", ["with space", "$HOME", "é ∝ 怠", "new\nline", "'quoted\"", "*[a]?"]
)
def test_any_name_of_a_file_will_do(name: str, tmp_path: Path) -> None:
    folder = tmp_path / name
    folder.mkdir()
    np.savez(folder / f"{name}.npz", inputs=VECTORS, labels=LABELS)
    dataset = Dataset(kind="npz", path=str(folder / f"{name}.npz"))
    assert facts_of(dataset).classes == 3
    assert "/" not in dataset.known_as and "\n" not in dataset.known_as


def test_a_long_name_leaves_room_for_what_a_store_adds(tmp_path: Path) -> None:
    dataset = Dataset(kind="npz", path=str(tmp_path / f"{'é' * 120}.npz"))
    assert len(dataset.known_as.encode()) < 200


def pictures(root: Path, *classes: str) -> Dataset:
    for name in classes or ("cat", "dog"):
        (root / name).mkdir(parents=True)
        for number in range(6):
            Image.fromarray(np.full((8, 8), number, np.uint8)).save(root / name / f"{number}.png")
    return Dataset(kind="folder", path=str(root))


def test_odd_names_of_classes_and_images_are_kept(tmp_path: Path) -> None:
    names = ("with space", "$HOME", "é ∝", "new\nline", "*[a]?")
    opened = open_source(pictures(tmp_path / "my images $1", *names))
    assert opened.classes == tuple(sorted(names))


def test_a_name_that_is_no_text_is_refused(tmp_path: Path) -> None:
    dataset = pictures(tmp_path)
    (tmp_path / "dog").rename(os.fsdecode(bytes(tmp_path) + b"/\xff\xfe"))
    with pytest.raises(DataError, match="is no UTF-8"):
        facts_of(dataset)


def test_links_that_lead_nowhere_or_in_circles_are_refused(tmp_path: Path) -> None:
    dataset = pictures(tmp_path)
    (tmp_path / "cat" / "loop.png").symlink_to(tmp_path / "cat" / "loop.png")
    with pytest.raises(DataError, match=r"(?s)none that can be read.*loop\.png"):
        facts_of(dataset)
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    looped = Dataset(kind="folder", path=str(tmp_path / "loop"))
    with pytest.raises(DataError, match="no such folder"):
        facts_of(looped)
    with pytest.raises(DataError, match="cannot be read"):
        facts_of(looped.model_copy(update={"kind": "npz"}))
    assert looped.known_as == "loop"


def test_what_this_user_may_not_see_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, **_: object) -> os.stat_result:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "stat", refuse)
    for kind, path in (("folder", "secret"), ("npz", "secret.npz")):
        dataset = Dataset(kind=kind, path=path)
        assert not is_there(dataset)
        with pytest.raises(DataError, match=r"no such folder|cannot be read"):
            facts_of(dataset)
    assert not is_there(Dataset(name="cifar10", root="secret"))
    with pytest.raises(DataError, match="missing: "):
        open_source(Dataset(name="cifar10", root="secret"))


def test_a_pipe_is_no_image(tmp_path: Path) -> None:
    dataset = pictures(tmp_path)
    os.mkfifo(tmp_path / "cat" / "pipe.png")
    with pytest.raises(DataError, match=r"(?s)none that can be read.*pipe\.png"):
        facts_of(dataset)


def test_a_truncated_image_is_named_wherever_it_is_cut(tmp_path: Path) -> None:
    dataset = pictures(tmp_path / "images")
    last = tmp_path / "images" / "dog" / "5.png"
    whole = last.read_bytes()
    for cut in (0, 7, 20, 33, 40, len(whole) // 2):
        last.write_bytes(whole[:cut])
        os.utime(last.parent, ns=(cut, cut))  # else the look at it is remembered
        with pytest.raises(DataError, match=r"(?s)cannot be decoded.*5\.png"):
            prepare(dataset, tmp_path)


def prepare(dataset: Dataset, folder: Path) -> None:
    prepare_data(dataset, dataset_spec(dataset), folder / "out.zarr", folder / "state", {})


def test_a_pickle_bomb_in_place_of_a_batch_of_cifar_runs_nothing(tmp_path: Path) -> None:
    sign, file = tmp_path / "ran", tmp_path / "data_batch_1"
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        content = pickle.dumps({"data": Bomb(sign)}, protocol)
        file.write_bytes(content)
        with pytest.raises(DataError, match="not the published one"):
            cifar.read_batch(file, "0" * 32, "get it again")
        md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
        with pytest.raises(DataError, match="the pickle is refused"):
            cifar.read_batch(file, md5, "get it again")
    assert not sign.exists()


@pytest.mark.usefixtures("bounded")
def test_a_gzip_bomb_in_place_of_fashion_mnist_is_not_unpacked(tmp_path: Path) -> None:
    file = tmp_path / "train-images-idx3-ubyte.gz"
    block = gzip.compress(bytes(10**8), 9)
    file.write_bytes(block * 20)  # two gigabytes
    with pytest.raises(DataError, match="not the published one"):
        fashion_mnist.read_idx(file, "0" * 32)


def test_a_file_larger_than_any_published_one_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "large").open("wb") as stream:
        stream.truncate(10**13)
    with pytest.raises(DataError, match="more than 2,000,000,000 bytes"):
        read(tmp_path / "large", "get it again")


def test_the_header_of_a_plain_array_is_read_as_numpy_reads_it() -> None:
    content = packed(VECTORS)
    assert npy_header(io.BytesIO(content), len(content), "x") == ((60, 5), False, VECTORS.dtype)
