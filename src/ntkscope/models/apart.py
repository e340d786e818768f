"""Whether a network's outputs are each its own sample's: without that there is no kernel.

`ntkscope.ntk` refuses what mixes samples or draws random numbers in eval mode; here it is found on
two samples, before any training.
"""

from __future__ import annotations

import copy
import random
from contextlib import suppress
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ntkscope.errors import ModelError

REMEDY = (
    "let each sample's output in eval mode depend on that sample alone: batch norms that track "
    "running statistics, nothing taken over axis 0, dropout only where self.training"
)
_ROUNDING = {torch.float64: 1e-10}  # of the largest output; of other dtypes:
_SURELY_WRONG = 1e-2  # what is less is left to the kernel's own check


def check_apart(network: nn.Module, shape: tuple[int, ...], *, tokens: bool, where: str) -> None:
    """Compare the outputs of two random samples together with those of each alone.

    In eval mode and float64, or in its own dtype where it has no other; parameters that are all 0,
    behind which nothing is seen, are drawn. A network that fails on such inputs is let through.

    Args:
        network: from [N, *shape]; left as it is.
        shape: of an input; tokens: they are 0 and 1 then.
        where: who made it, for the error.

    Raises:
        ModelError: a sample's output depends on the other, on chance, or on earlier calls.
    """
    drawn = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(0)
            for dtype in dict.fromkeys([torch.float64, next(network.parameters()).dtype]):
                with suppress(Exception):
                    what = _fault(copy.deepcopy(network).to(dtype).eval(), shape, tokens, dtype)
                    break
            else:
                return
    finally:
        random.setstate(drawn[0])
        np.random.set_state(drawn[1])
    if what:
        raise ModelError(what, where=where, remedy=REMEDY)


def _fault(network: nn.Module, shape: tuple[int, ...], tokens: bool, dtype: torch.dtype) -> str:
    for p in network.parameters():
        if not p.any():
            nn.init.normal_(p, std=0.1)
    size = (2, *shape)
    x = torch.randint(2, size) if tokens else torch.randn(size, dtype=dtype)
    before = _states()
    alone = torch.cat([network(one.clone()) for one in x.split(1)])
    if _states() != before:
        return "the network draws random numbers in eval mode, too: its output is random"
    together, again = network(x.clone()), torch.cat([network(one.clone()) for one in x.split(1)])
    if not _same(again, alone):
        return "the network's output in eval mode depends on how often it was called"
    if not _same(together, alone):
        return "a sample's output depends on the other samples of its batch, in eval mode, too"
    return ""


def _states() -> list[Any]:
    numpy: Any = np.random.get_state()
    return [torch.get_rng_state().tolist(), numpy[1].tolist(), numpy[2], random.getstate()]


def _same(found: Tensor, expected: Tensor) -> bool:
    """Whether outputs agree to rounding; what is not finite is no evidence."""
    least = _ROUNDING.get(expected.dtype, _SURELY_WRONG)
    both = found.isfinite() & expected.isfinite()
    error, scale = (found - expected)[both].abs(), expected[both].abs()
    return not error.numel() or bool(error.max() <= least * scale.max())


def of_own_network(error: ModelError, function: str) -> ModelError:
    """An error of a kernel of a user's own network, whose mode is not the user's to choose."""
    if "model.eval()" not in (error.remedy or ""):
        return error
    return ModelError(error.what, where=f"{function}: {error.where}", remedy=REMEDY)
