"""Training inputs of all seeds on the device, normalised once where there is room for that."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ntkscope.data.tasks.store import LoadedTask

NORMALISED_BYTES = 2**30
"""Above so many, images stay uint8 and are normalised as they are used: the same numbers."""


class InputTable:
    """The first n training samples of some seeds, one after the other.

    Args:
        task: their store.
        places: positions of the seeds in it.
        samples: n.
        dtype, device: of the inputs.
    """

    def __init__(
        self,
        task: LoadedTask,
        places: Sequence[int],
        samples: int,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        self._task, self._dtype = task, dtype
        size = torch.Size(task.shape).numel() * dtype.itemsize
        self._ready = len(places) * samples * size <= NORMALISED_BYTES
        self._rows = torch.empty(0)
        for number, place in enumerate(places):  # no second copy of all is ever in memory
            of_seed = task.stored("train", place, samples).to(device)
            of_seed = task.as_inputs(of_seed, dtype) if self._ready else of_seed
            if number == 0:
                self._rows = of_seed.new_empty(len(places) * samples, *of_seed.shape[1:])
            self._rows[number * samples : (number + 1) * samples] = of_seed

    @property
    def device(self) -> torch.device:
        """Where it lies."""
        return self._rows.device

    def take(self, index: Tensor) -> Tensor:
        """Inputs [*, …] of the rows that an index [*] of any shape names."""
        found = self._as_inputs(self._rows.index_select(0, index.flatten()))
        return found.view(*index.shape, *found.shape[1:])

    def span(self, start: int, stop: int) -> Tensor:
        """Inputs [stop − start, …]."""
        return self._as_inputs(self._rows[start:stop])

    def _as_inputs(self, rows: Tensor) -> Tensor:
        return rows if self._ready else self._task.as_inputs(rows, self._dtype)
