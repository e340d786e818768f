"""Functions that a network finds and a kernel does not: positive controls, on vectors without end.

A single index (a function of one direction) and a parity of three signs. Kernels that are the same
in all directions need a number of samples that grows as a power of the dimension (Ghorbani et al.
2020, "When do neural networks outperform kernel methods?"; Wei et al. 2019).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ntkscope.config.tasks import TaskSource
from ntkscope.data.tasks.base import BLOCK, Drawn, OpenedTask, in_blocks, of_vectors, signs

if TYPE_CHECKING:
    from ntkscope.config.curve_specs import ScalarTaskSpec

LICENCE = "made here, of random numbers"
_INDEX, _PARITY = 20, 40  # features
_RELEVANT, _PARITY_OF = 4, 3  # the first so many features count
_HALF = 0.6744897501960817  # a standard normal number is within ± this with probability 1/2


def single_index(x: np.ndarray) -> np.ndarray:
    """+1 where |w·x| < c, else −1, for x [n, 20]; w = (1, 1, 1, 1, 0, …)/2, c: the median."""
    # One addition after the other: a sum over an axis has no order of its own.
    index = x[:, 0].astype(np.float64)
    for feature in range(1, _RELEVANT):
        index = index + x[:, feature]
    return signs(np.abs(index / 2) >= _HALF)


def sparse_parity(x: np.ndarray) -> np.ndarray:
    """The product of the first three of the signs x [n, 40]."""
    return np.asarray(np.prod(x[:, :_PARITY_OF], axis=1))


def _index_block(split: str, rng: np.random.Generator) -> Drawn:
    x = rng.normal(size=(BLOCK, _INDEX)).astype(np.float32)
    return x, single_index(x)


def _parity_block(split: str, rng: np.random.Generator) -> Drawn:
    x = signs(rng.integers(0, 2, (BLOCK, _PARITY)))
    return x, sparse_parity(x)


def _open_index(spec: ScalarTaskSpec, images: None) -> OpenedTask:
    return of_vectors(in_blocks("single_index", _index_block), _INDEX)


def _open_parity(spec: ScalarTaskSpec, images: None) -> OpenedTask:
    return of_vectors(in_blocks("sparse_parity", _parity_block), _PARITY)


TASKS = {
    "single_index": TaskSource(
        title="single index, 20 dimensions",
        open=_open_index,
        licence=LICENCE,
        citation="",
        shape=(_INDEX,),
    ),
    "sparse_parity": TaskSource(
        title="parity of 3 of 40 signs",
        open=_open_parity,
        licence=LICENCE,
        citation="",
        shape=(_PARITY,),
    ),
}
