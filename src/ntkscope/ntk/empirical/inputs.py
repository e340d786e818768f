"""Inputs of several tensors: positional arguments of a model's forward, or keyword arguments."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from ntkscope.errors import ModelError

Samples = Tensor | Sequence[Tensor] | Mapping[str, Tensor]
"""What public functions take: [N, …], or a tuple or a mapping of such tensors."""


class Inputs:
    """Tensors [N, …] that go together: a sample is one row of each.

    It has as much of a tensor's ways as the engine asks of its inputs, which are annotated as
    tensors there.

    Args:
        tensors: by keyword, or by position ("0", "1", …).
        by_keyword: which of the two.
    """

    def __init__(self, tensors: Mapping[str, Tensor], by_keyword: bool) -> None:
        self.tensors, self.by_keyword = dict(tensors), by_keyword

    def _each(self, function: Callable[[Tensor], Tensor]) -> Inputs:
        found = {name: function(tensor) for name, tensor in self.tensors.items()}
        return Inputs(found, self.by_keyword)

    @property
    def _first(self) -> Tensor:
        return next(iter(self.tensors.values()))

    def __len__(self) -> int:
        return len(self._first)

    def __getitem__(self, rows: Any) -> Inputs:
        return self._each(lambda t: t[rows])

    def split(self, size: int) -> Iterator[Inputs]:
        """Chunks of so many samples."""
        return (self[start : start + size] for start in range(0, len(self), size))

    def flip(self, axis: int) -> Inputs:
        """The samples in reverse (axis 0)."""
        return self._each(lambda t: t.flip(axis))

    def unsqueeze(self, axis: int) -> Inputs:
        """An axis more, in each."""
        return self._each(lambda t: t.unsqueeze(axis))

    def to(self, where: torch.device | torch.dtype) -> Inputs:
        """On a device, or in a dtype; numbers of tokens and masks keep theirs."""
        to_dtype = isinstance(where, torch.dtype)
        return self._each(lambda t: t if to_dtype and not t.is_floating_point() else t.to(where))

    def is_floating_point(self) -> bool:
        """Whether any of them is."""
        return any(t.is_floating_point() for t in self.tensors.values())

    def is_inference(self) -> bool:
        """Whether any of them was made in inference mode."""
        return any(t.is_inference() for t in self.tensors.values())

    def isfinite(self) -> Tensor:
        """Of each tensor."""
        return torch.stack([t.isfinite().all() for t in self.tensors.values()])

    def clone(self) -> Inputs:
        """In memory of its own."""
        return self._each(Tensor.clone)

    def detach(self) -> Inputs:
        """Without a graph."""
        return self._each(Tensor.detach)

    @property
    def device(self) -> torch.device:
        """Of the first tensor."""
        return self._first.device

    @property
    def dtype(self) -> tuple[tuple[str, torch.dtype], ...]:
        """Of each tensor, by name."""
        return tuple((name, self.tensors[name].dtype) for name in sorted(self.tensors))

    @property
    def ndim(self) -> tuple[int, ...]:
        """Of each tensor, by name."""
        return tuple(self.tensors[name].ndim for name in sorted(self.tensors))

    @property
    def nbytes(self) -> int:
        """Of all tensors."""
        return sum(t.nbytes for t in self.tensors.values())

    @property
    def _version(self) -> tuple[int, ...]:
        return tuple(t._version for t in self.tensors.values())

    @classmethod
    def __torch_function__(
        cls, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """`torch.cat` and `torch.equal`: all that the engine does with several inputs at once."""
        if function is torch.equal:
            one, other = (each.tensors for each in args)
            return all(torch.equal(one[name], other[name]) for name in one)
        if function is not torch.cat or len(args) != 1:
            return NotImplemented
        parts = args[0]
        names = parts[0].tensors
        joined = {name: torch.cat([part.tensors[name] for part in parts]) for name in names}
        return cls(joined, parts[0].by_keyword)


def as_inputs(name: str, x: Any) -> Any:
    """A tuple, list or mapping of tensors as `Inputs`; anything else as it is.

    Raises:
        ModelError: none in it, one that is no tensor, or of other lengths.
    """
    by_keyword = isinstance(x, Mapping)
    if not by_keyword and not isinstance(x, tuple | list):
        return x
    named = dict(x) if by_keyword else {str(place): t for place, t in enumerate(x)}
    wrong = [key for key, t in named.items() if not isinstance(t, Tensor) or not t.ndim]
    lengths = {len(t) for key, t in named.items() if key not in wrong}
    if wrong or len(lengths) != 1 or not all(isinstance(key, str) for key in named):
        found = ", ".join(f"{key}: {_shape(t)}" for key, t in named.items()) or "nothing"
        remedy = (
            "give tensors with the samples on their first axis, as many in each; what is the same "
            "for all samples belongs into a wrapper of the model, and so do offsets of bags, made "
            "there of padded samples"
        )
        arrays = [key for key in wrong if isinstance(named[key], np.ndarray)]
        if arrays:
            remedy = f"give torch.from_numpy({name}[{arrays[0]!r}]), in the model's dtype"
        raise ModelError(f"{name} has {found}", where=name, remedy=remedy)
    return Inputs(named, by_keyword)


def as_one(x: Samples) -> Tensor:
    """Inputs that `as_inputs` has seen, as the engine's annotations call them."""
    return cast(Tensor, x)


def tensors_of(x: Tensor) -> list[Tensor]:
    """All tensors of inputs in any form."""
    several = cast(Any, x)
    return list(several.tensors.values()) if isinstance(several, Inputs) else [x]


def _shape(t: Any) -> str:
    return str(tuple(t.shape)) if isinstance(t, Tensor) else type(t).__name__
