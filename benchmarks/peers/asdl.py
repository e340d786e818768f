"""ASDL: its fast exact way for each network; trace kernels only.

Its Hadamard mode multiplies Gram matrices of inputs and of gradients, which is exact for dense
layers only (on the CNN it errs by 3%, on Myrtle-5 by 16%); for convolutions its direct mode is
taken. Its full kernel does not run with today's torch.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from importlib.metadata import version as version_of
from typing import Any

from numpy.typing import NDArray
from torch import Tensor

from benchmarks.cases import Case
from benchmarks.peers.networks import network_of, tensors, torch_version
from benchmarks.peers.ours import pick

warnings.simplefilter("ignore")  # it uses forms that torch would have replaced

import asdl  # noqa: E402


def version() -> str:
    """Of ASDL and torch."""
    return f"ASDL {version_of('asdfghjkl')}, {torch_version()}"


def prepare(case: Case, variant: str) -> tuple[Callable[[], Tensor], Callable[..., NDArray[Any]]]:
    """The kernel of each output, [N, N, K], averaged over the outputs."""
    network, x = network_of(case), tensors(case)[0]
    hadamard = case.network == "mlp"
    way = (
        asdl.empirical_class_wise_hadamard_ntk if hadamard else asdl.empirical_class_wise_direct_ntk
    )
    return lambda: way(network, x).mean(-1), pick
