"""The data sets there are, and what is known of each before any of it is read.

A data set is one file of `ntkscope.data.sources`, which defines a `DATASET`. These files are
plug-ins: they import this module, and are looked up here by name when a configuration is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ntkscope.config.sections import Dataset

PUBLISHED = "published"
"""The kind of data set that has a name; any other kind is of files of the user's own."""


@dataclass(frozen=True)
class DatasetFacts:
    """Facts of a data set, enough to refuse an impossible configuration.

    Attributes:
        classes: number of classes.
        shape: of a sample as prepared: image (y, x, channel), vector (feature,) or (position,).
        train_per_class: fewest training samples in any class; None where only the files tell.
        dtype: of a sample as prepared: uint8 (images), float32 (vectors) or int64 (tokens).
        content: digest of what the files hold; None for published files, which are verified.
        counts: training samples and test samples of each class; None where only the files tell.
    """

    classes: int
    shape: tuple[int, ...]
    train_per_class: int | None
    dtype: str = "uint8"
    content: str | None = None
    counts: tuple[tuple[int, ...], tuple[int, ...]] | None = None

    def kept(self, train: int | None, test: int | None) -> Iterator[tuple[int, ...]]:
        """Samples of each class, of both splits, if so many are kept in equal numbers; None: all.

        Nothing where only the files tell.
        """
        for there, count in zip(self.counts or (), (train, test), strict=False):
            each, more = divmod(sum(there) if count is None else count, self.classes)
            wanted = there if count is None else [each + (n < more) for n in range(self.classes)]
            yield tuple(map(min, there, wanted))


@dataclass(frozen=True)
class Source:
    """A data set.

    Attributes:
        title: the name as printed in a figure.
        facts: what is known of it; for files of the user's own a function that looks into them.
        open: finds, verifies and opens its files: `Dataset` → `ntkscope.data.sources.Samples`.
        is_there: whether its files are on this machine: a look, nothing is read.
        licence, citation: as its authors state them.
        published: False for a kind of files of the user's own, which `dataset.kind` chooses.
    """

    title: str
    facts: DatasetFacts | Callable[[Dataset], DatasetFacts]
    open: Callable[[Dataset], Any]
    is_there: Callable[[Dataset], bool]
    licence: str
    citation: str
    published: bool = True


@cache
def _sources() -> dict[str, Source]:
    """Every data set by the name of its file."""
    found: dict[str, Source] = import_module("ntkscope.data.sources").discover()
    return found


class _Datasets(Mapping[str, Source]):
    """The published data sets by name, looked up when first asked for."""

    def __getitem__(self, name: str) -> Source:
        source = _sources()[name]
        if not source.published:
            raise KeyError(name)
        return source

    def __iter__(self) -> Iterator[str]:
        return (name for name, source in _sources().items() if source.published)

    def __len__(self) -> int:
        return sum(1 for _ in self)


DATASETS: Mapping[str, Source] = _Datasets()
"""The published data sets by name."""


def kinds() -> list[str]:
    """What `dataset.kind` may be."""
    return [PUBLISHED, *(name for name, source in _sources().items() if not source.published)]


def source_of(dataset: Dataset) -> Source:
    """The data set that a section of the configuration means."""
    return _sources()[dataset.name if dataset.kind == PUBLISHED else dataset.kind]


def own_and_absent(dataset: Dataset) -> bool:
    """Whether it is of files of the user's own that are not here: then nothing is known of it."""
    given = dataset.kind != PUBLISHED and dataset.path is not None
    return given and not source_of(dataset).is_there(dataset)


def title_of(dataset: Dataset) -> str:
    """A data set's name in figures; of files of the user's own the name they are known by."""
    source = source_of(dataset)
    return source.title if source.published else dataset.known_as


def facts_of(dataset: Dataset) -> DatasetFacts:
    """What is known of a data set.

    Raises:
        DataError: files of the user's own that are missing, or not as they should be.
    """
    facts = source_of(dataset).facts
    return facts if isinstance(facts, DatasetFacts) else facts(dataset)
