"""How far two computations of the same numbers can be apart by rounding alone.

A sum of n products errs by about √n eps of their scale, and L layers one after another by √L times
that (Higham & Mary 2019, "A new approach to probabilistic rounding error analysis"). What differs
by more is decided in float64 (`precision`), so the bound may be tight.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

_SINGLE, _DOUBLE = 8, 256  # times the error to be expected; of float64 no one else decides
_DECIDED = 3e-5  # relative, above which a difference in float32 is always decided in float64
_SURELY_WRONG = 1e-2  # relative: no rounding of float32


@dataclass(frozen=True)
class Rounding:
    """What rounding can do.

    Attributes:
        eps: of the coarsest dtype.
        relative: to the largest of some numbers, a change that is taken for rounding unseen.
        arbiter: there is a finer dtype, in which a doubt can be decided.
        possible: the most that rounding changes one of them.
        beside: relative to larger numbers that cancelled, a change that is taken for it.
    """

    eps: float
    relative: float
    arbiter: bool
    possible: float = 0.0
    beside: float = 2.0**-51

    @classmethod
    def of(cls, model: nn.Module) -> Rounding:
        """From a model's dtypes, number of layers and longest sum."""
        parameters = [p for p in model.parameters() if p.is_floating_point() or p.is_complex()]
        depth, length = max(1, sum(p.ndim > 1 for p in parameters)), 1
        for p in parameters:
            length = max(length, p.numel() // max(1, len(p)) if p.ndim > 1 else 1)
        eps = max((torch.finfo(p.dtype).eps for p in parameters), default=2.0**-52)
        single = eps > 1e-12
        possible = (_SINGLE if single else _DOUBLE) * eps * math.sqrt(depth * length)
        relative = min(possible, _DECIDED) if single else possible
        beside = 2 * eps if single else _SINGLE * possible / _DOUBLE
        return cls(eps, relative, single, possible, beside)

    def allows(self, error: Tensor, scale: Tensor, beside: Tensor | float = 0.0) -> bool:
        """Whether all errors are rounding at their scales, of a part of something larger `beside`.

        NaN is never rounding.
        """
        return bool((error <= self.relative * scale + self.beside * beside).all())

    def doubts(self, error: Tensor, scale: Tensor) -> bool:
        """Whether errors that are not allowed may be rounding all the same."""
        return self.arbiter and bool((error <= _SURELY_WRONG * scale).all())


UNKNOWN = Rounding(2.0**-52, 1e-10, arbiter=False, possible=1e-10)
"""Of a plan in the making."""


def same_rows(found: Tensor, expected: Tensor, rounding: Rounding) -> tuple[bool, bool]:
    """Whether rows [n, …] agree, each to rounding at its own scale; and if not, whether in doubt.

    What cancels to a small number has the rounding of larger ones: those of the median row. Rows
    that are not finite agree where the other is not finite either: they are no evidence.
    """
    found, expected = found.flatten(1), expected.flatten(1)
    finite = expected.isfinite().all(1)
    if bool((found.isfinite().all(1) != finite).any()):
        return False, False
    error = (found - expected)[finite].abs().amax(1)
    scale = expected[finite].abs().amax(1)
    typical = scale.median() if len(scale) else 0.0
    return rounding.allows(error, scale, typical), rounding.doubts(error, scale + typical)
