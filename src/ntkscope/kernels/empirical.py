"""`empirical_ntk`: the exact kernel of any torch module. Faster engines are chosen here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from ntkscope.errors import ModelError
from ntkscope.kernels.conventions import KINDS, mirror
from ntkscope.kernels.jacobian import jacobian_layer_ntks

_BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
_DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout)


def empirical_ntk(
    model: nn.Module,
    x1: Tensor,
    x2: Tensor | None = None,
    *,
    kind: str = "trace",
    by_layer: bool = False,
) -> Tensor | dict[str, Tensor]:
    """Exact empirical NTK of a torch module (Jacot et al. 2018, eq. 4).

    Args:
        model: maps [N, …] to [N, K], each sample by itself; left as it was found.
        x1: inputs [N, …]; x2: [N2, …], or None for x1.
        kind: `trace` (mean over outputs, as neural-tangents has it), `full`, or `pseudo`
            (see `conventions.KINDS`).
        by_layer: a kernel for each module that has parameters of its own.

    Returns:
        [N, N2], or [N, K, N2, K] (kind full), in the model's dtype; by_layer: a dict of them that
        sum to the whole. Exactly symmetric where x2 is None.

    Raises:
        ModelError: a model whose kernel is not defined (batch statistics, active dropout, no
            parameters, an output that is not [N, K]); the message says what to do.
    """
    if kind not in KINDS:
        raise ValueError(f"kind = {kind!r}; allowed: {', '.join(KINDS)}")
    _refuse(model)
    with _as_found(model):
        layers = dict(jacobian_layer_ntks(model, x1, x2, kind))
    if x2 is None:
        layers = {name: mirror(kernel) for name, kernel in layers.items()}
    if kind == "full":
        samples = (len(x1), len(x1 if x2 is None else x2))
        layers = {
            n: k.view(samples[0], -1, samples[1], k.shape[1] // samples[1])
            for n, k in layers.items()
        }
    return layers if by_layer else torch.stack(list(layers.values())).sum(0)


def _refuse(model: nn.Module) -> None:
    """Models that have no per-sample gradient as they stand."""
    if not any(p.requires_grad for p in model.parameters()):
        raise ModelError(
            "the model has no parameter that requires a gradient",
            where=type(model).__name__,
            remedy="call model.requires_grad_()",
        )
    for name, module in model.named_modules():
        if not module.training:
            continue
        if isinstance(module, _BATCH_NORMS):
            raise ModelError(
                "batch normalisation in training mode mixes samples: no per-sample gradient exists",
                where=name,
                remedy="call model.eval() first",
            )
        if isinstance(module, _DROPOUTS) and module.p > 0:
            raise ModelError(
                "active dropout makes the kernel random",
                where=name,
                remedy="call model.eval() first",
            )


@contextmanager
def _as_found(model: nn.Module) -> Iterator[None]:
    """Restore the model's buffers and gradients and torch's RNG, also after an exception."""
    buffers = {name: value.clone() for name, value in model.named_buffers()}
    gradients = {name: p.grad for name, p in model.named_parameters()}
    random = torch.get_rng_state()
    try:
        yield
    finally:
        torch.set_rng_state(random)
        for name, value in model.named_buffers():
            value.copy_(buffers[name])
        for name, parameter in model.named_parameters():
            parameter.grad = gradients[name]
