"""The batches of the networks of a learning curve, each network's its own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ntkscope.seeds import RandomStream, seed_sequence
from ntkscope.training.learning_curve.members import Member
from ntkscope.training.learning_curve.samples import CurveSamples, Samples

_BLOCK = 128  # steps whose batches are drawn at once


class SampleOrder:
    """The samples of one network in the order that it sees them: a permutation an epoch.

    A batch goes on in the next epoch where one ends, so every batch is full.
    """

    def __init__(self, seed: int, samples: int) -> None:
        self.seed, self.samples = seed, samples
        self._last: tuple[int, np.ndarray] = (-1, np.empty(0, dtype=np.int64))

    def __call__(self, start: int, stop: int) -> np.ndarray:
        """The samples at the places start to stop of the sequence, int64, < n."""
        epochs = range(start // self.samples, -(-stop // self.samples))
        drawn = np.concatenate([self._epoch(epoch) for epoch in epochs])
        first = epochs.start * self.samples
        return drawn[start - first : stop - first]

    def _epoch(self, number: int) -> np.ndarray:
        if self._last[0] != number:
            entropy = seed_sequence(self.seed, RandomStream.CURVE_BATCHES, self.samples, number)
            self._last = number, np.random.default_rng(entropy).permutation(self.samples)
        return self._last[1]


class Batches:
    """The batches of networks that train together.

    Args:
        members: their networks, of equal batches.
        samples: what they learn.
        backwards: whether the samples of a batch are taken in reverse.
    """

    def __init__(
        self, members: Sequence[Member], samples: CurveSamples, backwards: bool = False
    ) -> None:
        self.batch, self._turn = members[0].batch, -1 if backwards else 1
        self._samples = samples
        self._rows = list(range(len(members)))
        self._orders = [SampleOrder(m.seed, m.samples) for m in members]
        self._starts = np.array([m.place[0] * samples.most for m in members])
        self._whole = all(m.samples == self.batch for m in members)
        self._block: tuple[int, Tensor] | None = None
        self._all: Samples | None = None

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with some of the networks."""
        self._orders = [self._orders[row] for row in rows]
        self._starts = self._starts[list(rows)]
        self._block = self._all = None

    def __call__(self, step: int) -> Samples:
        """Inputs [M, B, …] and targets [M, B] of a step, from 0."""
        if self._whole:
            self._all = self._all or self._gather(self._indices(np.arange(self.batch)[None]))
            return self._all
        if self._block is None or not 0 <= step - self._block[0] < _BLOCK:
            self._block = step, self._drawn(step)
        return self._gather(self._block[1][step - self._block[0]])

    def _drawn(self, step: int) -> Tensor:
        """Of the next steps: [steps, M, B]."""
        start, stop = step * self.batch, (step + _BLOCK) * self.batch
        drawn = [order(start, stop).reshape(_BLOCK, self.batch) for order in self._orders]
        return self._indices(np.stack(drawn, axis=1))

    def _indices(self, own: np.ndarray) -> Tensor:
        """Among the training samples of all seeds."""
        shifted = own[..., :: self._turn] + self._starts[:, None]
        return torch.from_numpy(shifted).to(self._samples.inputs.device)

    def _gather(self, index: Tensor) -> Samples:
        return self._samples.inputs.take(index), self._samples.targets[index]
