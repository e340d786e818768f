"""The section of images."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ntkscope.config.sections.base import Positive, Section


class Dataset(Section):
    """Where the images come from."""

    name: Literal[
        "digits", "fashion_mnist", "cifar10", "cifar100", "svhn", "imagenet100", "cifar5m"
    ] = Field("digits", description="Which images.")
    root: str | None = Field(
        None,
        description="Folder that holds the dataset's files, absolute or from the working folder "
        "(cosmetic); null: data.",
    )
    download: bool = Field(False, description="Whether missing files may be downloaded (cosmetic).")
    class_list: str | None = Field(
        None, description="imagenet100 only: a text file of 100 class folder names, one a line."
    )
    train_samples: Positive | None = Field(
        None, description="Keep only this many training images (class-balanced); null: all."
    )
    test_samples: Positive | None = Field(
        None, description="Keep only this many test images (class-balanced); null: all."
    )
