"""Whether a sample's output depends on the other samples, or on chance: looked at, not assumed."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ntkscope.errors import ModelError
from ntkscope.ntk.empirical.evidence import Evidence
from ntkscope.ntk.empirical.rounding import Rounding, same_rows

_SAMPLES, _PASS = 4096, 256  # looked at, at most; at once


class DoubtError(ModelError):
    """A difference that may be rounding: to be decided in a finer dtype."""


@torch.enable_grad()
def check_independence(
    model: nn.Module, x: Tensor, evidence: Evidence | None, rounding: Rounding
) -> None:
    """Each sample's output in three companies: as they come, mixed with half of them, and alone.

    Args:
        model: maps [N, …] to [N, K].
        x: samples; of more than 4096 so many that are drawn.
        evidence: samples of x, with their outputs alone.
        rounding: what it can do.

    Raises:
        ModelError: an output depends on the other samples.
        DoubtError: it may.
    """
    generator = torch.Generator().manual_seed(len(x) + 1)
    order = torch.randperm(len(x), generator=generator)[:_SAMPLES].to(x.device)
    if len(x) > _SAMPLES:
        x, order = x[order], torch.randperm(_SAMPLES, generator=generator).to(x.device)
    together = _outputs(model, x, _PASS)
    half = max(1, min(_PASS // 2 + 1, (len(x) + 1) // 2))
    _compare(model, _outputs(model, x[order], half), together[order], rounding)
    if evidence is not None:
        x, alone = evidence.x, evidence.outputs
        _compare(model, _outputs(model, x, len(x)), alone, rounding)


def _outputs(model: nn.Module, x: Tensor, at_once: int) -> Tensor:
    return torch.cat([model(some.clone()).detach() for some in x.split(at_once)])


def _compare(model: nn.Module, found: Tensor, expected: Tensor, rounding: Rounding) -> None:
    if found.shape != expected.shape:
        refuse(model, doubt=False)
    same, doubt = same_rows(found, expected, rounding)
    if not same:
        refuse(model, doubt=doubt)


def refuse(model: nn.Module, *, doubt: bool) -> None:
    """Say that outputs differ with the company."""
    raise (DoubtError if doubt else ModelError)(
        "a sample's output is random, or depends on the other samples of its batch, or on how "
        "often the model was called",
        where=type(model).__name__,
        remedy="call model.eval() first; functional dropout needs training=self.training",
    )
