"""Nearly equal or opposite inputs in single precision: their tiles are computed in double.

The angle θ of two preactivations comes from √(q1 q2 − K²), which loses half the digits as θ → 0
or π: float32 puts noise of 3e-4 on a smaller θ, and 1e-4 on the NTK; the NNGP keeps its digits. Of
relu, and of GELU and erf where variances are large; and of vectors most: between images the many
pairs of pixels average it away (4e-5 at worst, measured of relu with 14×14 pixels), so these are
left in single precision.
"""

from __future__ import annotations

import math
from functools import cached_property
from itertools import takewhile

import torch
from torch import Tensor

from ntkscope.models import Activation, Dense
from ntkscope.ntk.infinite.affine import affine_law
from ntkscope.ntk.infinite.cross import Engine
from ntkscope.ntk.infinite.layouts.vector import VectorLayout
from ntkscope.ntk.infinite.nearness import near_pairs
from ntkscope.ntk.infinite.samples import Samples
from ntkscope.ntk.infinite.variances import preactivation_variances

_LEAST = {Activation("relu"): 0.0, Activation("gelu"): 10.0, Activation("erf"): 10.0}
"""The first preactivations' variance from which an activation suffers; no others do.

Of later activations relu only: what is near at the first is near there, at whatever variance.
"""

_COSINE = 1 - 5e-4  # of the first preactivations; beyond it, float32 errs by more than 5e-6


class Precise:
    """Decides which tiles need double precision, and has the samples for them.

    Args:
        engine: the network and what is asked for.
        s1, s2: all samples.
    """

    def __init__(self, engine: Engine, s1: Samples, s2: Samples) -> None:
        self._engine, self._s1, self._s2 = engine, s1, s2
        before = list(takewhile(lambda layer: not isinstance(layer, Activation), engine.layers))
        biases = engine.options.normal_biases
        self._laws = [affine_law(layer, biases) for layer in before if isinstance(layer, Dense)]
        after = list(engine.layers[len(before) : len(before) + 1])
        after += [layer for layer in engine.layers if layer == Activation("relu")]
        least = [_LEAST[layer] for layer in after if layer in _LEAST]
        self._concerned = (
            engine.options.ntk
            and isinstance(engine.layout, VectorLayout)
            and s1.x.dtype == torch.float32
            and bool(least)
            and any(bool((s.variances[0] >= min(least)).any()) for s in (s1, s2))
        )

    def needed(
        self, K: Tensor, s1: Samples, s2: Samples, same: tuple[Tensor, Tensor] | None
    ) -> bool:
        """Whether a tile of input covariances K [A, B] has pairs nearly, but not quite, equal.

        Or opposite: there the NTK of relu without biases is nearly 0, and is noise in float32.
        """
        if not self._concerned:
            return False
        covariances = K.clone()
        for law in self._laws:
            covariances *= law.weight
            if law.bias:
                covariances += law.bias
        q1, q2 = s1.variances[0], s2.variances[0]
        close = near_pairs(covariances.abs_(), q1, q2, same, _COSINE, math.inf)
        return close is not None and bool(close.any())

    @cached_property
    def first(self) -> Samples:
        """All of the first samples in float64."""
        return self._double(self._s1)

    @cached_property
    def second(self) -> Samples:
        """All of the second samples in float64."""
        return self.first if self._s2 is self._s1 else self._double(self._s2)

    def _double(self, samples: Samples) -> Samples:
        engine, x = self._engine, samples.x.double()
        biases = engine.options.normal_biases
        chunk = samples.x.shape[-1]
        return Samples(
            x, tuple(preactivation_variances(x, engine.layers, engine.layout, biases, chunk))
        )
