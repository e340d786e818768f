"""Models whose kernel is not defined as they stand, and leaving a model as it was found."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from ntkscope.errors import ModelError
from ntkscope.ntk.empirical.outputs import called, refuse_output

_BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
_DROPOUTS = (
    nn.Dropout,
    nn.Dropout1d,
    nn.Dropout2d,
    nn.Dropout3d,
    nn.AlphaDropout,
    nn.FeatureAlphaDropout,
)


def check_model(model: nn.Module) -> None:
    """Models that have no per-sample gradient as they stand.

    Raises:
        ModelError: nothing learns, batch statistics, active dropout.
    """
    if not any(p.requires_grad for p in model.parameters()):
        raise ModelError(
            "the model has no parameter that requires a gradient",
            where=type(model).__name__,
            remedy="call model.requires_grad_()",
        )
    for name, module in model.named_modules():
        if isinstance(module, _BATCH_NORMS) and (module.training or module.running_mean is None):
            raise ModelError(
                "batch normalisation by the batch mixes samples: no per-sample gradient exists",
                where=name,
                remedy="call model.eval() first; the layer must track running statistics",
            )
        if isinstance(module, _DROPOUTS) and module.training and module.p > 0:
            raise ModelError(
                "active dropout makes the kernel random",
                where=name,
                remedy="call model.eval() first",
            )


@torch.enable_grad()
def count_outputs(model: nn.Module, x: Tensor) -> int:
    """K, the number of outputs, having looked at the first samples.

    Raises:
        ModelError: the model does not take such inputs, or its output is not [N, K] of real
            numbers that depend on what learns, is random, or depends on the other samples.
    """
    y = called(model, x[:1])
    refuse_output(model, y)
    together = called(model, x[:2]).detach()
    alone = torch.cat([y, called(model, x[1:2])]).detach() if len(x) > 1 else y.detach()
    if together.shape != alone.shape or differ(together, alone):
        raise ModelError(
            "a sample's output is random, or depends on the other samples of its batch",
            where=type(model).__name__,
            remedy="call model.eval() first; functional dropout needs training=self.training",
        )
    return int(y.shape[1])


def in_place_error(where: str) -> ModelError:
    """The error about an in-place operation on a tensor that the gradient needs."""
    return ModelError(
        "an in-place operation changed a tensor that the gradient needs",
        where=where,
        remedy="write it out of place in the model's forward: x = x + y, not x += y",
    )


@contextmanager
def in_place_explained(model: nn.Module) -> Iterator[None]:
    """Say what to do where autograd finds such a tensor."""
    try:
        yield
    except RuntimeError as error:
        if "inplace operation" in str(error):
            raise in_place_error(type(model).__name__) from error
        raise


def differ(found: Tensor, expected: Tensor) -> bool:
    """Whether two tensors differ by more than rounding can do; NaNs are let through."""
    return beyond_rounding((found - expected).abs().max(), expected.abs().max())


def beyond_rounding(error: Tensor, scale: Tensor) -> bool:
    """Whether a difference is more than rounding at that scale can make."""
    return bool(error > torch.finfo(scale.dtype).eps ** (1 / 3) * scale)


@contextmanager
def preserve_state(model: nn.Module, *, may_change: bool = True) -> Iterator[None]:
    """Restore modes, buffers, gradients and torch's RNG, also after an exception.

    may_change: False for a model of which nothing is called that could change any of them.
    """
    if not may_change:
        yield
        return
    modes = {module: module.training for module in model.modules()}
    buffers = {name: value.clone() for name, value in model.named_buffers()}
    gradients = {name: p.grad for name, p in model.named_parameters()}
    try:
        with torch.random.fork_rng(devices=_random_devices()):
            yield
    finally:
        for module, mode in modes.items():
            module.training = mode
        with torch.no_grad():
            for name, value in model.named_buffers():
                value.copy_(buffers[name])
        for name, parameter in model.named_parameters():
            parameter.grad = gradients[name]


def _random_devices() -> list[int]:
    """CUDA devices whose generators may have been used; asking an idle driver takes long."""
    return list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []
