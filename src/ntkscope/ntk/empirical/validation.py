"""Models whose kernel is not defined as they stand."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from ntkscope.errors import ModelError
from ntkscope.ntk.empirical.outputs import called, refuse_output
from ntkscope.ntk.empirical.state import random_states

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
        ModelError: nothing learns, or nothing is recorded; batch statistics, active dropout.
    """
    if not any(p.requires_grad for p in model.parameters()):
        raise ModelError(
            "the model has no parameter that requires a gradient",
            where=type(model).__name__,
            remedy="call model.requires_grad_()",
        )
    if any(p.is_inference() for p in model.parameters()):
        raise ModelError(
            "the model was made under torch.inference_mode: autograd cannot record its parameters",
            where=type(model).__name__,
            remedy="make it, or a copy.deepcopy of it, outside of inference_mode",
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
    """K, the number of outputs, having looked at the first sample.

    Raises:
        ModelError: the model does not take such inputs, its output is not [N, K] of real numbers
            that depend on what learns, or random numbers are drawn for it.
    """
    before = random_states()
    y = called(model, x[:1].clone())
    refuse_output(model, y)
    if any(not torch.equal(a, b) for a, b in zip(before, random_states(), strict=True)):
        raise ModelError(
            "the model's forward draws random numbers: its output is random",
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
    """Whether two tensors differ by more than rounding can do, or are not finite."""
    error, scale = (found - expected).abs().max(), expected.abs().max()
    return not bool(error <= 1000 * torch.finfo(expected.dtype).eps * scale)


def refuse_overflow(model: nn.Module, kernel: Tensor, x1: Tensor, x2: Tensor | None) -> None:
    """An infinite element of a kernel of finite numbers; the largest are on the diagonal.

    Raises:
        ModelError: there is one.
    """
    samples = (0, 2) if kernel.ndim == 4 else (0, 1)
    seen = kernel if x2 is not None else kernel.diagonal(0, *samples)
    if bool(seen.sum().isfinite()) or not bool(seen.isinf().any()):
        return
    of = [*model.parameters(), *(x for x in (x1, x2) if x is not None)]
    if all(bool(t.isfinite().all()) for t in of):
        raise ModelError(
            f"the kernel overflows in {kernel.dtype}",
            where=type(model).__name__,
            remedy="compute in float64: model.double(), with inputs in float64",
        )
