"""Whether the rows of a recorded pass are those of their own samples.

A forward pass that puts its batch in another order, applies layers and puts it back has the right
outputs, and per-sample gradients in the other order; and it may do so for rare samples only, which
no probe shows. A pass of operations that treat each row alike cannot (`is_row_wise`). After any
other pass, Σ_n c_n ⟨v, f(x_n)⟩ goes back once more, of random c and v: the gradient of row n has to
be c_n times that of ⟨v, f(x_n)⟩ (`check_own_rows`). If values of samples are taken out of the graph
besides, which may come back in other rows, no gradient tells. Not seen is what happens inside of
scripted functions.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ntkscope.ntk.empirical.gradients.hooks import Recorded, samples_first
from ntkscope.ntk.empirical.gradients.use_layers import tensors_in

_TOLERANCE = {torch.float64: 1e-9}  # of the largest gradient of a call; of other dtypes:
_COARSE = 1e-4
_OF_ITS_OWN = 1e-3  # of a sample's largest gradient, beside eps of the largest of all

_ALIKE = {
    name
    for line in (
        "conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d",
        "multi_head_attention_forward scaled_dot_product_attention layer_norm rms_norm",
        "group_norm batch_norm instance_norm normalize local_response_norm dropout dropout1d",
        "dropout2d dropout3d alpha_dropout feature_alpha_dropout relu relu_ relu6 leaky_relu",
        "leaky_relu_ elu elu_ selu celu gelu silu mish softplus softsign tanhshrink hardtanh",
        "hardswish hardsigmoid hardshrink softshrink threshold prelu rrelu glu logsigmoid",
        "sigmoid tanh softmax log_softmax softmin gumbel_softmax max_pool1d max_pool2d",
        "max_pool3d avg_pool1d avg_pool2d avg_pool3d adaptive_avg_pool1d adaptive_avg_pool2d",
        "adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d lp_pool2d _max_pool1d",
        "_max_pool2d _max_pool3d interpolate pixel_shuffle unfold add add_ sub sub_ rsub",
        "mul mul_ div div_ true_divide floor_divide remainder pow neg reciprocal exp expm1 log",
        "log1p log2 sqrt rsqrt square abs sign sin cos tan asin acos atan sinh cosh erf erfc",
        "clamp clamp_ clip minimum maximum fmin fmax where masked_fill masked_fill_ lerp",
        "addcmul floor ceil round trunc frac logical_not logical_and logical_or isnan isinf",
        "isfinite nan_to_num eq ne lt le gt ge bmm baddbmm mean sum prod amax amin max min var",
        "std norm logsumexp argmax argmin any all count_nonzero vector_norm view reshape",
        "flatten unflatten squeeze unsqueeze",
        "expand expand_as repeat contiguous clone detach to type float double half bfloat16",
        "long int bool type_as size dim numel stride is_floating_point is_complex is_contiguous",
        "item requires_grad_ zeros_like ones_like full_like empty_like rand_like randn_like",
        "new_zeros new_ones new_full",
        "iadd isub imul itruediv truediv floordiv",
    )
    for name in line.split()
}
"""Operations on each row by itself, or along axes that are not the samples'."""

_WEIGHTED = (
    "linear",
    "bilinear",
    "matmul",
)  # along the last axis, unless what weighs is of samples

_TURNING = (
    *("transpose", "transpose_", "t", "t_", "T", "mT", "H", "mH", "adjoint", "permute"),
    *("swapaxes", "swapaxes_", "swapdims", "swapdims_", "movedim", "moveaxis"),
)
"""Operations that put axes in another order."""

_SHAPING = ("view", "reshape", "flatten", "unflatten", "expand", "repeat")

_MIXING = (
    *("matmul", "bmm", "baddbmm", "scaled_dot_product_attention", "conv", "unfold"),
    *("max_pool", "_max_pool", "avg_pool", "adaptive_", "lp_pool"),
)
"""How operations begin that mix what is behind the first axis, of more than two."""

_REDUCING = (
    *("mean", "sum", "prod", "amax", "amin", "max", "min"),
    *("logsumexp", "norm", "vector_norm", "std", "var"),
)
"""Operations along an axis, which of two that are as long may be the samples'."""

_ATTENTION = ("multi_head_attention_forward", "scaled_dot_product_attention")

_AXIS: dict[str, tuple[int | None, int]] = {
    **dict.fromkeys(_REDUCING, (None, 1)),
    **dict.fromkeys(("softmax", "log_softmax", "softmin"), (None, 1)),
    "norm": (None, 2),
    "vector_norm": (None, 2),
    "normalize": (1, 2),
    "glu": (-1, 1),
    "gumbel_softmax": (-1, 4),
}
"""Those, and others, that mix what lies along an axis: its default (None: all), and its place."""

_ALONG: dict[str, tuple[int | None, int]] = {
    "cat": (0, 1),
    "concat": (0, 1),
    "stack": (0, 1),
    "split": (0, 2),
    "chunk": (0, 2),
    "unbind": (0, 1),
    "select": (0, 1),
    "narrow": (0, 1),
    "roll": (None, 2),
    "sort": (-1, 1),
    "topk": (-1, 2),
    "gather": (0, 1),
    "index_select": (0, 1),
    "unfold": (0, 1),  # of a tensor; of images it is another
}
"""Operations that take rows apart or together along an axis: its default and its place."""

_LOOKED_AT = ("get", "len", "repr", "format", "iter", "hash")  # of a tensor, its attributes too


class RearrangedError(RuntimeError):
    """A recorded pass in which rows are not those of their own samples."""


def is_row_wise(
    func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], samples: int
) -> bool:
    """Whether an operation of torch surely leaves each of `samples` rows in its place.

    True too of what takes no tensor with so many rows, on its first or second axis; but not of
    rows that may be split over its first axes, and of rows that are parts of samples each has to
    stay as well. Nor of rows behind the second axis, nor on the second one of an operation that
    mixes what is there, nor along the axis of a sum or the like that has a gradient.
    """
    called, name = _name(func)
    there = tensors_in((args, kwargs))
    rows = [t for t in there if samples in t.shape[:2] and not isinstance(t, nn.Parameter)]
    parts = [t for t in there if t.requires_grad and not isinstance(t, nn.Parameter)]
    split = not rows and any(_is_split(t, samples) for t in parts)
    behind = any(samples in t.shape[2:] and len(t) % samples for t in parts)
    if samples > 1 and (split or behind):
        return False
    if samples > 1 and not rows and name not in _LOOKED_AT:
        counts = {len(t) for t in parts if t.ndim and len(t) and len(t) % samples == 0}
        if name in _SHAPING:
            return not counts or _stays_whole(func, args, kwargs, samples)
        return all(is_row_wise(func, args, kwargs, count) for count in counts)
    if not rows or samples < 2 or name in _LOOKED_AT or not args:
        return bool(args) or not rows or samples < 2
    if name in ("getitem", "setitem"):
        return _takes_whole(args[0], args[1] if isinstance(args[1], tuple) else (args[1],), samples)
    if name in _ALONG and func is not nn.functional.unfold:
        default, place = _ALONG[name]
        axis = args[place] if len(args) > place else default
        axis = kwargs.get("dim", kwargs.get("dims", axis))
        axes = axis if isinstance(axis, tuple | list) else (axis,)
        known = all(isinstance(each, int) and not isinstance(each, bool) for each in axes)
        return known and all(t.shape[each % t.ndim] != samples for t in rows for each in axes)
    if name in _TURNING or name in _SHAPING:
        stays = _stays_in_front if name in _TURNING else _stays_whole
        return stays(func, args, kwargs, samples)
    if name in ("pad", "embedding"):
        known = len(args) > 1
        return known and (_pads_others if name == "pad" else _is_table)(args[0], args[1], samples)
    if _is_of_one_image(name, args) or _mixes_rows(name, args, kwargs, samples):
        return False
    if name.startswith(_MIXING) and any(t.ndim > 2 for t in rows):
        return all(len(t) == samples for t in rows)
    if name in _WEIGHTED:
        return _weighs_features(args[: 1 + (name == "bilinear")], rows, samples)
    twice = name in _REDUCING and any(t.shape.count(samples) > 1 for t in rows if t.requires_grad)
    if twice or _are_paired(there, samples):
        return False
    return name in _ALIKE or (called.startswith("__r") and name[1:] in _ALIKE | {"truediv"})


def is_cut(func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether an operation takes values of samples out of autograd's sight."""
    if func not in _CUTTING and (torch.is_grad_enabled() or _name(func)[1] in _LOOKED_AT):
        return False
    there = tensors_in((args, kwargs))
    return any(t.requires_grad and not isinstance(t, nn.Parameter) for t in there)


_CUTTING = frozenset(
    {torch.detach, Tensor.detach, Tensor.detach_, Tensor.data.__get__, Tensor.tolist}  # type: ignore[attr-defined]
)


def _name(func: Callable[..., Any]) -> tuple[str, str]:
    """What an operation is called, and that without underscores; of `x.mT`, the attribute."""
    called = getattr(func, "__name__", "")
    if called == "__get__":
        name = getattr(getattr(func, "__self__", None), "__name__", "")
        return called, name if name in _TURNING else "get"
    return called, called.strip("_") if called.startswith("__") else called


def _stays_in_front(
    func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], samples: int
) -> bool:
    """Whether axes of so many rows, of the first two, still are of them, and not the last."""
    x = args[0]
    if x.ndim < 2 or not x.is_floating_point():
        return True
    like = torch.empty(*range(2, 2 + x.ndim), device="meta")
    try:
        turned = func(like, *args[1:], **kwargs).shape
    except (RuntimeError, TypeError):  # axes by their names, say
        return False
    places = [turned.index(2 + axis) for axis in (0, 1) if x.shape[axis] == samples]
    return all(place < 2 and place < x.ndim - 1 for place in places)


def _stays_whole(
    func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], samples: int
) -> bool:
    """Whether so many rows, or the parts of each, still follow on one another in front."""
    x = args[0]
    if not x.requires_grad:
        return True
    like = torch.empty(x.shape, dtype=x.dtype, device="meta")
    shape, in_front = func(like, *args[1:], **kwargs).shape, len(x) == samples
    if func.__name__ in ("expand", "repeat"):
        return bool((in_front and len(shape) == x.ndim) or shape[0] != samples)
    return bool(shape[0] % samples == 0 or (not in_front and samples in shape[1:2]))


def _mixes_rows(name: str, args: tuple[Any, ...], kwargs: dict[str, Any], samples: int) -> bool:
    """Whether rows are the tokens of one sequence, or lie along the axis that is mixed."""
    x = args[0]
    if name in _ATTENTION:
        in_second = name == "multi_head_attention_forward"
        return x.ndim < 3 or (in_second and x.shape[1] != samples)
    if not isinstance(x, Tensor) or not x.requires_grad:
        return False
    front = 1 if len(x) != samples and samples in x.shape[1:2] else 0
    if name in ("group_norm", "local_response_norm"):
        return front == 1
    if name in ("layer_norm", "rms_norm"):
        return len(args) < 2 or x.ndim - len(args[1]) <= front
    if name not in _AXIS:
        return False
    default, place = _AXIS[name]
    axis = kwargs.get("dim", kwargs.get("axis", args[place] if len(args) > place else default))
    if isinstance(axis, Tensor):  # the larger of two
        return False
    axes = axis if isinstance(axis, tuple | list) else (axis,)
    if not all(isinstance(each, int) and not isinstance(each, bool) for each in axes):
        return True
    return front in {each % x.ndim for each in axes}


def _are_paired(operands: Sequence[Tensor], samples: int) -> bool:
    """Whether rows come to lie behind an axis of as many others: [1, N, C] beside [N, N, 1]."""
    most = max(t.ndim for t in operands)
    of_rows = any(t.ndim == most and len(t) == samples for t in operands if most)
    shapes = [(*[1] * (most - t.ndim), *t.shape) for t in operands if t.requires_grad]
    return of_rows and any(s[0] != samples and s[1:2] == (samples,) for s in shapes)


def _is_of_one_image(name: str, args: tuple[Any, ...]) -> bool:
    """Whether what is taken for channels, of one image without an axis of images, may be rows."""
    if name.startswith("conv"):
        return len(args) > 1 and bool(args[0].ndim != args[1].ndim)
    return name == "pixel_shuffle" and bool(args) and bool(args[0].ndim < 4)


def _pads_others(x: Tensor, widths: Sequence[int], samples: int) -> bool:
    """Whether padding leaves axes of so many rows as they are."""
    pairs = zip(widths[::2], widths[1::2], strict=True)
    axes = [x.ndim - 1 - i for i, pair in enumerate(pairs) if any(pair)]
    return all(axis > 1 or x.shape[axis] != samples for axis in axes)


def _is_table(index: Tensor, table: Tensor, samples: int) -> bool:
    """Whether what an embedding looks up is not made of samples."""
    return isinstance(table, nn.Parameter) or (
        not table.requires_grad and len(table) % samples != 0 and table.shape[1] != samples
    )


def _weighs_features(inputs: Sequence[Any], rows: list[Tensor], samples: int) -> bool:
    """Whether of the rows all are inputs, each once, whose last axis is not of samples."""
    return len(rows) <= len(inputs) and all(
        any(t is x for x in inputs)
        and (t.shape[-1] != samples or (t.ndim > 1 and len(t) == samples))
        for t in rows
    )


def _is_split(x: Tensor, samples: int) -> bool:
    """Whether the first axes, two of them or more, may be those of so many rows."""
    return (
        x.ndim > 1 and len(x) < samples and samples in itertools.accumulate(x.shape, operator.mul)
    )


def _takes_whole(x: Tensor, index: tuple[Any, ...], samples: int) -> bool:
    """Whether `x[index]` has all of each axis of so many rows, in order, by plain slices."""
    if not all(each is None or isinstance(each, int | slice | type(...)) for each in index):
        return False
    taken = [each for each in index if each is not None]
    if ... in taken:
        place = taken.index(...)
        taken[place : place + 1] = [slice(None)] * (x.ndim - len(taken) + 1)
    pairs = zip(taken[:2], x.shape, strict=False)
    return all(size != samples or each == slice(None) for each, size in pairs)


def check_own_rows(
    y: Tensor,
    calls: Sequence[Recorded],
    output_vectors: Tensor,
    gradients: Sequence[Tensor | None],
) -> None:
    """Compare the gradients of a pass with those of a random sum of its outputs.

    Args:
        y: outputs [N, K], with their graph.
        calls: of the pass.
        output_vectors: v [R, K].
        gradients: of the calls, [B, R, …], as of `hooks.backpropagate`.

    Raises:
        RearrangedError: a row has another sample's.
    """
    below = [(call, g) for call, g in zip(calls, gradients, strict=True) if g is not None]
    below = [(call, g) for call, g in below if not call.top and len(g) % len(y) == 0]
    if not below:
        return
    generator = torch.Generator().manual_seed(0)
    c = (1 + torch.rand(len(y), generator=generator, dtype=torch.float64)).to(y)
    s = torch.randn(len(output_vectors), generator=generator, dtype=torch.float64).to(y)
    edges = [call.edge for call, _ in below]
    mixed = c[:, None] * (s @ output_vectors.to(y))
    found = torch.autograd.grad(y, edges, mixed, retain_graph=True, allow_unused=True)
    for (call, g), whole in zip(below, found, strict=True):
        assert whole is not None
        expected = torch.tensordot(s.to(g), g, dims=([0], [1]))
        own = c.to(g).repeat_interleave(len(g) // len(y)).view(-1, *[1] * (expected.ndim - 1))
        error = samples_first(whole, call.layout, len(y)) - own * expected
        if not _is_small(error.reshape(len(y), -1), expected.reshape(len(y), -1)):
            raise RearrangedError("the pass puts samples in another order")


def _is_small(error: Tensor, of: Tensor) -> bool:
    """Whether errors [N, …] are rounding: beside the largest of all, and each beside its own."""
    size = of.abs().amax(1)
    largest = size.max()
    its_own = _OF_ITS_OWN * size + torch.finfo(of.dtype).eps * largest
    least = its_own.clamp(max=_TOLERANCE.get(of.dtype, _COARSE) * largest)
    return bool((error.abs().amax(1) <= least).all())
