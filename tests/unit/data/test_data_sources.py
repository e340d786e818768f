"""Each source on tiny local files of its true format: what it reads, and what it refuses."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ntkscope.config.datasets import facts_of
from ntkscope.config.sections import Dataset
from ntkscope.data.sources import cifar5m, fashion_mnist, is_there, open_source
from ntkscope.data.sources.base import Samples
from ntkscope.data.sources.files import download
from ntkscope.errors import DataError

from . import local_files as files

WNIDS = [f"n{i:08d}" for i in range(100)]


def ask(name: str, root: Path | None = None, **settings: object) -> Dataset:
    return Dataset.model_validate({"name": name, "root": root and str(root), **settings})


def same(images: Samples, data: files.Truth) -> None:
    for split, expected, labels in ((images.train, *data[:2]), (images.test, *data[2:])):
        np.testing.assert_array_equal(split.read(np.arange(len(expected))), expected)
        np.testing.assert_array_equal(split.labels, labels)
        assert split.labels.dtype == np.int64
        some = np.arange(1, len(expected), 3)
        np.testing.assert_array_equal(split.read(some), expected[some])


def refused(dataset: Dataset, *words: str) -> None:
    with pytest.raises(DataError) as caught:
        open_source(dataset)
    assert caught.value.remedy
    for word in words:
        assert word in str(caught.value)


# Digits


def test_digits_are_scikit_learns_with_enough_of_each_class() -> None:
    images = open_source(ask("digits"))
    assert (images.train.labels.size, images.test.labels.size) == (1437, 360)
    assert np.bincount(images.train.labels).min() >= 130
    assert set(np.bincount(images.test.labels)) == {36}
    counts = tuple(
        tuple(np.bincount(split.labels).tolist()) for split in (images.train, images.test)
    )
    assert facts_of(ask("digits")).counts == counts
    assert images.train.read(np.arange(1437)).max() == images.white == 16


# Fashion-MNIST


@pytest.fixture
def fashion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, files.Truth]:
    data = files.truth(30, 20, (28, 28, 1))
    monkeypatch.setattr(fashion_mnist, "MD5", files.fashion_files(tmp_path / "raw", data))
    return tmp_path, data


@pytest.mark.parametrize("place", ["", "fashion_mnist", "FashionMNIST/raw"])
def test_fashion_mnist_is_found_in_each_place(
    fashion: tuple[Path, files.Truth], place: str
) -> None:
    folder, data = fashion
    (folder / "root" / place).parent.mkdir(parents=True, exist_ok=True)
    (folder / "raw").rename(folder / "root" / place)
    same(open_source(ask("fashion_mnist", folder / "root")), data)


def test_fashion_mnist_is_found_in_debians_place(
    fashion: tuple[Path, files.Truth], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, data = fashion
    monkeypatch.chdir(folder)
    monkeypatch.setattr(fashion_mnist, "DEBIAN", folder / "raw")
    same(open_source(ask("fashion_mnist")), data)
    refused(ask("fashion_mnist", folder / "elsewhere"), "missing: train-images", "apt-get install")


def test_a_truncated_fashion_file_is_refused(fashion: tuple[Path, files.Truth]) -> None:
    file = fashion[0] / "raw" / "t10k-images-idx3-ubyte.gz"
    file.write_bytes(file.read_bytes()[:-100])
    refused(ask("fashion_mnist", file.parent), "truncated", str(file), "download: true")


def test_another_fashion_file_is_refused(fashion: tuple[Path, files.Truth]) -> None:
    folder, data = fashion
    files.fashion_files(folder / "raw", data._replace(train=data.train ^ 1))
    refused(ask("fashion_mnist", folder / "raw"), "MD5", "train-images-idx3-ubyte.gz")


def test_what_is_no_idx_is_refused(fashion: tuple[Path, files.Truth]) -> None:
    with pytest.raises(DataError, match="not an IDX file"):
        fashion_mnist._parse(files.idx(np.zeros((2, 3)))[:-1], fashion[0])


@pytest.mark.skipif(not fashion_mnist.DEBIAN.is_dir(), reason="dataset-fashion-mnist not installed")
def test_debians_fashion_mnist_is_the_published_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    images = open_source(ask("fashion_mnist"))
    assert set(np.bincount(images.train.labels)) == {6000}
    assert set(np.bincount(images.test.labels)) == {1000}
    mean = images.train.read(np.arange(60000)).mean() / 255
    assert mean == pytest.approx(0.2860405969887955, abs=1e-12)


# CIFAR


@pytest.fixture(params=["cifar10", "cifar100"])
def cifar(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Dataset, type, files.Truth]:
    from torchvision.datasets import CIFAR10, CIFAR100

    wide = request.param == "cifar100"
    published, label = (CIFAR100, "fine_labels") if wide else (CIFAR10, "labels")
    data = files.truth(205, 105, (32, 32, 3), 100 if wide else 10)
    folder = tmp_path / published.base_folder
    for name, value in files.cifar_files(folder, data, published, label).items():
        monkeypatch.setattr(published, name, value)
    return ask(request.param, tmp_path), published, data


def test_cifar_is_read_as_torchvision_reads_it(cifar: tuple[Dataset, type, files.Truth]) -> None:
    dataset, published, data = cifar
    images = open_source(dataset)
    same(images, data)
    oracle = published(dataset.root)
    np.testing.assert_array_equal(images.train.read(np.arange(205)), oracle.data)
    assert images.train.labels.tolist() == oracle.targets
    assert list(images.classes) == oracle.classes


def evil(marker: Path) -> bytes:
    """A pickle that makes a folder when it is unpickled."""
    return b"cos\nmkdir\n(V" + str(marker).encode() + b"\ntR."


def test_a_modified_cifar_batch_is_refused_before_it_is_unpickled(
    cifar: tuple[Dataset, type, files.Truth], tmp_path: Path
) -> None:
    dataset, published, _ = cifar
    file = tmp_path / published.base_folder / published.train_list[0][0]
    file.write_bytes(evil(tmp_path / "marker"))
    refused(dataset, "MD5", str(file), "unpack")
    assert not (tmp_path / "marker").exists()


def test_a_cifar_pickle_can_name_nothing_but_arrays(
    cifar: tuple[Dataset, type, files.Truth], tmp_path: Path
) -> None:
    dataset, published, _ = cifar
    name = published.train_list[0][0]
    content = evil(tmp_path / "marker")
    published.train_list[0][1] = files.write(tmp_path / published.base_folder / name, content)
    refused(dataset, "os.mkdir", name)
    assert not (tmp_path / "marker").exists()


def test_cifars_archive_is_unpacked_when_downloads_are_allowed(
    cifar: tuple[Dataset, type, files.Truth], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset, published, data = cifar
    root = tmp_path / "root"
    root.mkdir()
    archive = root / published.filename
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(tmp_path / published.base_folder, published.base_folder)
    monkeypatch.setattr(published, "tgz_md5", files.md5(archive.read_bytes()))
    refused(ask(dataset.name, root), "missing", "download: true", published.filename)
    same(open_source(ask(dataset.name, root, download=True)), data)


# Downloads, from a server on this machine


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """Address of a server of a folder, and the folder."""
    folder = tmp_path / "served"
    folder.mkdir()
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}/", folder
        running.shutdown()


def test_a_download_is_verified_and_unpacked_and_not_repeated(
    server: tuple[str, Path], tmp_path: Path
) -> None:
    address, folder = server
    (tmp_path / "batches").mkdir()
    (tmp_path / "batches" / "one").write_bytes(b"1")
    with tarfile.open(folder / "a.tar.gz", "w:gz") as tar:
        tar.add(tmp_path / "batches", "batches")
    published = files.md5((folder / "a.tar.gz").read_bytes())
    for _ in range(2):
        download(f"{address}a.tar.gz", tmp_path / "root", "a.tar.gz", published, unpack=True)
        assert (tmp_path / "root" / "batches" / "one").read_bytes() == b"1"
        (folder / "a.tar.gz").unlink(missing_ok=True)


def test_a_download_that_is_not_the_published_file_is_not_kept(
    server: tuple[str, Path], tmp_path: Path
) -> None:
    address, folder = server
    (folder / "a").write_bytes(b"other")
    with pytest.raises(DataError, match=r"could not be downloaded.*hash"):
        download(f"{address}a", tmp_path / "root", "a", files.md5(b"published"))
    assert not list((tmp_path / "root").iterdir())


def test_a_data_set_is_downloaded(
    server: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchvision.datasets import SVHN

    address, folder = server
    data = files.truth(40, 20, (32, 32, 3))
    listed = files.svhn_files(folder, data)
    served = {split: [f"{address}{name}", name, md5] for split, (_, name, md5) in listed.items()}
    monkeypatch.setattr(SVHN, "split_list", served)
    same(open_source(ask("svhn", tmp_path / "root", download=True)), data)


def test_a_failed_download_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="could not be downloaded") as caught:
        download("http://127.0.0.1:9/a", tmp_path, "a", files.md5(b""))
    assert "put the file into" in str(caught.value.remedy)


# SVHN


@pytest.fixture
def svhn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> files.Truth:
    from torchvision.datasets import SVHN

    data = files.truth(40, 20, (32, 32, 3))
    monkeypatch.setattr(SVHN, "split_list", files.svhn_files(tmp_path, data))
    return data


def test_svhn_is_read_as_torchvision_reads_it(svhn: files.Truth, tmp_path: Path) -> None:
    from torchvision.datasets import SVHN

    images = open_source(ask("svhn", tmp_path))
    same(images, svhn)
    oracle = SVHN(str(tmp_path), "test")
    np.testing.assert_array_equal(
        images.test.read(np.arange(20)), oracle.data.transpose(0, 2, 3, 1)
    )
    np.testing.assert_array_equal(images.test.labels, oracle.labels)


def test_wrong_svhn_files_are_refused(svhn: files.Truth, tmp_path: Path) -> None:
    file = tmp_path / "test_32x32.mat"
    file.write_bytes(file.read_bytes()[:-1])
    refused(ask("svhn", tmp_path), "MD5", str(file))
    file.unlink()
    refused(ask("svhn", tmp_path), "missing: test_32x32.mat", "official page")


@pytest.mark.parametrize("place", ["", "svhn", "svhn_extra"])
def test_svhns_extra_images_come_after_the_others(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchvision.datasets import SVHN

    data = files.truth(40, 20, (32, 32, 3))
    monkeypatch.setattr(SVHN, "split_list", files.svhn_files(tmp_path / place, data, extra=15))
    dataset = ask("svhn_extra", tmp_path)
    assert is_there(dataset)
    same(open_source(dataset), data)
    (tmp_path / place / "extra_32x32.mat").unlink()
    assert not is_there(dataset)
    refused(dataset, "missing: extra_32x32.mat", "extra_32x32.mat of the official page")


# ImageNet-100


@pytest.fixture(scope="module")
def imagenet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("imagenet")
    files.imagenet_files(root, WNIDS)
    return root


def class_list(folder: Path, names: list[str]) -> str:
    file = folder / "classes.txt"
    file.write_text("\n".join(names) + "\n")
    return str(file)


def test_imagenet_is_resized_and_cropped(imagenet: Path) -> None:
    images = open_source(ask("imagenet100", imagenet))
    assert images.classes == tuple(WNIDS)
    np.testing.assert_array_equal(images.train.labels, np.repeat(np.arange(100), 2))
    file = imagenet / "val" / WNIDS[7] / f"{WNIDS[7]}_0.JPEG"
    small = Image.open(file).resize((64, 80), Image.Resampling.BILINEAR).crop((0, 8, 64, 72))
    np.testing.assert_array_equal(images.test.read(np.array([7]))[0], np.asarray(small))


def test_the_list_gives_the_order_of_classes(imagenet: Path, tmp_path: Path) -> None:
    listed = class_list(tmp_path, WNIDS[::-1])
    images = open_source(ask("imagenet100", imagenet, class_list=listed))
    assert images.classes[0] == WNIDS[-1]
    first = Image.open(sorted((imagenet / "val" / WNIDS[-1]).iterdir())[0])
    small = first.resize((64, 80), Image.Resampling.BILINEAR).crop((0, 8, 64, 72))
    np.testing.assert_array_equal(images.test.read(np.array([0]))[0], np.asarray(small))


def test_a_wrong_class_list_is_refused(imagenet: Path, tmp_path: Path) -> None:
    def listed(names: list[str]) -> Dataset:
        return ask("imagenet100", imagenet, class_list=class_list(tmp_path, names))

    refused(listed([*WNIDS[1:], "n_absent"]), "n_absent has no folder")
    refused(listed(WNIDS[1:]), "99 classes are named, not 100")
    refused(ask("imagenet100", imagenet, class_list=str(tmp_path / "no.txt")), "cannot be read")
    refused(ask("imagenet100", tmp_path), "both train and val", "unpack")


def test_an_unreadable_jpeg_is_named(tmp_path: Path) -> None:
    files.imagenet_files(tmp_path, WNIDS)
    file = tmp_path / "train" / WNIDS[3] / f"{WNIDS[3]}_1.JPEG"
    file.write_bytes(file.read_bytes()[:200])
    images = open_source(ask("imagenet100", tmp_path))
    with pytest.raises(DataError, match="cannot be decoded") as caught:
        images.train.read(np.array([7]))
    assert caught.value.where == file
    for entry in file.parent.iterdir():
        entry.unlink()
    refused(ask("imagenet100", tmp_path), "no images", WNIDS[3])


def test_a_16_bit_image_is_named(tmp_path: Path) -> None:
    files.imagenet_files(tmp_path, WNIDS)
    file = tmp_path / "train" / WNIDS[3] / f"{WNIDS[3]}_1.JPEG"
    Image.fromarray(np.full((64, 64), 1000, dtype=np.uint16)).save(file, format="PNG")
    images = open_source(ask("imagenet100", tmp_path))
    with pytest.raises(DataError, match="more than 8 bits per channel") as caught:
        images.train.read(np.array([7]))
    assert caught.value.where == file


# CIFAR-5m


@pytest.mark.parametrize("prefix", ["", "cifar5m_"])
def test_the_last_part_of_cifar5m_is_the_test_split(tmp_path: Path, prefix: str) -> None:
    data = files.cifar5m_files(tmp_path / "cifar5m", prefix=prefix)
    same(open_source(ask("cifar5m", tmp_path)), data)


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> tuple[Samples, files.Truth]:
    folder = tmp_path_factory.mktemp("cifar5m")
    data = files.cifar5m_files(folder)
    return open_source(ask("cifar5m", folder)), data


@settings(deadline=None, max_examples=30)
@given(index=st.lists(st.integers(0, 99), min_size=1, unique=True).map(sorted))
def test_images_are_read_across_parts(parts: tuple[Samples, files.Truth], index: list[int]) -> None:
    images, data = parts
    np.testing.assert_array_equal(images.train.read(np.array(index)), data.train[index])


def test_a_part_is_mapped_not_loaded(tmp_path: Path) -> None:
    files.cifar5m_files(tmp_path)
    images, _ = cifar5m.open_part(tmp_path / "part0.npz")
    assert isinstance(images, np.memmap)


X, Y = np.zeros((4, 32, 32, 3), np.uint8), np.arange(4)
WRONG_PARTS = {
    "X is float64": {"X": X.astype(float), "Y": Y},
    "X is uint8 (4, 3, 32, 32)": {"X": X.transpose(0, 3, 1, 2), "Y": Y},
    "Y is float64": {"X": X, "Y": Y / 2},
    "Y is int64 (3,)": {"X": X, "Y": Y[:3]},
    "labels out of 0 to 9": {"X": X, "Y": Y + 7},
    "no item named 'Y.npy'": {"X": X, "y": Y},
    "Y holds Python objects": {"X": X, "Y": Y.astype(object)},
    "X holds Python objects": {"X": X.astype(object), "Y": Y},
}


@pytest.mark.parametrize("what", WRONG_PARTS)
def test_a_wrong_part_is_refused(tmp_path: Path, what: str) -> None:
    files.cifar5m_files(tmp_path)
    np.savez(tmp_path / "part2.npz", **WRONG_PARTS[what])
    refused(ask("cifar5m", tmp_path), what, "part2.npz")


def test_a_damaged_part_is_refused(tmp_path: Path) -> None:
    files.cifar5m_files(tmp_path)
    file = tmp_path / "part1.npz"
    whole = file.read_bytes()
    flipped = bytearray(whole)
    flipped[5000] ^= 1
    file.write_bytes(flipped)
    refused(ask("cifar5m", tmp_path), "CRC", "part1.npz")
    file.write_bytes(whole[:-3000])
    refused(ask("cifar5m", tmp_path), "truncated", "part1.npz")
    np.savez_compressed(file, X=X, Y=Y)
    refused(ask("cifar5m", tmp_path), "compressed", "part1.npz")
    file.unlink()
    refused(ask("cifar5m", tmp_path), "missing: part1.npz", "gs://")
