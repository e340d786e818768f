"""Chunks of the snapshots of parameters: several snapshots of the same weights, to be compressed.

Neighbouring snapshots differ in the last bits of most weights, so the bytes that do not change
repeat within a chunk: on the digits' default runs, 0.47 to 0.70 of the size is left.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from ntkscope.training.state import Named

_SNAPSHOTS = 16  # of a chunk: with more, hardly less is left
_WEIGHTS = 2**17  # of one snapshot in a chunk: repetitions lie within Zstandard's window
_CHUNK_BYTES = 2**23  # before compression: what a reader has in memory at once
_BUFFER_BYTES = 2**27  # of the snapshots that wait until their chunks are full


@dataclass(frozen=True)
class SnapshotChunks:
    """What the chunks of all parameters have in common.

    Attributes:
        seeds: all of them, or one where networks are wide.
        snapshots: that wait to be written together.
    """

    seeds: int
    snapshots: int

    def of(self, tensor: Tensor) -> tuple[int, ...]:
        """Sides of the chunks of a parameter [S, …]: of wide layers, blocks of their rows."""
        _, *shape = tensor.shape
        if not shape:
            return self.seeds, self.snapshots
        most = min(_WEIGHTS, _CHUNK_BYTES // (self.snapshots * tensor.element_size()))
        rows = min(shape[0], most // max(1, math.prod(shape[1:])))
        return self.seeds, self.snapshots, max(1, rows), *(max(1, side) for side in shape[1:])


def snapshot_chunks(parameters: Named, snapshots: int) -> SnapshotChunks:
    """The chunks for so many snapshots of parameters, name → [S, …]."""
    sizes = [tensor.nbytes for tensor in parameters.values()]
    together = max(1, min(snapshots, _SNAPSHOTS, _BUFFER_BYTES // max(1, sum(sizes))))
    seeds = len(next(iter(parameters.values())))
    return SnapshotChunks(seeds if together * max(sizes) <= _CHUNK_BYTES else 1, together)
