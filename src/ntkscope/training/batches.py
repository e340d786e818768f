"""The batches of a run's tasks, of all seeds at once."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ntkscope.config.specs import RunSpec
from ntkscope.data.images import LoadedSamples
from ntkscope.data.inputs import normalise
from ntkscope.data.sampling import batch_indices, task_labels


class Batches:
    """The batches of a task; pixels stay uint8 on the device, normalised as they are used.

    Args:
        run: seeds, batch size, sampling, precision, tasks.
        images: what is drawn from.
        device: of the batches.
        number: of the task in the run, from 0; None: the last.
    """

    def __init__(
        self, run: RunSpec, images: LoadedSamples, device: torch.device, number: int | None = None
    ) -> None:
        self.images, self.dtype = images, getattr(torch, run.precision)
        number = len(run.tasks) - 1 if number is None else number
        task = run.tasks[number]
        pixels = np.ascontiguousarray(np.moveaxis(images.train, -1, 1))
        self.pixels = torch.from_numpy(pixels).to(device)
        self.labels = torch.from_numpy(task_labels(images.train_labels, task)).to(device)
        drawn = [
            batch_indices(images.train_labels, task, number, seed, run.batch_size, run.sampling)
            for seed in run.seeds
        ]
        self.index = torch.from_numpy(np.stack(drawn, axis=1)).to(device)

    def __len__(self) -> int:
        """Steps of the task."""
        return len(self.index)

    def __call__(self, step: int) -> tuple[Tensor, Tensor]:
        """Inputs [S, B, channel, y, x] and labels [S, B] of a step of the task."""
        index = self.index[step].long()
        return normalise(self.images, self.pixels[index], self.dtype), self.labels[index]
