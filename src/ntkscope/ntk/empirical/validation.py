"""Models whose kernel is not defined as they stand."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ntkscope.errors import ModelError
from ntkscope.ntk.empirical.inputs import tensors_of
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


def differ(found: Tensor, expected: Tensor) -> bool:
    """Whether two tensors differ by more than rounding can do, or are not finite."""
    error, scale = (found - expected).abs().max(), expected.abs().max()
    return not bool(error <= 1000 * torch.finfo(expected.dtype).eps * scale)


def refuse_not_finite(model: nn.Module, kernel: Tensor, x1: Tensor, x2: Tensor | None) -> None:
    """A kernel with NaN or infinity; the largest elements are on the diagonal, and one of each row.

    Raises:
        ModelError: says whose: of parameters, of an overflow, or of some samples' gradients.
    """
    places = (0, 2) if kernel.ndim == 4 else (0, 1)
    seen = kernel if x2 is not None else kernel.diagonal(0, *places)
    if bool(seen.sum().isfinite()) or bool(seen.isfinite().all()):
        return
    for name, p in model.named_parameters():
        if not bool(p.isfinite().all()):
            raise ModelError(
                f"the model's parameter {name} is not finite",
                where=type(model).__name__,
                remedy="take its state of before it diverged; verify='off' lets the NaN through",
            )
    if bool(seen.isinf().any()):
        raise ModelError(
            f"the kernel overflows in {kernel.dtype}",
            where=type(model).__name__,
            remedy="compute in float64: model.double(), with inputs in float64; or scale the "
            "inputs; gradients may be infinite too, as of a root at 0",
        )
    table = (seen.movedim(-1, 0) if x2 is None else seen).isfinite()
    bad, axis = ~table.reshape(len(table), -1).all(1), "x1"
    if x2 is not None and bool(bad.all()):
        columns = table.movedim(2 if table.ndim == 4 else 1, 0)
        bad, axis = ~columns.reshape(len(columns), -1).all(1), "x2"
    raise ModelError(
        f"the kernel is NaN at samples {listed(bad)} of {axis}",
        where=type(model).__name__,
        remedy="look at their gradients: a root, norm or logarithm of 0 in the model's forward?",
    )


def refuse_nan_inputs(model: nn.Module, x1: Tensor, x2: Tensor | None) -> None:
    """Samples with NaN or infinity, unless the model makes finite numbers of them.

    Raises:
        ModelError: says which.
    """
    for name, x in (("x1", x1), ("x2", x2)):
        if x is None or all(_is_finite(t) for t in tensors_of(x)):
            continue
        bad = torch.zeros(len(x), dtype=torch.bool)
        for t in tensors_of(x):
            bad |= ~t.isfinite().flatten(1).all(1).cpu() if t.ndim > 1 else ~t.isfinite().cpu()
        first = int(bad.int().argmax())
        with torch.no_grad():
            y = called(model, x[first : first + 1].clone())
        if not isinstance(y, Tensor) or not bool(y.isfinite().all()):
            raise ModelError(
                f"{name} is not finite: NaN or infinity in samples {listed(bad)}",
                where=name,
                remedy="leave them out, or fill in finite numbers; verify='off' lets NaN through",
            )


def _is_finite(t: Tensor) -> bool:
    return not t.is_floating_point() or bool(t.sum().isfinite()) or bool(t.isfinite().all())


def listed(which: Tensor, most: int = 8) -> str:
    """The first places of a mask, and how many there are."""
    places = which.nonzero().flatten().tolist()
    named = ", ".join(map(str, places[:most]))
    return named if len(places) <= most else f"{named}, … ({len(places)} in all)"
