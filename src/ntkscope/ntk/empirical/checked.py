"""When a finished kernel is compared with brute force again, and when it would be for nothing."""

from __future__ import annotations

import weakref
from dataclasses import dataclass, field

from torch import Tensor, nn

from ntkscope.ntk.empirical.state import version

SMALL = 200  # samples, below which every kernel is compared
_SHARE = 0.02  # of the time of kernels of more samples, at most, after the first of some inputs


@dataclass
class Checked:
    """What was compared by a plan.

    Attributes:
        inputs: of the last kernel that was.
        settings: of the same, and the versions of its network's parameters and buffers.
        seconds: that it took.
        credit: seconds that may go into the next.
        tensors: parameters and buffers of the network; a plan starts anew where they are others.
    """

    inputs: tuple[weakref.ref[Tensor] | None, ...] = ()
    settings: tuple[object, ...] = ()
    seconds: float = 0.0
    credit: float = 0.0
    tensors: list[Tensor] = field(default_factory=list)

    def is_due(
        self, model: nn.Module, x1: Tensor, x2: Tensor | None, how: tuple[object, ...]
    ) -> bool:
        """Whether a kernel has to be compared.

        All are of inputs not met before, and of less than 200 samples, unless the very same kernel
        was; after other changes (of parameters) as many as take 2 % of the time.
        """
        met = self.inputs and all(
            (x is None) if ref is None else ref() is x
            for ref, x in zip(self.inputs, (x1, x2), strict=True)
        )
        settings = _settings(self.tensors or _tensors(model), x1, x2, how)
        if met and settings == self.settings:
            return False
        same_inputs = met and settings[:3] == self.settings[:3]
        return not same_inputs or len(x1) < SMALL or self.credit >= self.seconds

    def note(
        self,
        model: nn.Module,
        x1: Tensor,
        x2: Tensor | None,
        how: tuple[object, ...],
        seconds: float,
    ) -> None:
        """A kernel was compared, in so many seconds."""
        self.inputs = tuple(None if x is None else weakref.ref(x) for x in (x1, x2))
        self.tensors, self.seconds, self.credit = _tensors(model), seconds, 0.0
        self.settings = _settings(self.tensors, x1, x2, how)

    def earn(self, seconds: float) -> None:
        """A kernel was computed, in so many seconds."""
        self.credit += _SHARE * seconds


def _tensors(model: nn.Module) -> list[Tensor]:
    return [*model.parameters(), *model.buffers()]


def _settings(
    tensors: list[Tensor], x1: Tensor, x2: Tensor | None, how: tuple[object, ...]
) -> tuple[object, ...]:
    versions = [version(t) for t in tensors]
    return (version(x1), None if x2 is None else version(x2), how, versions)
