"""The section of samples."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated

from pydantic import Field

from ntkscope.config.sections.base import OneOf, Positive, Section
from ntkscope.config.sections.texts import PathText


def _names() -> list[str]:
    from ntkscope.config.datasets import DATASETS

    return list(DATASETS)


def _kinds() -> list[str]:
    from ntkscope.config.datasets import kinds

    return kinds()


_LONGEST = 40  # letters: four bytes each and what a store adds are still a file's name


class Dataset(Section):
    """Where the samples come from."""

    kind: Annotated[str, OneOf(_kinds)] = Field(
        "published",
        description="published: the data set called `name`; npz, folder: files of your own.",
    )
    name: Annotated[str, OneOf(_names)] = Field(
        "digits", description="Which data set (kind published)."
    )
    path: PathText | None = Field(
        None,
        description="The file or folder of your own (kinds npz and folder), absolute or from the "
        "working folder; what it holds counts, not where it is.",
    )
    root: PathText | None = Field(
        None,
        description="Folder that holds a published data set's files, absolute or from the working "
        "folder (cosmetic); null: data.",
    )
    download: bool = Field(False, description="Whether missing files may be downloaded (cosmetic).")
    class_list: PathText | None = Field(
        None, description="imagenet100 only: a text file of 100 class folder names, one per line."
    )
    train_samples: Positive | None = Field(
        None, description="Keep only this many training samples (class-balanced); null: all."
    )
    test_samples: Positive | None = Field(
        None, description="Keep only this many test samples (class-balanced); null: all."
    )

    @property
    def known_as(self) -> str:
        """Its name; of files of the user's own the last part of their path, fit for a file's."""
        if self.kind == "published" or self.path is None:
            return self.name
        real = Path(os.path.realpath(Path(self.path).expanduser()))  # resolve() raises for loops
        return re.sub(r"\W+", "_", real.stem)[:_LONGEST] or self.kind
