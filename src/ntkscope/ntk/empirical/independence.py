"""Whether a sample's output depends on the other samples, or on chance: looked at, not assumed."""

from __future__ import annotations

import math

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
    model: nn.Module, x: Tensor, evidence: Evidence | None, rounding: Rounding, at_once: int = _PASS
) -> None:
    """Each sample's output in three companies: as they come, with few others, and alone.

    Two rare samples that change each other are seen where they are together in the first company
    and not in the second: there samples whose outputs are alike, or that are extreme, are apart.

    Args:
        model: maps [N, …] to [N, K].
        x: samples; of more than 4096 so many that are drawn.
        evidence: samples of x, with their outputs alone.
        rounding: what it can do.
        at_once: samples in the first company, as in the passes that the kernel is made of.

    Raises:
        ModelError: an output depends on the other samples.
        DoubtError: it may.
    """
    generator = torch.Generator().manual_seed(len(x) + 1)
    if len(x) > _SAMPLES:
        x = x[torch.randperm(len(x), generator=generator)[:_SAMPLES].to(x.device)]
    together = torch.cat([_outputs(model, some) for some in x.split(max(_PASS, at_once))])
    if together.ndim != 2 or len(together) != len(x):
        refuse(model, doubt=False)
    for some in _dealt(together, generator):
        _compare(model, _outputs(model, x[some]), together[some], rounding)
    if evidence is not None:
        _compare(model, _outputs(model, evidence.x), evidence.outputs, rounding)


def _dealt(outputs: Tensor, generator: torch.Generator) -> list[Tensor]:
    """Places of about √N samples each, those next to one another in outputs in different ones.

    Any two are together with a probability below 1 / √N.
    """
    n = len(outputs)
    hands = math.ceil(n / math.isqrt(n))
    along = torch.randn(outputs.shape[1:], generator=generator, dtype=torch.float64).to(outputs)
    hand = torch.empty(n, dtype=torch.long)
    hand[(outputs @ along).argsort().cpu()] = torch.arange(n) % hands
    order = torch.randperm(n, generator=generator)
    return [order[hand[order] == each].to(outputs.device) for each in range(hands)]


def _outputs(model: nn.Module, x: Tensor) -> Tensor:
    y: Tensor = model(x.clone())
    return y.detach()


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
