"""Samples that an operation puts in another order: their rows are then those of others.

A forward pass that sorts its batch, applies layers and puts it back has the right outputs, and
per-sample gradients in the order of the sorted batch. Whether it does may depend on the samples, so
every recorded pass is looked at. Seen are torch's operations by index, `flip`, `roll` and `sort`;
not those inside of scripted or compiled modules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn


class RearrangedError(RuntimeError):
    """A recorded pass in which samples are put in another order."""


def check_order(
    func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], samples: int
) -> None:
    """Refuse an operation that puts samples in another order.

    Args:
        func, args, kwargs: the call, before it is made.
        samples: how many there are; a tensor with so many rows is taken for one of them.

    Raises:
        RearrangedError: it does.
    """
    looked_at = _LOOK.get(getattr(func, "__name__", ""))
    if looked_at is None or samples < 2 or not args or not isinstance(args[0], Tensor):
        return
    if isinstance(args[0], nn.Parameter) or args[0].ndim == 0:
        return
    if any(_moves(index, samples) for index in looked_at(samples, *args, **kwargs)):
        raise RearrangedError(f"{func.__name__} puts the samples in another order")


def _moves(index: Tensor, samples: int) -> bool:
    """Whether [samples, …] rows are others than their own."""
    if len(index) != samples:
        return False
    own = torch.arange(samples, device=index.device)
    return not bool((index.flatten(1) if index.ndim > 1 else index[:, None]).eq(own[:, None]).all())


def _by_brackets(samples: int, x: Tensor, index: Any, *_: Any) -> Iterator[Tensor]:
    axis = 0
    for given in index if isinstance(index, tuple) else (index,):
        if given is None:
            continue
        if given is Ellipsis:
            return
        is_array = isinstance(given, list) or type(given).__module__ == "numpy"
        each = torch.as_tensor(given) if is_array else given
        if isinstance(each, Tensor) and each.dtype in (torch.bool, torch.uint8):
            axis += each.ndim
            continue
        if isinstance(each, Tensor) and each.ndim and axis < 2 and x.shape[axis] == samples:
            yield each
        axis += 1


def _along(samples: int, x: Tensor, dim: int, index: Tensor, **_: Any) -> Iterator[Tensor]:
    if dim % x.ndim < 2 and x.shape[dim] == samples:
        yield index.movedim(dim, 0) if index.ndim == x.ndim else index


def _along_last(samples: int, x: Tensor, indices: Tensor, dim: int | None = None) -> Any:
    return () if dim is None else _along(samples, x, dim, indices)


def _flipped(samples: int, x: Tensor, *dims: Any, **kwargs: Any) -> Iterator[Tensor]:
    named = kwargs.get("dims", dims)
    flat = named[0] if named and isinstance(named[0], tuple | list) else named
    if len(x) == samples and any(dim % x.ndim == 0 for dim in flat):
        yield torch.arange(samples).flip(0)


def _flipped_up(samples: int, x: Tensor) -> Iterator[Tensor]:
    return _flipped(samples, x, 0)


def _rolled(samples: int, x: Tensor, shifts: Any, dims: Any = ()) -> Iterator[Tensor]:
    shifts, dims = (tuple(v) if isinstance(v, tuple | list) else (v,) for v in (shifts, dims))
    for shift, dim in zip(shifts, dims, strict=False):
        if len(x) == samples and dim % x.ndim == 0:
            yield torch.arange(samples).roll(shift)


def _sorted(samples: int, x: Tensor, *args: Any, **kwargs: Any) -> Iterator[Tensor]:
    dim = kwargs.get("dim", args[0] if args and not isinstance(args[0], bool) else -1)
    if dim % x.ndim == 0 and len(x) == samples:
        yield torch.sort(x.detach(), *args, **kwargs).indices


_LOOK: dict[str, Callable[..., Any]] = {
    "__getitem__": _by_brackets,
    "__setitem__": _by_brackets,
    "index_select": _along,
    "gather": _along,
    "take_along_dim": _along_last,
    "flip": _flipped,
    "flipud": _flipped_up,
    "roll": _rolled,
    "sort": _sorted,
}
"""Name of an operation → what it takes for each row, [samples, …], of samples or positions."""
