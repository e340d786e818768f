"""ImageNet-100: 100 classes of ImageNet, each image reduced to 64×64 pixels.

There is no single published list of the 100 classes, so the user names it. The files are
ImageNet's own: they need the user's consent to ImageNet's terms, and are never downloaded.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ntkscope.config.datasets import DatasetFacts, Source
from ntkscope.config.sections import Dataset
from ntkscope.data.sources.base import Samples, Split
from ntkscope.data.sources.files import check_depth, lies_in, places
from ntkscope.errors import DataError, NtkscopeError

_SIZE, _CLASSES = 64, 100
_SUFFIXES = {".jpeg", ".jpg", ".png"}
_LAYOUT = (
    "unpack ImageNet's archives of its official page so that images lie in train/<class>/ and "
    "val/<class>/ below dataset.root"
)


def open_imagenet100(dataset: Dataset) -> Samples:
    """Images in `root/train/<class>/` and `root/val/<class>/`, the second being the test split.

    Classes are those of `class_list`, in its order; without it, the folders of `train`, sorted.
    An image is decoded when it is read: its shorter side is resized to 64 pixels (bilinear,
    antialiased), then its centre is cut out.

    Raises:
        DataError: a folder is missing or empty, the list does not name 100 of them, or, when
            read, an image cannot be decoded or has more than 8 bits per channel.
    """
    root = _root(dataset)
    classes = _classes(dataset, root / "train")
    if len(set(classes)) != _CLASSES:
        raise DataError(
            f"{len(set(classes))} classes are named, not {_CLASSES}",
            where=dataset.class_list or root / "train",
            remedy="set dataset.class_list to a text file of 100 folder names, one per line",
        )
    return Samples(
        train=_split(root / "train", classes),
        test=_split(root / "val", classes),
        classes=tuple(classes),
        files=(str(root / "train"), str(root / "val")),
    )


def _root(dataset: Dataset) -> Path:
    candidates = places(dataset)
    for folder in candidates:
        if (folder / "train").is_dir() and (folder / "val").is_dir():
            return folder
    raise DataError(
        "no folder holds both train and val",
        where=" or ".join(map(str, candidates)),
        remedy=_LAYOUT,
    )


def _classes(dataset: Dataset, train: Path) -> list[str]:
    if dataset.class_list is None:
        return sorted(entry.name for entry in train.iterdir() if entry.is_dir())
    try:
        lines = Path(dataset.class_list).expanduser().read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"the list of classes cannot be read: {error}",
            where=dataset.class_list,
            remedy="set dataset.class_list to a text file of 100 folder names, one per line",
        ) from None
    return [line.strip() for line in lines if line.strip()]


def _split(folder: Path, classes: list[str]) -> Split:
    files = [_images_of(folder / name) for name in classes]
    labels = np.repeat(np.arange(len(classes)), [len(of_class) for of_class in files])
    flat = [file for of_class in files for file in of_class]
    return Split(labels, lambda index: np.stack([_decode(flat[i]) for i in index]))


def _images_of(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise DataError(
            f"the class {folder.name} has no folder",
            where=folder,
            remedy=f"correct dataset.class_list, or {_LAYOUT}",
        )
    files = sorted(file for file in folder.iterdir() if file.suffix.lower() in _SUFFIXES)
    if not files:
        raise DataError("the folder has no images", where=folder, remedy=_LAYOUT)
    return files


def _decode(file: Path) -> np.ndarray:
    """One image as uint8 [64, 64, 3]."""
    from PIL import Image
    from torchvision.transforms.functional import center_crop, resize

    try:
        with Image.open(file) as image:
            check_depth(image, file)
            small = center_crop(resize(image.convert("RGB"), _SIZE), [_SIZE, _SIZE])
    except NtkscopeError:
        raise
    except Exception as error:  # a decoder of Pillow may stumble in any way
        raise DataError(
            f"the image cannot be decoded: {error}",
            where=file,
            remedy="get it again from the archive of ImageNet's official page",
        ) from None
    return np.asarray(small, dtype=np.uint8)


DATASET = Source(
    title="ImageNet-100",
    facts=DatasetFacts(classes=_CLASSES, shape=(_SIZE, _SIZE, 3), train_per_class=None),
    open=open_imagenet100,
    is_there=lambda dataset: lies_in(places(dataset), ("train", "val")),
    licence="ImageNet terms of access: non-commercial research and education only",
    citation="O. Russakovsky et al.: ImageNet Large Scale Visual Recognition Challenge. "
    "International Journal of Computer Vision 115, 2015",
)
