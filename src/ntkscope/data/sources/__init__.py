"""Sources of samples, one file per data set, named as it is: each defines a `DATASET`.

May import `config`. To add a data set is to add a file here; nothing lists them.
"""

from __future__ import annotations

import pkgutil
from importlib import import_module

from ntkscope.config.datasets import Source, facts_of, source_of
from ntkscope.config.sections import Dataset
from ntkscope.data.sources.base import Samples, Split, check

__all__ = ["Samples", "Split", "discover", "is_there", "open_source"]


def discover() -> dict[str, Source]:
    """Every data set of this folder, by the name of its file."""
    modules = {
        m.name: import_module(f"{__name__}.{m.name}") for m in pkgutil.iter_modules(__path__)
    }
    return {name: each.DATASET for name, each in modules.items() if hasattr(each, "DATASET")}


def is_there(dataset: Dataset) -> bool:
    """Whether the data set can be prepared here: it comes with a library, lies on disk or is had.

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
