"""Sources of samples, one file per data set, named as it is: each defines a `DATASET`.

May import `config`, `errors` and `data.subset`.
To add a data set is to add a file here; nothing lists them.
"""

from __future__ import annotations

import pkgutil
from importlib import import_module

from ntkscope.config.datasets import Source, facts_of, source_of
from ntkscope.config.sections import Dataset
from ntkscope.data.sources.base import Samples, Split, check
from ntkscope.errors import ConfigError

__all__ = ["Samples", "Split", "discover", "is_there", "open_source"]


_SHARED = ("base", "cifar", "files", "own")
"""What several sources use, and is none itself."""


def discover() -> dict[str, Source]:
    """Every data set of this folder, by the name of its file.

    Raises:
        ConfigError: a file that defines no `DATASET`, or one that lacks a field.
    """
    names = (module.name for module in pkgutil.iter_modules(__path__))
    return {name: _dataset_of(name) for name in names if name not in _SHARED}


def _dataset_of(name: str) -> Source:
    """What the file of a data set defines."""
    where, example = f"{__name__}.{name}", "DATASET = Source(...) as digits.py has it"
    try:
        found = getattr(import_module(where), "DATASET", None)
    except TypeError as error:  # a field that is missing, or that there is not
        raise ConfigError(
            f"the data set of {name}.py cannot be made: {error}",
            where=where,
            remedy=f"give all fields of {example}",
        ) from error
    if not isinstance(found, Source):
        raise ConfigError(f"{name}.py defines no DATASET", where=where, remedy=f"define {example}")
    return found


def is_there(dataset: Dataset) -> bool:
    """Whether a data set can be prepared here: of a library, on the disk, or to be downloaded.

    A file of the right name in a right place will do; the source itself verifies all of them.
    """
    return source_of(dataset).is_there(dataset)


def open_source(dataset: Dataset) -> Samples:
    """Find, verify and open the files of a data set.

    Raises:
        DataError: a file is missing, truncated or not what it should be; says how to get it.
    """
    samples: Samples = source_of(dataset).open(dataset)
    check(samples, facts_of(dataset))
    return samples
